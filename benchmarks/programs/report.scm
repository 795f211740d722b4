;; A report of four thousand lines, each formatted and padded, written into one text.
(define (pad text width) (string-append text (make-string (max 0 (- width (string-length text))) #\space)))
(define report
  (call-with-output-string
   (lambda (out)
     (for ([i 4000])
       (write-string (pad (format "item ~a" i) 12) out)
       (write-string (format "~a of ~s: ~a" (* i 3) "stock" (list i (+ i 1))) out)
       (newline out)))))
(define lines (string-split report "\n"))
(for/fold ([sum (string-length report)]) ([line lines])
  (modulo (+ (* 31 sum) (string-length line) (char->integer (string-ref line (- (string-length line) 2)))) 1000003))
