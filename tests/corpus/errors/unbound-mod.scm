(displayln (mod 5 3))
