(string-split "a-b" #\-)
(string=? "a" #\a)
