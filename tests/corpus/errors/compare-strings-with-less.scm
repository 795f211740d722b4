(sort '("b" "a") <)
