(parse-json "{}")
