"""Racket's libraries as scripts use them: macros, threads, prompts, dates, paths, bytes, tests, heaps, numbers."""

from __future__ import annotations

import pytest

from tests.scheme.dialect.test_as_racket import Cases, cases, prints, ran

MACROS: Cases = [
    ("names that a template brings along are its own", "(define-syntax (swap! stx) (syntax-case stx () [(_ a b) #'(let ([tmp a]) (set! a b) (set! b tmp))])) (define tmp 1) (define y 2) (swap! tmp y) (list tmp y)", "'(2 1)\n"),
    ("a procedure as the transformer", "(define-syntax my-or (lambda (stx) (syntax-case stx () [(_ e) #'e] [(_ e r ...) #'(let ([t e]) (if t t (my-or r ...)))]))) (define t 5) (my-or #f t)", "5\n"),
    ("names that are made", '(define-syntax (getter stx) (syntax-case stx () [(_ n v) (with-syntax ([get (format-id #\'n "get-~a" #\'n)]) #\'(define (get) v))])) (getter foo 42) (get-foo)', "42\n"),
    ("a name that is given on purpose", "(define-syntax (aif stx) (syntax-case stx () [(_ c a b) (with-syntax ([it (datum->syntax stx 'it)]) #'(let ([it c]) (if it a b)))])) (aif (memv 2 '(1 2)) (car it) 0)", "2\n"),
    ("ellipses in ellipses", "(define-syntax (m stx) (syntax-case stx () [(_ (a b ...) ...) #'(list (list a (list b ...)) ...)])) (m (1 2 3) (4) (5 6))", "'((1 (2 3)) (4 ()) (5 (6)))\n"),
    ("what comes after an ellipsis", "(define-syntax (m stx) (syntax-case stx () [(_ a ... z) #'(list z a ...)])) (m 1 2 3)", "'(3 1 2)\n"),
    ("unquoting in templates", "(define-syntax (m stx) (syntax-case stx () [(_ x y ...) #`(list x #,(length (syntax->list #'(y ...))) #,@(reverse (syntax->list #'(y ...))))])) (m 0 1 2)", "'(0 2 2 1)\n"),
    ("literals and fenders", "(define-syntax (m stx) (syntax-case stx (=>) [(_ a => b) #'(list a b)] [(_ a) (identifier? #'a) #''id] [(_ a) #''other])) (list (m 1 => 2) (m x) (m 1))", "'((1 2) id other)\n"),
    ("a macro that makes macros", "(define-syntax (gen stx) (syntax-case stx () [(_ n) #'(define-syntax-rule (n e (... ...)) (list e (... ...)))])) (gen all) (all 1 2)", "'(1 2)\n"),
    ("an identifier as a macro use", "(define-syntax (five stx) #'5) (+ five (five))", "10\n"),
    ("assignments to a name", "(define b (box 1)) (define-syntax v (make-set!-transformer (lambda (stx) (syntax-case stx (set!) [(set! _ e) #'(set-box! b e)] [_ #'(unbox b)])))) (set! v 7) v", "7\n"),
    ("another name for it", "(define-syntax kar (make-rename-transformer #'car)) (kar '(1)) (map kar '((2)))", "1\n'(2)\n"),
    ("procedures for macros", "(begin-for-syntax (define (twice x) (* x 2))) (define-syntax (dbl stx) (syntax-case stx () [(_ n) (datum->syntax stx (twice (syntax-e #'n)))])) (dbl 21)", "42\n"),
    ("in bodies", "(let ([k 10]) (define-syntax (add stx) (syntax-case stx () [(_ a) #'(+ a k)])) (let ([k 1]) (add k)))", "11\n"),
    ("syntax parameters", "(define-syntax-parameter it (lambda (stx) (raise-syntax-error #f \"no it\" stx))) (define-syntax-rule (aif c a b) (let ([v c]) (if v (syntax-parameterize ([it (make-rename-transformer #'v)]) a) b))) (aif 7 (+ it 1) 0)", "8\n"),
    ("syntax-parse", "(require (for-syntax racket/base syntax/parse)) (define-syntax (m stx) (syntax-parse stx [(_ x:id e:expr) #'(define x e)] [(_ n:number) #'(* n 2)])) (m a 9) a (m 4)", "9\n8\n"),
    ("define-syntax-parse-rule", "(require syntax/parse/define) (define-syntax-parse-rule (my-unless c:expr body:expr ...) (if c (void) (begin body ...))) (my-unless #f 1 2)", "2\n"),
]  # fmt: skip


