(error "cannot parse" "abc" 42)
