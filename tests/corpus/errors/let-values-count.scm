(let-values ([(a b) 5]) a)
