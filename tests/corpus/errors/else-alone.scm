(else 5)
