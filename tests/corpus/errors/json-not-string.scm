(string->jsexpr '(1 2))