@cases(MACROS)
async def test_a_procedural_macro_expands_as_in_racket(program: str, printed: str) -> None:
    """syntax-case, templates, with-syntax, and what of syntax-parse scripts use."""
    await prints(program, printed)


@pytest.mark.parametrize(
    ("program", "message"),
    [
        ("(define-syntax (m stx) (syntax-case stx () [(_ a) #'a])) (m 1 2)", "m: bad syntax, got (m 1 2)"),
        ("(define-syntax (m stx) (syntax-parse stx [(_ x:id) #'1])) (m 2)", "m: bad syntax, got (m 2)"),
        ("(define-syntax (m stx) (syntax-parse stx [(_ x:color) #'1])) (m 2)", "syntax-parse: there is no syntax class color; there are id"),
        ("(define-syntax (m stx) (syntax-parse stx [(_ (~fail \"no\")) #'1])) (m 2)", "syntax-parse: there is no ~fail in patterns here; write a clause"),
        ("(define-syntax (m stx) (syntax-parse stx [(_ x ...+) #'1])) (m)", "m: bad syntax, got (m)"),
        ("(define-syntax (m stx) (syntax-case stx () [(_ a ...) #'(a)])) (m 1)", "syntax: missing ellipsis with pattern variable in template, got a"),
        ("(define-syntax (m stx) (raise-syntax-error 'm \"not so\" stx)) (m 1)", "m: not so"),
        ("(define-syntax-class c)", "define-syntax-class: there are no syntax classes of one's own here"),
        ("(define-syntax (m stx) #'(m)) m", "m: the expansion of this macro does not end"),
    ],
)  # fmt: skip
async def test_a_macro_that_is_used_wrongly_says_so(program: str, message: str) -> None:
    """As an error of the syntax, with its place."""
    result = await ran(program)
    assert result.error is not None
    assert result.error.message[: len(message)] == message


THREADS: Cases = [
    ("a channel hands over", "(define c (make-channel)) (define t (thread (λ () (for ([i 3]) (channel-put c i))))) (for/list ([i 3]) (channel-get c)) (thread-wait t) (thread-dead? t)", "'(0 1 2)\n#t\n"),
    ("a semaphore guards", "(define s (make-semaphore 1)) (define n 0) (define ts (for/list ([i 10]) (thread (λ () (for ([j 5]) (call-with-semaphore s (λ () (define old n) (sleep 0) (set! n (+ old 1))))))))) (for-each thread-wait ts) n", "50\n"),
    ("mail", "(define t (thread (λ () (let loop () (define m (thread-receive)) (printf \"got ~a\\n\" m) (unless (eq? m 'stop) (loop)))))) (thread-send t 'a) (thread-send t 'stop) (thread-wait t)", "got a\ngot stop\n"),
    ("events", "(sync (wrap-evt (thread (λ () 1)) (λ (t) 'ended))) (sync (choice-evt never-evt (wrap-evt always-evt (λ (e) 'always)))) (sync/timeout 0 never-evt) (sync/timeout 0.001 (make-channel)) (sync/timeout (λ () 'late) never-evt)", "'ended\n'always\n#f\n#f\n'late\n"),
    ("channels with room", "(define a (make-async-channel 2)) (void (thread (λ () (for ([i 5]) (async-channel-put a i))))) (for/list ([i 5]) (async-channel-get a)) (async-channel-try-get a)", "'(0 1 2 3 4)\n#f\n"),
    ("what a thread raises ends it alone", "(define t (thread (λ () (error \"boom\")))) (thread-wait t) 'on", "'on\n"),
    ("killing", "(define t (thread (λ () (let loop () (sleep 0) (loop))))) (thread-running? t) (kill-thread t) (thread-dead? t)", "#t\n#t\n"),
    ("a pipe", "(define-values (in out) (make-pipe)) (void (thread (λ () (displayln \"hello\" out) (write '(1 2) out) (close-output-port out)))) (read-line in) (read in) (read in)", "\"hello\"\n'(1 2)\n#<eof>\n"),
    ("a nested thread's value", "(call-in-nested-thread (λ () 5))", "5\n"),
    ("parameters are inherited", "(define p (make-parameter 1)) (define c (make-channel)) (parameterize ([p 2]) (void (thread (λ () (channel-put c (p)))))) (channel-get c)", "2\n"),
]  # fmt: skip


