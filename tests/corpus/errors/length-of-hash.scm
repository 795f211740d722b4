(length (hash 'a 1))
