(define (wrap text width)
  (let loop ([words (string-split text)] [line ""] [lines '()])
    (cond [(null? words) (reverse (if (string=? line "") lines (cons line lines)))]
          [(string=? line "") (loop (cdr words) (car words) lines)]
          [(<= (+ (string-length line) 1 (string-length (car words))) width)
           (loop (cdr words) (string-append line " " (car words)) lines)]
          [else (loop words "" (cons line lines))])))
(for-each displayln (wrap "The quick brown fox jumps over the lazy dog and runs away from the big bad wolf" 20))