@cases(THREADS)
async def test_threads_meet_as_in_racket(program: str, printed: str) -> None:
    """Channels, semaphores, mailboxes, events."""
    await prints(program, printed)


async def test_what_a_thread_raises_is_told_on_standard_error() -> None:
    """Once."""
    assert (await ran('(thread-wait (thread (λ () (error "boom"))))')).stderr == "boom\n"


async def test_waiting_for_what_nobody_does_is_an_error() -> None:
    """For a channel, and for a pipe."""
    for program in ("(channel-get (make-channel))", "(define-values (in out) (make-pipe)) (read-line in)"):
        result = await ran(program)
        assert result.error is not None
        assert result.error.type == "exn:fail:deadlock"


CONTROL: Cases = [
    ("shift", "(reset (+ 1 (shift k (k (k 2)))))", "4\n"),
    ("shift that gives up", "(+ 1 (reset (+ 10 (shift k 5))))", "6\n"),
    ("shift twice", "(reset (list (shift k (append (k 1) (k 2))) (shift k (append (k 'a) (k 'b)))))", "'(1 a 1 b 2 a 2 b)\n"),
    ("generators of it", "(define (walk t) (when (pair? t) (walk (car t)) (shift k (cons (cdr t) (k (void)))))) (reset (walk '((() . 1) . 2)) '())", "'(1 2)\n"),
    ("control", "(prompt (+ 2 (control k (k 5))))", "7\n"),
    ("aborting", "(call-with-continuation-prompt (λ () (+ 1 (abort-current-continuation (default-continuation-prompt-tag) (λ () 9)))))", "9\n"),
    ("a tag and its handler", "(define t (make-continuation-prompt-tag)) (call-with-continuation-prompt (λ () (+ 1 (abort-current-continuation t 1 2))) t list)", "'(1 2)\n"),
    ("composing", "(define k #f) (call-with-continuation-prompt (λ () (+ 1 (call-with-composable-continuation (λ (c) (set! k c) 1))))) (k 5) (+ 100 (k (k 1)))", "2\n6\n103\n"),
    ("a raise leaves prompts", "(reset (list (with-handlers ([symbol? values]) (reset (raise 'x))) (shift k (k 1))))", "'(x 1)\n"),
    ("values", "(call-with-values (λ () (reset (values 1 2))) list)", "'(1 2)\n"),
    ("marks", "(with-continuation-mark 'k 1 (continuation-mark-set-first #f 'k))", "1\n"),
]  # fmt: skip


@cases(CONTROL)
async def test_what_is_captured_ends_at_the_prompt(program: str, printed: str) -> None:
    """shift and reset, prompts and aborts."""
    await prints(program, printed)


async def test_without_a_prompt_there_is_nothing_to_capture() -> None:
    """A condition says so."""
    result = await ran("(shift k 1)")
    assert result.error is not None
    assert (result.error.type, result.error.message.splitlines()[0]) == (
        "exn:fail:contract:continuation",
        "shift: no corresponding prompt in the continuation",
    )


