(regex-match "a" "abc")
