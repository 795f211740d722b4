"""Strings, ports and regular expressions where they could go wrong: Unicode, time, pauses."""

from __future__ import annotations

import json

import pytest

from rlm_wasm import Limits, Runtime
from rlm_wasm.testing import EchoProvider


async def value_of(program: str, **limits: int) -> str:
    """What the program's last expression is, in display form."""
    async with Runtime(provider=EchoProvider(), python="off", limits=Limits(**limits)) as runtime:
        result = await runtime.run(program)
    assert result.error is None, result.error
    return result.value


@pytest.mark.parametrize(
    ("expression", "value"),
    [
        ('(string-upcase "straße ﬁn")', "STRASSE FIN"),
        ('(string-downcase "ΑΣ ΑΣΑ ΣΣ")', "ας ασα σς"),
        ('(string-ci=? "Straße" "STRASSE")', "#t"),
        ('(string-length (string-normalize-nfd "é"))', "2"),
        ("(let ((s (make-string 3 #\\a))) (string-set! s 1 #\\😀) s)", "a😀a"),
        ("(bytes->string/utf-8 (bytes 97 255 98) #\\?)", "a?b"),
    ],
)
async def test_case_and_width_follow_unicode(expression: str, value: str) -> None:
    """Full mappings, the final sigma, characters beyond 16 bits, ill-formed bytes."""
    assert await value_of(expression) == value


@pytest.mark.parametrize(
    "pattern", ["(a|a)*b", "(?:a+)+b", ".*.*=.*", "(a|aa)+$x", "(?=(a+)+b)a", "(?!(?:a|a)*b)x"]
)
async def test_a_pattern_made_to_be_slow_takes_linear_time(pattern: str) -> None:
    """A backtracker without a memory would need 2^5000 steps for most of these."""
    assert await value_of(f'(regexp-match (pregexp "{pattern}") (make-string 5000 #\\a))') == "#f"


async def test_a_back_reference_that_explodes_ends_by_the_fuel_limit() -> None:
    """It cannot be linear; it is charged and can be stopped, and nothing else is harmed."""
    program = (
        '(regexp-match #px"(a*)(a*)(a*)(a*)(a*)(a*)\\\\1\\\\2\\\\3\\\\4\\\\5\\\\6b" (make-string 400 #\\a))'
    )
    async with Runtime(provider=EchoProvider(), python="off", limits=Limits(fuel=200_000_000)) as runtime:
        session = runtime.session()
        result = await session.execute(program)
        assert (result.status, result.error and result.error.kind) == ("limit", "fuel")
        await session.aclose()


async def test_every_match_of_a_large_text_is_found_across_pauses() -> None:
    """The text is gone through in many slices."""
    program = """
      (define text (string-append* (map (lambda (i) (format "item ~a costs 1,~a.\\n" i i)) (range 20000))))
      (list (length (regexp-match* #px"[0-9]+" text))
            (length (regexp-split #rx"\\n" text))
            (string-length (regexp-replace* #rx"item" text "thing"))
            (- (string-length text)))
    """
    numbers = [int(n) for n in (await value_of(program)).strip("()").split()]
    assert numbers[:2] == [60_000, 20_001]
    assert numbers[2] + numbers[3] == 20_000


async def test_a_string_port_reads_back_what_was_written() -> None:
    """Characters of every width, lines, and the end."""
    program = """
      (define out (open-output-string))
      (for-each (lambda (s) (write-string s out) (newline out)) '("plain" "é" "€" "😀"))
      (define in (open-input-string (get-output-string out)))
      (let loop ((lines '()))
        (let ((line (read-line in)))
          (if (eof-object? line) (reverse lines) (loop (cons line lines)))))
    """
    assert await value_of(program) == "(plain é € 😀)"