DATA: Cases = [
    ("dates", "(define d (seconds->date 951782399)) (list (date-year d) (date-month d) (date-day d) (date-hour d) (date-week-day d) (date-year-day d)) (date->seconds d) (find-seconds 0 0 0 1 3 2000)", "'(2000 2 28 23 1 58)\n951782399\n951868800\n"),
    ("dates as text", "(define d (seconds->date 951782399)) (date->string d) (for ([f '(iso-8601 rfc2822 german)]) (parameterize ([date-display-format f]) (println (date->string d #t))))", '"Monday, February 28th, 2000"\n"2000-02-28T23:59:59"\n"Mon, 28 Feb 2000 23:59:59 +0000"\n"28. February 2000, 23.59"\n'),
    ("dates before the epoch", "(define d (seconds->date -1)) (list (date-year d) (date-second d)) (date->seconds d)", "'(1969 59)\n-1\n"),
    ("paths", '(path->string (build-path "a" "b/" "c.txt")) (build-path "/x" "y") (file-name-from-path "a/b.c") (path-get-extension "a/b.tar.gz") (path->string (path-replace-extension "a/b.c" ".o")) (map path->string (filter path? (explode-path "/a/b")))', '"a/b/c.txt"\n#<path:/x/y>\n#<path:b.c>\n#".gz"\n"a/b.o"\n\'("/" "a" "b")\n'),
    ("paths taken apart", '(split-path "a/b/c") (simplify-path "a/./b/../c") (path-only "a/b") (absolute-path? "/a") (~a (build-path "a" \'up "b"))', '#<path:a/b/>\n#<path:c>\n#f\n#<path:a/c>\n#<path:a/>\n#t\n"a/../b"\n'),
    ("bytes", '(bytes-join (list #"a" #"b") #", ") (bytes->hex-string #"\\1\\377") (hex-string->bytes "01ff") (integer->integer-bytes 258 2 #f #t) (integer-bytes->integer #"\\377\\376" #t #t) (bytes-append* (list #"a" #"b"))', '#"a, b"\n"01ff"\n#"\\1\\377"\n#"\\1\\2"\n-2\n#"ab"\n'),
    ("digests", '(sha1 (open-input-string "abc")) (md5 #"abc") (bytes->hex-string (sha256-bytes #""))', '"a9993e364706816aba3e25717850c26c9cd0d89d"\n#"900150983cd24fb0d6963f7d28e17f72"\n"e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"\n'),
    ("bytes through ports of text", '(void (write-bytes #"ab\\n")) (define p (open-input-string "aé1")) (read-byte p) (peek-bytes 2 0 p) (read-bytes 2 p) (read-char p) (read-byte p)', 'ab\n97\n#"\\303\\251"\n#"\\303\\251"\n#\\1\n#<eof>\n'),
    ("output as bytes", '(with-output-to-bytes (λ () (display "é"))) (call-with-output-bytes (λ (p) (write-byte 65 p))) (port->bytes (open-input-string "x"))', '#"\\303\\251"\n#"A"\n#"x"\n'),
    ("copying ports", '(define o (open-output-string)) (copy-port (open-input-string "abc") o) (get-output-string o) (port->string (input-port-append #f (open-input-string "a") (open-input-string "b")))', '"abc"\n"ab"\n'),
    ("patterns of bytes", '(regexp-match #rx#"b+" "abbc") (regexp-match* #px#"\\\\d+" #"a1b22") (byte-regexp? #rx#"a") (byte-pregexp #"a") (regexp-replace #rx#"b" #"abc" #"X")', '\'(#"bb")\n\'(#"1" #"22")\n#t\n#px#"a"\n#"aXc"\n'),
    ("patterns on ports", '(define p (open-input-string "x 42 y 17 z")) (regexp-match #px"\\\\d+" p) (regexp-match-peek #px"\\\\d+" p) (regexp-match #px"\\\\d+" p) (read-string 9 p) (regexp-match #px"\\\\d+" p)', '\'(#"42")\n\'(#"17")\n\'(#"17")\n" z"\n#f\n'),
    ("a failed try takes nothing", '(define p (open-input-string "abc")) (regexp-try-match #rx"z" p) (read-char p) (regexp-match #rx"z" p) (read-char p)', "#f\n#\\a\n#f\n#<eof>\n"),
    ("heaps", "(define h (make-heap <=)) (heap-add! h 5 1 3) (heap-min h) (heap-remove-min! h) (heap->vector h) (heap-count h) (for/list ([x (in-heap/consume! h)]) x)", "1\n'#(3 5)\n2\n'(3 5)\n"),
    ("mutable pairs", "(define p (mcons 1 2)) (set-mcar! p 'a) p (mlist->list (mlist 1 2)) (mpair? p) (pair? p)", "(mcons 'a 2)\n'(1 2)\n#t\n#f\n"),
    ("number theory", "(factorize 360) (prime? 1000003) (divisors 12) (next-prime 13) (totient 36) (modular-inverse 3 11) (modular-expt 2 100 7) (solve-chinese '(2 3) '(3 5)) (binomial 5 2) (factorial 5) (prime? (* 1000003 1000033))", "'((2 3) (3 2) (5 1))\n#t\n'(1 2 3 4 6 12)\n17\n12\n4\n2\n8\n10\n120\n#f\n"),
]  # fmt: skip


