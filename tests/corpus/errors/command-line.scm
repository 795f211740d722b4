(command-line #:args (x) x)