@pytest.mark.parametrize("letter", ["a", "é", "λ", "😀"])
async def test_short_texts_are_copied_whole_at_every_length_and_over_themselves(letter: str) -> None:
    """Words that overlap at the end move them: every length near a word's, shifted either way in one string."""
    text = "".join(chr(ord(letter) + i % 7) for i in range(80))
    program = f"""
        (define text "{text}")
        (define (moved length shift)
          (define s (string-copy text))
          (string-copy! s (+ 8 shift) s 8 (+ 8 length))
          (list (string-append "<" (substring text 3 (+ 3 length)) ">") s))
        (for*/list ([length 36] [shift '(-3 -1 0 1 5)]) (moved length shift))"""
    async with Runtime(provider=EchoProvider(), python="off") as runtime:
        found = (await runtime.run(program)).data
    expected = []
    for length in range(36):
        for shift in (-3, -1, 0, 1, 5):
            moved = text[: 8 + shift] + text[8 : 8 + length] + text[8 + shift + length :]
            expected.append([f"<{text[3 : 3 + length]}>", moved])
    assert found == expected


@pytest.mark.parametrize("letter", ["a", "é", "λ", "😀"])
async def test_json_strings_of_every_length_are_read_with_and_without_escapes(letter: str) -> None:
    """A short one without an escape has a way of its own: on either side of where that ends both give the same."""
    lengths = [0, 1, 2, 7, 8, 31, 33, 254, 255, 256, 257, 258, 600]
    texts = [letter * n + end for n in lengths for end in ("", "\n", '"', "\\x")]
    texts += ["\n" + text for text in texts]
    async with Runtime(provider=EchoProvider(), python="off") as runtime, runtime.session() as session:
        await session.load_context(json.dumps(texts))
        await session.execute("(define read-as-it-is (string->jsexpr context))")
        await session.load_context(json.dumps(texts, ensure_ascii=False))
        result = await session.execute("(list read-as-it-is (string->jsexpr context))")
    assert result.data == [texts, texts]


@pytest.mark.parametrize("length", [0, 3, 255, 256, 257])
async def test_a_json_string_that_does_not_end_is_refused_at_every_length(length: int) -> None:
    """Also where the text ends in the middle of the short way."""
    program = f'(string->jsexpr (string-append "\\"" (make-string {length} #\\a)))'
    async with Runtime(provider=EchoProvider(), python="off") as runtime:
        result = await runtime.run(program)
    assert "a string that does not end begins" in str(result.error)


async def test_a_short_format_gives_what_it_gives_in_front_of_a_long_text() -> None:
    """Short formats of plain values are made in one step; a long text after them has each value printed by itself."""
    program = r"""
      (struct p (x y)) (struct t (x) #:transparent)
      (define circle (let ([c (list 1 2)]) (set-cdr! (cdr c) c) c))
      (define values
        (list 0 -5 -4611686018427387904 12345678901234567890 1.5 -0.0 1/3 "a\"b\nc" "" 'sym '|a b| '() '(1 2 . 3) ''x
              '(a (b "c" #\x) 2.5) #\a #\space (void) #t #f car (vector 1 2) (hash 1 2) (box 1) (string #\λ) "λ€𝄞" '#:kw
              (list "x" 'y '#:z (list)) (make-string 501 #\q) (iota 101) (list (iota 60) (iota 60)) (p 1 2) (list (t 1))
              eof circle))
      (define long (make-string 2001 #\.))
      (for*/list ([v values] [place '("~a" "~s" "~v" "λ~A~~" "~S~n" "~V~%~a")]
                  #:unless (let ([all (append (list v) (if (equal? place "~V~%~a") '(2) '()))])
                             (equal? (string-append (apply format place all) long)
                                     (apply format (string-append place long) all))))
        (list place v))
    """
    assert await value_of(program) == "()"


@pytest.mark.parametrize(
    ("call", "message"),
    [
        ('(format "~a ~a" 1)', "format: format string requires 2 arguments, given 1; arguments were: 1"),
        ('(format "~a" 1 2)', "format: format string requires 1 arguments, given 2; arguments were: 1 2"),
        ('(format "~q" 1)', "tag `~q` not allowed"),
        ('(format "~a ~" 1)', "cannot end in `~`"),
    ],
)
async def test_a_format_that_does_not_fit_its_values_is_told(call: str, message: str) -> None:
    program = f"(with-handlers ([exn:fail? exn-message]) {call})"
    assert message in await value_of(program)
