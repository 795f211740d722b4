(for ([x (in-hash (hash 'a 1))]) (displayln x))
