(modulo 10 0)
