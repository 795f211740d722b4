;; libraries/srfi.scm — the export tables of the SRFIs, and of the libraries of R7RS-large that
;; are SRFIs under another name.

(define (%define-core-libraries! names table)
  (for-each (lambda (name) (%define-core-library! name table)) names))

(%define-core-library! '(srfi 0) '(cond-expand))

(%define-core-libraries! '((srfi 1) (scheme list))
  '(alist-cons alist-copy alist-delete (alist-delete . alist-delete!) any append
    append! (%append-map-shortest . append-map) (%append-map-shortest . append-map!) append-reverse append-reverse! assoc assq assv
    (srfi-1:break . break) (srfi-1:break . break!) caaaar caaadr caaar caadar caaddr caadr caar
    cadaar cadadr cadar caddar cadddr caddr cadr car car+cdr cdaaar cdaadr cdaar cdadar cdaddr
    cdadr cdar cddaar cddadr cddar cdddar cddddr cdddr cddr cdr circular-list circular-list?
    concatenate (concatenate . concatenate!) cons cons* count delete (delete . delete!)
    delete-duplicates (delete-duplicates . delete-duplicates!) dotted-list? drop drop-right
    (drop-right . drop-right!) drop-while eighth every fifth filter (filter . filter!)
    filter-map (%lenient-find . find) (%lenient-find-tail . find-tail) first fold fold-right (%for-each-shortest . for-each) fourth iota last last-pair length
    length+ list list-copy list-index list-ref list-tabulate list= lset-adjoin
    lset-diff+intersection (lset-diff+intersection . lset-diff+intersection!) lset-difference
    (lset-difference . lset-difference!) lset-intersection
    (lset-intersection . lset-intersection!) lset-union (lset-union . lset-union!) lset-xor
    (lset-xor . lset-xor!) lset<= lset= make-list (%map-shortest . map) (%map-shortest . map!) map-in-order member memq memv
    ninth not-pair? null-list? null? pair-fold pair-fold-right pair-for-each pair? partition
    (partition . partition!) proper-list? reduce reduce-right (srfi-1:remove . remove)
    (srfi-1:remove . remove!) reverse (reverse . reverse!) second set-car! set-cdr! seventh
    sixth span (span . span!) split-at (split-at . split-at!) take (take . take!) take-right
    take-while (take-while . take-while!) tenth third unfold unfold-right unzip1 unzip2 unzip3
    unzip4 unzip5 xcons zip))

(%define-core-library! '(srfi 2) '(and-let*))
(%define-core-library! '(srfi 6) '(get-output-string open-input-string open-output-string))
(%define-core-library! '(srfi 8) '(receive))
(%define-core-library! '(srfi 9) '(define-record-type))
(%define-core-library! '(srfi 11) '(let*-values let-values))

(%define-core-library! '(srfi 13)
  '(string? make-string string string-tabulate string-map string-map! string-unfold
    string-unfold-right string-fold string-fold-right string-for-each string-for-each-index
    string->list list->string reverse-list->string string-copy substring/shared string-copy!
    string-fill! string-length string-ref string-set! string-take string-drop string-take-right
    string-drop-right (srfi-13:string-pad . string-pad) string-pad-right
    (string-trim-left . string-trim) string-trim-right string-trim-both
    (string-trim-left . string-trim-left) string-compare (srfi-13:string= . string=) (srfi-13:string<> . string<>) (srfi-13:string< . string<)
    (srfi-13:string> . string>) (srfi-13:string<= . string<=) (srfi-13:string>= . string>=)
    (srfi-13:string-ci= . string-ci=) (srfi-13:string-ci<> . string-ci<>)
    (srfi-13:string-ci< . string-ci<) (srfi-13:string-ci> . string-ci>)
    (srfi-13:string-ci<= . string-ci<=) (srfi-13:string-ci>= . string-ci>=)
    (srfi-13:string-hash . string-hash) (string-ci-hash . string-hash-ci) string-prefix-length
    string-suffix-length (srfi-13:string-prefix? . string-prefix?)
    (srfi-13:string-suffix? . string-suffix?) string-prefix-ci?
    string-suffix-ci? string-index string-index-right string-skip string-skip-right
    (srfi-13:string-count . string-count) (srfi-13:string-contains . string-contains)
    string-contains-ci string-upcase string-downcase string-titlecase string-reverse
    string-reverse! string-append string-append/shared string-concatenate
    string-concatenate/shared string-concatenate-reverse
    (string-concatenate-reverse . string-concatenate-reverse/shared) string-any string-every
    string-delete string-filter (srfi-13:string-join . string-join)
    (srfi-13:string-replace . string-replace) string-tokenize xsubstring string-xcopy!
    string-null?))

