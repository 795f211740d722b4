(jsexpr->string (hash "a" 'sym))
