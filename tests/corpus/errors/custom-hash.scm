(define-custom-hash-types string-table string-ci=?)
