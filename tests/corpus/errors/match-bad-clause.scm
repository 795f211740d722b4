(match 5 [x])
