(displayln "  C      F")
(for ([c (in-range -10 41 10)])
  (printf "~a ~a\n" (~r c #:min-width 3) (~r (+ 32 (* 9/5 c)) #:min-width 6 #:precision '(= 1))))
