(for ([x 'abc]) (displayln x))
