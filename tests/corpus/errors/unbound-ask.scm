(define answer (ask "What is this?"))
