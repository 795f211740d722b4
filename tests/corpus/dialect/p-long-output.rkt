(for ([i 200]) (printf "line ~a: ~a\n" i (* i i)))
