(define (count-words s) (length (string-split s)))
(for ([s '("one two three" "" "  spaced   out  ")]) (printf "~s has ~a words\n" s (count-words s)))
