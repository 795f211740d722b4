(string-upcase "a" #:locale "en")