@cases(DATA)
async def test_a_library_gives_what_rackets_gives(program: str, printed: str) -> None:
    """Dates in UTC, Unix paths."""
    await prints(program, printed)


@pytest.mark.parametrize(
    ("program", "message"),
    [
        ('(build-path "a" "/b")', "build-path: absolute path cannot be added to a path"),
        ("(find-seconds 0 0 0 30 2 2001)", "find-seconds: non-existent date"),
        ("(heap-min (make-heap <))", "heap-min: empty heap"),
        ("(integer->integer-bytes 300 1 #f)", "integer->integer-bytes: integer does not fit into the requested bytes"),
        ('(hex-string->bytes "0g")', "hex-string->bytes: contract violation"),
        ("(modular-inverse 2 4)", "modular-inverse: contract violation"),
        ("(factorize 0)", "factorize: contract violation"),
        ('(read-byte (open-input-string "é"))', "read-byte: the bytes end in the middle of a character"),
        ("(mcar '(1))", "mcar: contract violation"),
        ("(thread 5)", "thread: contract violation"),
        ("(channel-get 5)", "channel-get: contract violation"),
    ],
)  # fmt: skip
async def test_a_wrong_argument_is_named(program: str, message: str) -> None:
    """As everywhere."""
    result = await ran(program)
    assert result.error is not None
    assert result.error.message[: len(message)] == message


async def test_what_rackunit_finds_is_told_on_standard_error() -> None:
    """With the case's name, and the program goes on; a suite counts."""
    result = await ran(
        "#lang racket\n(require rackunit rackunit/text-ui)"
        '(check-equal? 1 2 "why") (test-case "c" (check-true #f) (displayln "never"))'
        '(run-tests (test-suite "all" (test-case "a" (check-equal? 1 1)) (test-equal? "b" 2 3)'
        ' (test-suite "inner" (test-case "e" (error "boom")))))'
        '(check-match \'(1 2) (list a b) (= b 2)) (check-within \'(1.0) \'(1.001) 0.01) (check-exn #rx"x" (λ () (error "x")))'
    )
    assert result.stdout == "1 success(es) 1 failure(s) 1 error(s) 3 test(s) run\n2\n"
    rule = "--------------------\n"
    assert result.stderr == (
        f'{rule}FAILURE\nname:       check-equal?\nactual:     1\nexpected:   2\nmessage:    "why"\n{rule}'
        f"{rule}c\nFAILURE\nname:       check-true\nparams:     '(#f)\n{rule}"
        f"{rule}all > b\nFAILURE\nname:       check-equal?\nactual:     2\nexpected:   3\n{rule}"
        f"{rule}all > inner > e\nERROR\n\nboom\n{rule}"
    )
