(let ([x 5]))
