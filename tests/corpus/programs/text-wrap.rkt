#lang racket
(define text "The quick brown fox jumps over the lazy dog. Pack my box with five dozen liquor jugs; how vexingly quick daft zebras jump!")
(define (wrap str width)
  (let loop ([words (string-split str)] [line ""] [lines '()])
    (cond
      [(null? words) (reverse (if (string=? line "") lines (cons line lines)))]
      [(string=? line "") (loop (cdr words) (car words) lines)]
      [(<= (+ (string-length line) 1 (string-length (car words))) width)
       (loop (cdr words) (string-append line " " (car words)) lines)]
      [else (loop words "" (cons line lines))])))
(define lines (wrap text 30))
(for ([l lines] [i (in-naturals 1)]) (printf "~a: ~a|\n" i (~a l #:width 30)))
(define (justify line width)
  (define words (string-split line))
  (define gaps (sub1 (length words)))
  (if (zero? gaps)
      line
      (let*-values ([(space) (- width (apply + (map string-length words)))]
                    [(each extra) (quotient/remainder space gaps)])
        (string-append*
         (car words)
         (for/list ([w (cdr words)] [i (in-naturals)])
           (string-append (make-string (+ each (if (< i extra) 1 0)) #\space) w))))))
(for ([l (drop-right lines 1)]) (displayln (justify l 30)))
(displayln (last lines))
(for ([align '(left center right)]) (printf "[~a]\n" (~a "word" #:width 12 #:align align)))
(define (center s w) (let* ([pad (- w (string-length s))] [l (quotient pad 2)]) (string-append (make-string l #\.) s (make-string (- pad l) #\.))))
(center "title" 20)
(string-length (string-join lines "\n"))
(define (word-lengths s) (for/fold ([h (hasheqv)]) ([w (regexp-match* #px"\\w+" s)]) (hash-update h (string-length w) add1 0)))
(sort (hash->list (word-lengths text)) < #:key car)
(define longest (argmax string-length (regexp-match* #px"\\w+" text)))
longest
(define (acronym s) (list->string (map (compose char-upcase (λ (w) (string-ref w 0))) (string-split s))))
(acronym "portable network graphics")
(string-join (reverse (string-split "one two three")))
(list->string (reverse (string->list "stressed")))
(define (char-punctuation? c) (and (memv c (string->list ".,;!?")) #t))
(for/sum ([c text] #:when (char-punctuation? c)) 1)