(%define-core-libraries! '((srfi 14) (scheme charset))
  '(char-set? char-set= char-set<= char-set-hash char-set-cursor char-set-ref char-set-cursor-next
    end-of-char-set? char-set-fold char-set-unfold (char-set-unfold . char-set-unfold!)
    char-set-for-each char-set-map char-set-copy char-set list->char-set
    (list->char-set . list->char-set!) string->char-set (string->char-set . string->char-set!)
    char-set-filter (char-set-filter . char-set-filter!) ucs-range->char-set
    (ucs-range->char-set . ucs-range->char-set!) ->char-set char-set->list char-set->string
    char-set-size char-set-count char-set-contains? char-set-every char-set-any char-set-adjoin
    (char-set-adjoin . char-set-adjoin!) char-set-delete (char-set-delete . char-set-delete!)
    char-set-complement (char-set-complement . char-set-complement!) char-set-union
    (char-set-union . char-set-union!) char-set-intersection
    (char-set-intersection . char-set-intersection!) char-set-difference
    (char-set-difference . char-set-difference!) char-set-xor (char-set-xor . char-set-xor!)
    char-set-diff+intersection (char-set-diff+intersection . char-set-diff+intersection!)
    char-set:lower-case char-set:upper-case char-set:title-case char-set:letter char-set:digit
    char-set:letter+digit char-set:graphic char-set:printing char-set:whitespace
    char-set:iso-control char-set:punctuation char-set:symbol char-set:hex-digit char-set:blank
    char-set:ascii char-set:empty char-set:full))

(%define-core-library! '(srfi 16) '(case-lambda))
(%define-core-library! '(srfi 23) '(error))
(%define-core-library! '(srfi 26) '(cut cute <> <...>))
(%define-core-library! '(srfi 27)
  '(default-random-source make-random-source random-integer random-real random-source-make-integers
    random-source-make-reals random-source-pseudo-randomize! random-source-randomize!
    random-source-state-ref random-source-state-set! random-source?))
(%define-core-library! '(srfi 28) '(format))
(%define-core-library! '(srfi 30) '())
(%define-core-library! '(srfi 31) '(rec))
(%define-core-library! '(srfi 38)
  '((%write/ss . write-with-shared-structure) (%write/ss . write/ss)
    (read . read-with-shared-structure) (read . read/ss)))
(%define-core-library! '(srfi 39) '((%converting-parameter . make-parameter) parameterize))
(%define-core-library! '(srfi 46) '(syntax-rules))
(%define-core-library! '(srfi 48) '((srfi-48:format . format)))
(%define-core-library! '(srfi 62) '())
(%define-core-library! '(srfi 87) '(case => else))

(%define-core-library! '(srfi 64)
  '(test-begin test-end test-group test-group-with-cleanup test-assert test-equal test-eqv test-eq
    test-approximate test-error test-skip test-expect-fail test-match-name test-match-nth
    test-match-any test-match-all test-read-eval-string test-with-runner test-apply test-runner?
    test-runner-current test-runner-get test-runner-simple test-runner-null test-runner-create
    test-runner-factory test-runner-pass-count test-runner-fail-count test-runner-xpass-count
    test-runner-xfail-count test-runner-skip-count test-runner-test-name test-runner-group-stack
    test-runner-group-path test-runner-aux-value test-runner-aux-value! test-result-alist
    test-result-ref test-result-set! test-result-kind test-passed?))

(%define-core-library! '(srfi 69)
  '(make-hash-table hash-table? alist->hash-table hash-table-equivalence-function
    hash-table-hash-function hash-table-ref hash-table-ref/default hash-table-set!
    hash-table-delete! hash-table-exists? hash-table-update! hash-table-update!/default
    hash-table-size hash-table-keys hash-table-values hash-table-walk hash-table-fold
    hash-table->alist hash-table-copy hash-table-merge! (srfi-69:hash . hash)
    (srfi-69:string-hash . string-hash) string-ci-hash hash-by-identity))

(%define-core-library! '(srfi 95)
  '(sorted? merge merge! (srfi-95:sort . sort) (srfi-95:sort! . sort!) (%object-order . object-cmp)))
(%define-core-library! '(srfi 98) '(get-environment-variable get-environment-variables))
(%define-core-libraries! '((srfi 111) (scheme box)) '(box box? unbox set-box!))

(%define-core-libraries! '((srfi 115) (scheme regex))
  '((srfi-115:regexp . regexp) (srfi-115:regexp? . regexp?) rx valid-sre? regexp->sre
    char-set->sre regexp-matches regexp-matches? regexp-search regexp-fold regexp-extract
    (srfi-115:regexp-split . regexp-split) regexp-partition
    (srfi-115:regexp-replace . regexp-replace) regexp-replace-all
    (srfi-115:regexp-match? . regexp-match?) regexp-match-count regexp-match-submatch
    regexp-match-submatch-start regexp-match-submatch-end regexp-match->list))

