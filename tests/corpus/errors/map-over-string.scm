(map char-upcase "hello")
