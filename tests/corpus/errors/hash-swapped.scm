(hash-ref 'a (hash 'a 1))