(%define-core-libraries! '((srfi 125) (scheme hash-table))
  '(make-hash-table hash-table hash-table-unfold alist->hash-table hash-table? hash-table-contains?
    hash-table-exists? hash-table-empty? hash-table=? hash-table-mutable? hash-table-ref
    hash-table-ref/default hash-table-set! hash-table-delete! hash-table-intern!
    hash-table-update! hash-table-update!/default hash-table-pop! hash-table-clear!
    hash-table-size hash-table-keys hash-table-values hash-table-entries hash-table-find
    hash-table-count hash-table-map hash-table-for-each hash-table-walk hash-table-map!
    hash-table-map->list hash-table-fold hash-table-prune! (srfi-125:hash-table-copy . hash-table-copy)
    hash-table-empty-copy hash-table->alist hash-table-union! (hash-table-union! . hash-table-merge!)
    hash-table-intersection! hash-table-difference! hash-table-xor! (srfi-69:hash . hash)
    (srfi-69:string-hash . string-hash) string-ci-hash hash-by-identity
    hash-table-equivalence-function hash-table-hash-function))

(%define-core-libraries! '((srfi 128) (scheme comparator))
  '(comparator? comparator-ordered? comparator-hashable? make-comparator make-pair-comparator
    make-list-comparator make-vector-comparator make-eq-comparator make-eqv-comparator
    make-equal-comparator boolean-hash char-hash char-ci-hash (srfi-69:string-hash . string-hash)
    string-ci-hash symbol-hash number-hash make-default-comparator default-hash
    comparator-register-default! comparator-type-test-predicate comparator-equality-predicate
    comparator-ordering-predicate comparator-hash-function comparator-test-type
    comparator-check-type comparator-hash hash-bound hash-salt =? <? >? <=? >=?
    comparator-if<=> default-comparator boolean-comparator real-comparator char-comparator
    char-ci-comparator string-comparator string-ci-comparator list-comparator vector-comparator
    eq-comparator eqv-comparator equal-comparator bytevector-comparator integer-comparator
    rational-comparator complex-comparator number-comparator pair-comparator symbol-comparator
    exact-integer-comparator))

(%define-core-libraries! '((srfi 132) (scheme sort))
  '(list-sorted? vector-sorted? list-sort list-stable-sort list-sort! list-stable-sort!
    (srfi-132:vector-sort . vector-sort) (srfi-132:vector-stable-sort . vector-stable-sort)
    (srfi-132:vector-sort! . vector-sort!) (srfi-132:vector-stable-sort! . vector-stable-sort!)
    list-merge list-merge! vector-merge vector-merge! list-delete-neighbor-dups
    list-delete-neighbor-dups! vector-delete-neighbor-dups vector-delete-neighbor-dups!
    vector-find-median vector-find-median! vector-select! vector-separate!))

(%define-core-libraries! '((srfi 133) (scheme vector))
  '(make-vector vector vector-unfold vector-unfold-right vector-copy vector-reverse-copy
    vector-append vector-concatenate vector-append-subvectors vector? vector-empty? vector=
    vector-ref vector-length vector-fold vector-fold-right vector-map vector-map!
    vector-for-each vector-count vector-cumulate vector-index vector-index-right vector-skip
    vector-skip-right vector-binary-search vector-any vector-every vector-partition vector-set!
    vector-swap! vector-fill! vector-reverse! vector-copy! vector-reverse-copy! vector-unfold!
    vector-unfold-right! vector->list reverse-vector->list list->vector reverse-list->vector
    vector->string string->vector))

(%define-core-library! '(srfi 139) '(define-syntax-parameter syntax-parameterize))

(%define-core-library! '(srfi 145) '(assume))

(%define-core-libraries! '((srfi 151) (scheme bitwise))
  '(bitwise-not bitwise-and bitwise-ior bitwise-xor bitwise-eqv bitwise-nand bitwise-nor
    bitwise-andc1 bitwise-andc2 bitwise-orc1 bitwise-orc2 arithmetic-shift bit-count
    integer-length bitwise-if bit-set? copy-bit bit-swap any-bit-set? every-bit-set?
    first-set-bit bit-field bit-field-any? bit-field-every? bit-field-clear bit-field-set
    bit-field-replace bit-field-replace-same bit-field-rotate bit-field-reverse bits->list
    list->bits bits->vector vector->bits bits bitwise-fold bitwise-for-each bitwise-unfold
    make-bitwise-generator))

(%define-core-libraries! '((srfi 158) (srfi 121) (scheme generator))
  '((srfi-158:generator . generator) circular-generator make-iota-generator make-range-generator make-coroutine-generator
    list->generator vector->generator reverse-vector->generator string->generator
    bytevector->generator make-for-each-generator make-unfold-generator gcons* gappend gflatten
    ggroup gmerge gmap gcombine gfilter gremove gstate-filter gtake gdrop gtake-while
    gdrop-while gdelete gdelete-neighbor-dups gindex gselect generator->list
    generator->reverse-list generator->vector generator->vector! generator->string
    generator-fold generator-for-each generator-map->list generator-find generator-count
    generator-any generator-every generator-unfold make-accumulator count-accumulator
    list-accumulator reverse-list-accumulator vector-accumulator reverse-vector-accumulator
    vector-accumulator! string-accumulator bytevector-accumulator bytevector-accumulator!
    sum-accumulator product-accumulator))

(%define-core-library! '(srfi 229)
  '((%lambda/tag . lambda/tag) (%case-lambda/tag . case-lambda/tag) (%procedure/tag? . procedure/tag?)
    (%procedure-tag . procedure-tag)))
