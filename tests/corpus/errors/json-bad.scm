(string->jsexpr "{\"a\": 1,}")
