(define (kind x) (match x [(list a b) 'pair] [(? string?) 'text]))
(kind 42)
