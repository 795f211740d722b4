(set! undefined-thing 5)
