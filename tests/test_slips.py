"""What looks right and is not: it fails and says what to write, or leaves a line in Result.warnings."""

from __future__ import annotations

import asyncio

import pytest

from rlm_wasm import Runtime
from rlm_wasm.execution.outcome import MAX_WARNING, MAX_WARNINGS
from rlm_wasm.mcp import render
from rlm_wasm.providers.base import Completion, CompletionRequest
from rlm_wasm.results import Result
from rlm_wasm.testing import GatedProvider, InlineProvider

TEXT = "alpha 12\nbeta x34\r\ngamma"


async def searched(runtime: Runtime, program: str) -> Result:
    """The Result of a program in a session with a main context and one called notes."""
    async with runtime.session() as session:
        await session.load_context(TEXT)
        await session.load_context("named text", "notes")
        return await session.execute(program)


# ---- map-async


@pytest.mark.parametrize(
    "taken", ["(lambda (message) message)", "(lambda (message item) message)", "identity"]
)
async def test_on_error_gets_the_message_as_try_does(runtime: Runtime, taken: str) -> None:
    """A string, of a condition and of any other value that was raised."""
    program = "(map-async (lambda (x) (if (= x 1) (error \"bad\" x) (raise 'no))) '(1 2) #:on-error {})"
    result = await runtime.run(program.format(taken))
    tried = await runtime.run(
        '(list (try (error "bad" 1) on-error identity) (try (raise \'no) on-error identity))'
    )
    assert result.data == tried.data, result.error
    assert result.data[0] == "bad 1"


async def test_a_handler_that_takes_nothing_is_refused_before_any_call(answers: InlineProvider) -> None:
    """It would break the map at the first failure, in the middle of a run."""
    async with Runtime(provider=answers) as runtime:
        result = await runtime.run(
            '(map-async (lambda (x) (llm-query-async #:instruction "q")) \'(1) #:on-error (lambda () 1))'
        )
    assert result.error is not None
    assert "(lambda (message) ...)" in result.error.message
    assert result.execution.calls == 0


# ---- contexts


@pytest.mark.parametrize("pattern", ['"x34"', '#rx"x3"', '#px"x\\\\d+"'])
async def test_a_search_gives_the_hits_offset_and_its_line_for_strings_and_patterns_alike(
    runtime: Runtime, pattern: str
) -> None:
    """The line without its end."""
    result = await searched(runtime, f"(car (context-search {pattern}))")
    assert result.value == "(14 . beta x34)", result.error
    assert result.warnings == ()


@pytest.mark.parametrize("pattern", ['"needle"', '#rx"needle"'])
async def test_of_a_long_line_the_part_around_the_hit_is_shown(runtime: Runtime, pattern: str) -> None:
    """Up to 2,000 characters, the hit among them."""
    async with runtime.session() as session:
        await session.load_context("first\n" + "a" * 9_000 + "needle" + "b" * 500)
        result = await session.execute(f"(context-search {pattern})")
    ((offset,), line) = (result.data[0].items, result.data[0].tail)
    assert offset == 9_006
    assert len(line) == 2_000
    assert "needle" in line


@pytest.mark.parametrize("pattern", ["order \\\\d+", "a.*b", "[0-9]+", "^alpha", "alpha|omega"])
async def test_a_string_that_reads_like_a_pattern_and_finds_nothing_leaves_a_warning(
    runtime: Runtime, pattern: str
) -> None:
    """It names the procedure, the string and what to write."""
    result = await searched(runtime, f'(context-search "{pattern}")')
    assert result.data == []
    (warning,) = result.warnings
    assert warning.startswith("context-search: found nothing")
    assert f'#px"{pattern}"' in warning


async def test_a_string_that_was_found_or_is_no_pattern_leaves_none(runtime: Runtime) -> None:
    """Whatever characters it has."""
    assert (await searched(runtime, '(context-search "zeta")')).warnings == ()
    async with runtime.session() as session:
        await session.load_context("costs a.*b")
        assert (await session.execute('(context-search "a.*b")')).warnings == ()


@pytest.mark.parametrize(
    ("program", "names"),
    [
        ('(string-split "a  b" "\\\\s+")', 'string-split: found nothing; "\\\\s+"'),
        ('(string-replace "a1" "\\\\d" "")', 'string-replace: found nothing; "\\\\d"'),
        ('(string-search-forward "\\\\d" "a1")', 'string-search-forward: found nothing; "\\\\d"'),
        ('(regexp-match "\\\\d+" "12")', 'regexp: in "\\\\d+"'),
    ],
)
async def test_other_literals_that_read_like_patterns_leave_one_too(
    runtime: Runtime, program: str, names: str
) -> None:
    """Where a backslash before a letter means that letter."""
    (warning,) = (await runtime.run(program)).warnings
    assert warning.startswith(names)


@pytest.mark.parametrize(
    "use", ["(get-context {})", "(context-length {})", "(context-slice 0 1 {})", '(context-search "a" {})']
)
async def test_a_name_that_is_no_context_says_which_there_are(runtime: Runtime, use: str) -> None:
    """Whatever it is used for."""
    result = await searched(runtime, use.format('"ntoes"'))
    assert result.error is not None
    assert "no context named 'ntoes' (loaded: notes; the main one" in result.error.message
    assert result.error.message.endswith("did you mean 'notes'?")


async def test_of_many_names_some_are_shown_and_the_near_one() -> None:
    """Named by a symbol as well."""
    async with Runtime(provider="echo") as runtime, runtime.session() as session:
        for number in range(50):
            await session.load_context("text", f"chapter-{number:02}")
        result = await session.execute("(get-context 'chaptre-49)")
    assert result.error is not None
    assert result.error.message.endswith("chapter-19 and 30 more); did you mean 'chapter-49'?")
    assert "named 'chaptre-49'" in result.error.message


async def test_get_context_gives_its_default_for_a_name_that_is_none(runtime: Runtime) -> None:
    """A value, or what a procedure gives."""
    result = await searched(
        runtime, '(list (get-context "x" #f) (get-context "x" (lambda () 1)) (get-context "notes" #f))'
    )
    assert result.data == [False, 1, "named text"], result.error


@pytest.mark.parametrize(
    ("range_", "expected"),
    [("0 500", TEXT), ("6 8", "12"), ("20 900", TEXT[20:]), ("400 500", "")],
)
async def test_a_slice_gives_what_there_is_of_its_range(runtime: Runtime, range_: str, expected: str) -> None:
    """Beyond the end there is nothing."""
    result = await searched(runtime, f"(context-slice {range_})")
    assert (result.status, result.value) == ("ok", expected)


# ---- what was used


async def test_usage_counts_the_session_in_calls_and_in_money_and_by_model() -> None:
    """cost-used, tokens-used and usage have one scope: all executions of the session."""

    def answer(request: CompletionRequest) -> Completion:
        return Completion(text="a", model=request.model or "m", prompt_tokens=10, completion_tokens=5)

    async with Runtime(provider=InlineProvider(answer)) as runtime, runtime.session() as session:
        await session.execute('(llm-query #:instruction "q" #:model "gpt-4o-mini")')
        await session.execute(
            '(map-async (lambda (i) (llm-query-async #:instruction "q" #:model "other")) (range 2))'
        )
        result = await session.execute(
            "(define (of table . keys) (map (lambda (key) (hash-ref table key)) keys))"
            "(list (of (cost-used) 'calls) (of (tokens-used) 'prompt_tokens 'completion_tokens 'total_tokens)"
            " (of (hash-ref (usage) 'gpt-4o-mini) 'calls 'total_tokens)"
            " (of (hash-ref (usage) \"other\") 'calls 'prompt_tokens 'completion_tokens 'cached))"
        )
    assert result.data == [[3], [30, 15, 45], [1, 15], [2, 20, 10, 0]], result.error


# ---- match, require


@pytest.mark.parametrize(
    ("pattern", "says"),
    [
        ("(pont x)", "no struct, named pont; did you mean point?"),
        ("(lst x)", "did you mean list"),
        ("(Some x)", "named Some; define (struct Some (...)) above"),
        ("(list (Some x))", "named Some"),
        ("(hash 'a)", "a key without a pattern"),
        ("(hash 'a x #:opne)", "#:open, #:closed or #:rest"),
        ("(hash 'a x #:open y)", "nothing may follow"),
        ("(hash* 'a x)", "expected [key pattern]"),
        ("(hash* ['a x #:defualt 1])", "expected #:default"),
    ],
)
async def test_a_pattern_that_is_none_is_a_syntax_error_that_names_it(
    runtime: Runtime, pattern: str, says: str
) -> None:
    """Though no value would ever reach it."""
    result = await runtime.run(f"(struct point (x)) (define (f v) (match v [{pattern} 1] [_ 2])) 5")
    assert result.error is not None
    assert result.error.type == "exn:fail:syntax"
    assert says in result.error.message


@pytest.mark.parametrize(
    ("pattern", "expected"),
    [
        ("(hash 'a x)", "no"),
        ("(hash 'a x 'b y)", "(1 2)"),
        ("(hash 'a x #:open)", "1"),
        ("(hash 'a x #:rest (hash 'b y))", "(1 2)"),
        ("(hash* ['a x])", "1"),
        ("(hash* ['a x] #:closed)", "no"),
        ("(hash* ['a x] ['c y #:default 9])", "(1 9)"),
        ("(hash* ['a x] ['b y] ['c z #:default 9] #:closed)", "(1 2)"),
    ],
)
async def test_hash_patterns_are_rackets(runtime: Runtime, pattern: str, expected: str) -> None:
    """Closed, open, with the rest, with defaults; in tables that can change, too."""
    body = "(list x y)" if "y" in pattern else "x"
    for make in ("hash", "(lambda l (hash-copy (apply hash l)))"):
        result = await runtime.run(f"(match ({make} 'a 1 'b 2) [{pattern} {body}] [_ 'no])")
        assert result.value == expected, (make, result.error)


@pytest.mark.parametrize(
    ("module", "says"),
    [
        ("nosuch/module", "there is no module nosuch/module; there are racket racket/base"),
        ("racket/lisst", "did you mean racket/list?"),
        ("(only-in racket/strng string-join)", "did you mean racket/string?"),
        ('"helpers.rkt"', "no module files here"),
    ],
)
async def test_requiring_what_is_not_there_is_an_error_that_names_what_is(
    runtime: Runtime, module: str, says: str
) -> None:
    """Its names would be missed only later."""
    result = await runtime.run(f"(require racket/list {module}) 5")
    assert result.error is not None
    assert says in result.error.message


async def test_requiring_a_module_of_rackets_that_is_absent_leaves_a_warning(runtime: Runtime) -> None:
    """A program that uses nothing of it runs."""
    result = await runtime.run("(require racket/list racket/file (for-syntax racket/base)) (first '(1))")
    assert result.value == "1"
    assert [text.split(" here")[0] for text in result.warnings] == ["require: there is no racket/file"]


async def test_require_gives_the_names_that_it_says(runtime: Runtime) -> None:
    """only-in and rename-in."""
    result = await runtime.run(
        "(require (only-in racket/string [string-join joined] string-trim) (rename-in racket/list [first head]))"
        '(list (joined \'("a" "b")) (head \'(1)))'
    )
    assert result.data == ["a b", 1], result.error


@pytest.mark.parametrize(
    ("program", "words"),
    [
        (
            "(require (only-in racket/list frist))",
            "there is no frist in racket/list here; did you mean first?",
        ),
        (
            "(require (except-in racket/list frist))",
            "there is no frist in racket/list here; did you mean first?",
        ),
        (
            "(require (only-in racket/list first qqqqqqqqq))",
            "require: there is no qqqqqqqqq in racket/list here.",
        ),
    ],
)
async def test_a_name_that_no_module_has_leaves_a_warning(runtime: Runtime, program: str, words: str) -> None:
    """It may never be used, so it is no error."""
    result = await runtime.run(f"{program} 5")
    assert (result.data, result.status) == (5, "ok")
    (warning,) = result.warnings
    assert warning.endswith(words)


async def test_names_that_the_program_or_a_module_has_leave_none(runtime: Runtime) -> None:
    """Also those that an inner spec renamed, and those of modules that are not here at all."""
    result = await runtime.run(
        "(require (only-in racket/list zzz first) (only-in (rename-in racket/list [first head]) head)"
        " (except-in racket/string string-trim))"
        "(define (zzz) (head '(1))) (zzz)"
    )
    assert (result.data, result.warnings) == (1, ())


# ---- results of LLM calls that were not unwrapped

RESULT = '(llm-query #:instruction "q")'


@pytest.mark.parametrize(
    "program",
    [
        f"(remove-duplicates (list {RESULT} {RESULT}))",
        f"(group-by values (list {RESULT} {RESULT}))",
        f"(set {RESULT})",
        f"(for/hash ([v (list {RESULT})]) (values v 1))",
        f"(hash-set! (make-hash) {RESULT} 1)",
        f"(hash-set! (make-hash) (list 1 (vector {RESULT})) 1)",
        f'(hash-ref (hash "[q]" 1) {RESULT} #f)',
        f'(set-member? (set "[q]") {RESULT})',
    ],
)
async def test_a_result_as_a_key_leaves_a_line(program: str) -> None:
    """Two results with one text are two keys."""
    async with Runtime(provider=InlineProvider()) as runtime:
        result = await runtime.run(program)
    assert result.ok, result.error
    (warning,) = result.warnings
    assert warning.startswith("hash: the result of an LLM call is the key of a table or set")
    assert "(syntax-e v)" in warning


async def test_a_table_by_identity_may_have_results_as_keys() -> None:
    """That is what it is for."""
    async with Runtime(provider=InlineProvider()) as runtime:
        result = await runtime.run(f"(define v {RESULT}) (hash-ref (hasheq v 1) v)")
    assert (result.data, result.warnings) == (1, ())


async def test_memoized_takes_results_with_one_text_for_one_key() -> None:
    """The procedure is called once."""
    async with Runtime(provider=InlineProvider(lambda request: "same")) as runtime:
        result = await runtime.run(
            "(define count 0)"
            "(define f (memoized (lambda (v n) (set! count (+ count 1)) (string-append (syntax-e v) n))))"
            f'(list (f {RESULT} "a") (f {RESULT} "a") (f {RESULT} "b") count)'
        )
    assert (result.data, result.warnings) == (["samea", "samea", "sameb", 2], ())


@pytest.mark.parametrize(
    ("program", "words"),
    [
        (f'(format "S: ~a" {RESULT})', "format: the result of an LLM call was shown as #<scoped value"),
        (f'(format "S: ~s" (list {RESULT}))', "format: the result of an LLM call was shown"),
        (f'(~a "S: " {RESULT})', "~a: the result of an LLM call was shown"),
        (f'(printf "~a" {RESULT})', "printf: the result of an LLM call was shown"),
        ('(format "~a" (llm-query-async #:instruction "q"))', "format: the handle of an LLM call was shown"),
    ],
)
async def test_a_result_in_a_text_leaves_a_line(program: str, words: str) -> None:
    """In a prompt that is made of it the next model would read that there is one."""
    async with Runtime(provider=InlineProvider()) as runtime:
        result = await runtime.run(program)
    assert result.ok, result.error
    (warning,) = result.warnings
    assert warning.startswith(words)


@pytest.mark.parametrize(
    "program",
    [
        '(case {} [("[q]") 1] [else 2])',
        "(case {} [(yes) 1] [else 2])",
        "(case {} [(yes no maybe) 1])",
        "(if (equal? {} 'yes) 1 2)",
    ],
)
async def test_a_result_that_is_compared_as_data_leaves_a_line(program: str) -> None:
    """By case and with symbols as well."""
    async with Runtime(provider=InlineProvider()) as runtime:
        result = await runtime.run(program.format(RESULT))
    assert result.warnings[0].startswith("equal?: the result of an LLM call was compared with")


@pytest.mark.parametrize(
    "program",
    [
        "(case {} [(yes) 1] [(no) 2] [else 3])",
        "(case {} [(yes no maybe) 1])",
        "(if (equal? {} 'yes) 1 2)",
        "(member {} '(no yes))",
        "(assoc {} '((yes . 1)))",
        "(equal? (list 1 {}) '(1 yes))",
    ],
)
async def test_a_text_that_is_compared_with_the_symbol_of_its_name_leaves_a_line(
    runtime: Runtime, program: str
) -> None:
    """Answers are texts, and the data of case stand there without quotes."""
    result = await runtime.run(program.format("(string #\\y #\\e #\\s)"))
    assert result.ok, result.error
    (warning,) = result.warnings
    assert warning.startswith('equal?: the text "yes" was compared with the symbol yes')
    assert "(string->symbol text)" in warning


@pytest.mark.parametrize(
    "program",
    [
        '(case (string->symbol "yes") [(no) 1] [else 2])',
        '(case "other" [(yes) 1] [else 2])',
        "(case 5 [(yes) 1] [else 2])",
        '(member "no" \'("yes" maybe))',
        '(equal? \'yes "no")',
    ],
)
async def test_other_comparisons_leave_none(runtime: Runtime, program: str) -> None:
    """Where no name is the text's."""
    assert (await runtime.run(program)).warnings == ()


@pytest.mark.parametrize(
    "program",
    [
        '(hash-has-key? (hash \'name 1) "name")',
        '(hash-update (hash \'name 1) "name" add1 0)',
        "(hash-update! (make-hash '((\"name\" . 1))) 'name add1 0)",
    ],
)
async def test_the_twin_of_a_key_leaves_a_line_wherever_it_is_looked_for(
    runtime: Runtime, program: str
) -> None:
    """Not by hash-ref alone."""
    result = await runtime.run(program)
    assert result.ok, result.error
    assert result.warnings[0].startswith("hash: there is no key ")


@pytest.mark.parametrize(
    ("value", "data"),
    [
        ("(set {})", frozenset({"[q]"})),
        ("(let () (struct p (x y) #:transparent) (p {} (list {})))", {"x": "[q]", "y": ["[q]"]}),
        ("(vector (hash 'a (set {})))", ({"a": frozenset({"[q]"})},)),
    ],
)
async def test_finish_unwraps_within_sets_and_structs(value: str, data: object) -> None:
    """As within lists; a handle there is refused as well."""
    async with Runtime(provider=InlineProvider()) as runtime:
        result = await runtime.run(f"(finish {value.replace('{}', RESULT)})")
        handle = RESULT.replace("llm-query", "llm-query-async")
        refused = await runtime.run(f"(finish {value.replace('{}', handle)})")
    assert getattr(result.data, "fields", result.data) == data
    assert "finish: got an async handle" in str(refused.error)


# ---- JSON null


@pytest.mark.parametrize(
    "use",
    [
        '(string-append "a" v)',
        "(+ 1 v)",
        "(string-trim v)",
        "(string-join (list v))",
        "(string-length v)",
        "(< v 1)",
    ],
)
async def test_an_error_over_a_json_null_says_that_it_was_one(runtime: Runtime, use: str) -> None:
    """Null is a value, and true."""
    result = await runtime.run(f'(define v (hash-ref (string->jsexpr "{{\\"x\\": null}}") \'x)) {use}')
    assert result.error is not None
    assert "JSON null" in str(result.error)
    assert "json-null?" in str(result.error)


@pytest.mark.parametrize("walked", ["(for ([x {}]) x)", "(for/list ([(k v) {}]) k)", "(list-ref {} 0)"])
async def test_walking_over_a_json_null_says_that_it_is_one(runtime: Runtime, walked: str) -> None:
    """A key that JSON has with nothing in it."""
    result = await runtime.run(walked.format('(hash-ref (string->jsexpr "{\\"a\\": null}") \'a)'))
    assert result.error is not None
    assert "This is a JSON null" in str(result.error.hint)


@pytest.mark.parametrize(
    ("program", "expected"),
    [
        ('(map json-null? (list (json-null) 0 #f "null"))', [True, False, False, False]),
        ('(string->jsexpr "{\\"x\\": [null, 1]}" #:null #f)', {"x": [False, 1]}),
        ('(read-json (open-input-string "[null]") #:null \'none)', ["none"]),
        ("(jsexpr->string (hash 'a '(#f 1)) #:null #f)", '{"a":[null,1]}'),
        ('(jsexpr->string "é😀" #:encode \'all)', '"\\u00e9\\ud83d\\ude00"'),
    ],
)
async def test_json_null_and_encoding_are_what_the_program_says(
    runtime: Runtime, program: str, expected: object
) -> None:
    """#:null and #:encode are no decoration."""
    result = await runtime.run(program)
    assert result.data == expected, result.error


# ---- finish


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("(list q q)", ["[a]", "[a]"]),
        ("(hash 'x q)", {"x": "[a]"}),
        ('(let ([h (make-hash)]) (hash-set! h "x" (vector q (list q))) h)', {"x": ("[a]", ["[a]"])}),
        ("(cons 1 q)", None),
    ],
)
async def test_finish_unwraps_scoped_values_within_data(value: str, expected: object) -> None:
    """In lists, vectors and tables; what the value derives from is known."""
    async with Runtime(provider=InlineProvider(lambda _request: "[a]")) as runtime:
        result = await runtime.run(f'(define q (llm-query #:instruction "a")) (finish {value})')
    assert result.status == "finished", result.error
    assert "scoped" not in result.value
    if expected is not None:
        assert result.data == expected
    assert result.derived_from == (1,)


@pytest.mark.parametrize("value", ["h", "(list 1 h)", "(hash 'x (vector h))"])
async def test_finish_refuses_a_handle_and_says_to_await_it(runtime: Runtime, value: str) -> None:
    """What it stands for may not be there yet."""
    result = await runtime.run(f'(define h (llm-query-async #:instruction "a")) (finish {value})')
    assert result.error is not None
    assert "await" in result.error.message


async def test_finish_shows_procedures_and_circular_data_as_before(runtime: Runtime) -> None:
    """They hold nothing to unwrap."""
    assert (await runtime.run("(finish (list 1 car))")).value == "(1 #<procedure:car>)"
    assert (await runtime.run("(define l (list 1 2)) (set-cdr! l l) (finish l)")).value == "#0=(1 . #0#)"


# ---- options and names


@pytest.mark.parametrize(
    ("program", "says"),
    [
        ("(~r 3 #:notation 'sientific)", "'exponential"),
        ("(~r 3 #:base 'hex)", "integer-in 2 36"),
        ("(hash-map/copy (hash) cons #:kind 'mutabel)", "'mutable"),
        ("(pretty-format 1 #:mode 'prnt)", "'print"),
        ("(jsexpr->string 1 #:encode 'al)", "'all"),
        ('(read-line (open-input-string "") \'anny)', "any-one"),
        ("(struct p (x) #:transparant)", "did you mean #:transparent?"),
        ('(string-join \'("a") #:sep "x")', "procedure: string-join"),
    ],
)
async def test_an_option_that_is_none_is_an_error_that_names_those_that_are(
    runtime: Runtime, program: str, says: str
) -> None:
    """Under the procedure's public name."""
    result = await runtime.run(program)
    assert result.error is not None
    assert says in str(result.error)
    assert "%" not in str(result.error)


@pytest.mark.parametrize(
    ("call", "signature"),
    [
        ("((lambda () 1) 1)", "(lambda () ...)"),
        ("((lambda (s x) 1) 1)", "(lambda (s x) ...)"),
        ("((lambda (s [x 1] . r) 1))", "(lambda (s [x] . r) ...)"),
        ("((lambda (#:a a) 1) 1)", "(lambda (#:a a) ...)"),
        ("((case-lambda [(a) 1] [(a b) 2]))", "(lambda (a) ...) or (lambda (a b) ...)"),
    ],
)
async def test_the_signature_of_a_nameless_procedure_is_a_lambda_form(
    runtime: Runtime, call: str, signature: str
) -> None:
    """It reads as it would be written."""
    result = await runtime.run(call)
    assert result.error is not None
    assert result.error.hint == f"The signature is {signature}"


async def test_a_form_that_is_unbound_is_missed_before_the_brackets_in_it(runtime: Runtime) -> None:
    """(name () …) in the manner of another language."""
    result = await runtime.run("(genrator () (yield 1))")
    assert result.error is not None
    assert result.error.message.startswith("unbound variable: genrator")
    assert result.error.hint == "Did you mean generator?"


# ---- the channel


async def test_warnings_are_bounded_and_each_stands_once(runtime: Runtime) -> None:
    """In number and in length, whatever a program does in a loop."""
    result = await runtime.run(
        '(for ([i 1000]) (string-split "a" (string-append (make-string 3 (integer->char (+ 200 (modulo i 300)))) "\\\\d")))'
    )
    assert len(result.warnings) == len(set(result.warnings)) == MAX_WARNINGS
    assert all(len(text) <= MAX_WARNING for text in result.warnings)


async def test_warnings_belong_to_their_execution_and_come_with_an_error_too(runtime: Runtime) -> None:
    """The next one begins without."""
    async with runtime.session() as session:
        first = await session.execute('(string-split "a" "\\\\d") (car 5)')
        again = await session.execute('(string-split "a" "\\\\d")')
        after = await session.execute("1")
    assert first.status == "error"
    assert len(first.warnings) == 1
    assert again.warnings == first.warnings
    assert after.warnings == ()


async def test_warnings_stand_in_what_mcp_shows_and_in_the_plain_form(runtime: Runtime) -> None:
    """As text and as structured content."""
    result = await runtime.run('(string-split "a" "\\\\d")')
    assert f"warning: {result.warnings[0]}" in render.to_text(result)
    assert render.structured(result)["warnings"] == list(result.warnings)
    assert result.to_dict()["warnings"] == list(result.warnings)


async def test_warnings_outlive_a_snapshot_in_the_middle(gate: GatedProvider, gated: Runtime) -> None:
    """What was warned of before stands in the Result of the execution that goes on."""
    async with gated.session() as session:
        running = asyncio.create_task(
            session.execute('(string-split "a" "\\\\d") (syntax-e (llm-query #:instruction "q"))')
        )
        await gate.arrived(1)
        snapshot = await session.snapshot()
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)
    async with await gated.restore(snapshot) as restored:
        resumed = asyncio.create_task(restored.resume())
        await gate.arrived(1)
        gate.release()
        result = await resumed
    assert result.status == "ok", result.error
    assert len(result.warnings) == 1


# ---- what is never equal, never there, never heard


@pytest.mark.parametrize(
    "comparison",
    [
        '(equal? v "yes")',
        '(equal? "yes" v)',
        '(if (member v (list "yes" "no")) 1 2)',
        '(assoc v (list (cons "yes" 1)))',
        '(equal? (list 1 v) (list 1 "yes"))',
        "(equal? v w)",
        '(index-of (list "yes") v)',
    ],
)
async def test_a_result_that_is_compared_with_a_text_leaves_a_line(comparison: str, runtime: Runtime) -> None:
    """It is never equal: the text has to be unwrapped first."""
    values = '(define v (llm-query #:instruction "yes")) (define w (llm-query #:instruction "yes"))'
    result = await runtime.run(f"{values} {comparison}")
    assert result.ok, result.error
    assert any("unwrap its text first, with (syntax-e v)" in text for text in result.warnings)
    right = comparison.replace(" v", " (syntax-e v)").replace(" w", " (syntax-e w)")
    assert (await runtime.run(f"{values} {right}")).warnings == ()


@pytest.mark.parametrize(
    "lookup",
    [
        '(hash-ref (hash \'name 1) "name" #f)',
        "(hash-ref (make-hash '((\"name\" . 1))) 'name #f)",
        '(hash-ref (hasheq \'name 1) "name" (lambda () #f))',
    ],
)
async def test_the_twin_of_a_key_leaves_a_line(lookup: str, runtime: Runtime) -> None:
    """'name and "name" are two keys; a default would hide that."""
    result = await runtime.run(lookup)
    assert result.data is False
    (line,) = result.warnings
    assert "of that name, which is another key" in line


@pytest.mark.parametrize(
    "lookup",
    [
        '(hash-ref (hash "name" 1) "other" #f)',
        '(hash-ref (hash \'other 1) "name" #f)',
        "(hash-ref (hash) 'name #f)",
        "(hash-ref (hash 1 2) 'name #f)",
        '(hash-ref (string->jsexpr "{\\"name\\": 1}") "name" #f)',
        '(for/fold ([h (hash)]) ([w \'("a" "b" "a")]) (hash-update h w add1 0))',
    ],
)
async def test_a_key_that_is_just_not_there_leaves_none(lookup: str, runtime: Runtime) -> None:
    """What JSON gave takes symbols and strings alike."""
    assert (await runtime.run(lookup)).warnings == ()


@pytest.mark.parametrize(
    ("lookup", "hint"),
    [
        ("(hash-ref (tokens-used) 'total_token 0)", "did you mean total_tokens?"),
        ('(hash-ref (tokens-used) "totl_tokens" 0)', "did you mean total_tokens?"),
        ("(hash-ref (cost-used) 'cost 0)", "the keys are usd, calls."),
        ("(hash-ref (budget-remaining) 'token 0)", "did you mean tokens?"),
        ('(hash-ref (hash-ref (usage) "test") \'cost 0)', "the keys are calls, cached"),
    ],
)
async def test_a_misspelt_key_of_a_usage_table_leaves_a_line(
    lookup: str, hint: str, runtime: Runtime
) -> None:
    """All of its keys are known; a default would say that nothing was used."""
    result = await runtime.run(f'(llm-query #:instruction "q") {lookup}')
    assert result.data == 0
    (line,) = result.warnings
    assert hint in line


@pytest.mark.parametrize("key", ["'total_tokens", '"total_tokens"'])
async def test_a_usage_table_takes_symbols_and_strings(key: str, runtime: Runtime) -> None:
    """As JSON's do."""
    result = await runtime.run(f'(llm-query #:instruction "q") (hash-ref (tokens-used) {key})')
    assert (result.data, result.warnings) == (15, ())


@pytest.mark.parametrize("provider", ["extractive", "echo"])
async def test_a_model_that_is_none_is_told_of_by_providers_that_ignore_models(provider: str) -> None:
    """With another provider it would fail; a near miss is named."""
    async with Runtime(provider=provider) as runtime:
        call = '(llm-query #:instruction "Summarize." #:data "text" #:model "{}")'
        result = await runtime.run(call.format("gpt-4o-mni") * 2)
        (line,) = result.warnings
        assert "no model named gpt-4o-mni is known here; did you mean gpt-4o-mini?" in line
        for right in ("gpt-4o", "gpt-4o-2024-08-06", "gpt-4.1-nano", "o3-mini", "qwen2.5-72b-instruct",
                      "openai/gpt-5-mini", "claude-sonnet-4-5", "ft:gpt-4o-mini:org::id", provider):  # fmt: skip
            assert (await runtime.run(call.format(right))).warnings == (), right


async def test_roles_and_aliases_are_names_that_are_known() -> None:
    """The host gives them a meaning; a slip in one is told of as any other."""
    async with Runtime(provider="extractive", aliases={"reader": "cheap", "mine": "my-own"}) as runtime:
        call = '(llm-query #:instruction "Summarize." #:data "text" #:model {})'
        for right in ('"cheap"', "'middle", '"good"', "'reader", '"mine"'):
            assert (await runtime.run(call.format(right))).warnings == (), right
        (line,) = (await runtime.run(call.format('"raeder"'))).warnings
        assert "no model named raeder is known here; did you mean reader?" in line


async def test_warnings_of_a_sub_models_program_reach_the_result() -> None:
    """They would be lost with its sandbox."""
    text = '```scheme\n(finish (number->string (hash-ref (hash "a" 1) \'a 5)))\n```'
    async with Runtime(provider=InlineProvider(lambda request: text)) as runtime:
        result = await runtime.run('(syntax-e (llm-query #:instruction "q" #:data "d" #:recursive #t))')
    assert result.value == "5"
    assert result.warnings[0].startswith("in a sub-model's program: hash-ref: there is no key")


@pytest.mark.parametrize(
    ("call", "message"),
    [
        ('(llm-query #:instruction "q" #:json \'yes)', "#:json must be #t or #f"),
        ('(let ([j "true"]) (llm-query #:instruction "q" #:json j))', "#:json must be #t or #f"),
        (
            '(critique-refine ask ask2 ask2 #:max-iter "3")',
            "critique-refine: #:max-iter must be a whole number",
        ),
        ('(critique-refine ask ask2 ask2 #:quality-threshold "0.8")', "#:quality-threshold must be a number"),
        ("(iterate-until ask2 string? 1 #:max-iter -1)", "iterate-until: #:max-iter must be a whole number"),
        ("(ensemble (list ask) #:aggregator 'join)", "ensemble: contract violation"),
        ("(tree-reduce ask2 '(1 2) #:leaf-fn 5)", "tree-reduce: contract violation"),
        ('(active-learning ask2 ask2 ask2 \'(1) #:threshold "0.7")', "#:threshold must be a number"),
        ("(active-learning ask2 ask2 5 '(1))", "active-learning: contract violation"),
        ("(memoized ask #:key-fn 'id)", "memoized: contract violation"),
        ('(cached-query "q" #:ttl "1h")', "cached-query: #:ttl must be a number"),
        ("(vote (list ask) #:method 'most)", "vote: #:method must be"),
        ('(ensemble-vote \'("m") "q" #:method \'most)', "ensemble-vote: #:method must be"),
        ("(map-async ask2 '(1) #:max-concurrent 0)", "#:max-concurrent must be a positive integer"),
    ],
)
async def test_an_unknown_value_of_an_option_is_refused_before_any_call(
    call: str, message: str, answers: InlineProvider
) -> None:
    """Not after those that come before it is looked at, nor never."""
    asks = '(define (ask . xs) (llm-query #:instruction "q")) (define (ask2 . xs) (ask))'
    async with Runtime(provider=answers) as runtime:
        result = await runtime.run(f"{asks} {call}")
    assert result.error is not None
    assert message in result.error.message.replace("\n", " ")
    assert answers.requests == []


@pytest.mark.parametrize(
    "program",
    [
        '(regexp-split "\\\\n" "a\\nb")',
        '(string-split "a\\nb" "\\\\n")',
        '(string-replace "a\\tb" "\\\\t" " ")',
    ],
)
async def test_a_line_end_with_two_backslashes_leaves_a_line(runtime: Runtime, program: str) -> None:
    """It is a backslash and a letter, which the text hasn't."""
    (warning,) = (await runtime.run(program)).warnings
    assert 'write one backslash alone: "\\n"' in warning


@pytest.mark.parametrize(
    ("program", "words"),
    [
        (
            '(hash-ref (string->jsexpr "{\\"Price\\": 1}") \'price 0)',
            "no key 'price, and the default was taken; the table has",
        ),
        (
            '(hash-ref (string->jsexpr "{\\"Name\\": 1}") "name" #f)',
            'no key "name", and the default was taken; the table has',
        ),
    ],
)
async def test_a_key_in_other_capitals_leaves_a_line(runtime: Runtime, program: str, words: str) -> None:
    """Models write Price where price was meant."""
    (warning,) = (await runtime.run(program)).warnings
    assert words in warning
    assert warning.endswith("and capitals count.")


@pytest.mark.parametrize(
    "program",
    [
        "(hash-ref (hash 'a 1) 'b 0)",
        "(hash-ref (hash 'a 1 'A 2) 'a 0)",
        '(for/fold ([h (hash)]) ([w \'("The" "the")]) (hash-set h w (+ 1 (hash-ref h w 0))))',
        "(hash-ref (hash 5 1 #\\a 2) 'A 0)",
        '(hash-ref (for/hash ([i 100]) (values (string-append (number->string i) "A") i)) "1a" 0)',
    ],
)
async def test_another_key_or_a_large_table_leaves_none(runtime: Runtime, program: str) -> None:
    """A key may be absent."""
    assert (await runtime.run(program)).warnings == ()


async def test_lines_that_keep_their_returns_leave_a_line(runtime: Runtime) -> None:
    """string->number finds no number in them."""
    result = await runtime.run('(map string->number (string-split "1\\r\\n2\\r\\n" "\\n"))')
    assert result.data == [False, False]
    (warning,) = result.warnings
    assert 'Split by #rx"\\r?\\n"' in warning
    right = await runtime.run('(map string->number (string-split "1\\r\\n2\\r\\n" #rx"\\r?\\n"))')
    assert (right.data, right.warnings) == ([1, 2], ())
    assert (await runtime.run('(string-split "1\\n2" "\\n")')).warnings == ()


@pytest.mark.parametrize(
    ("program", "words"),
    [
        ('(string-append “a” "b")', 'U+201C is a printed quotation mark: write ".'),
        ("(list ‘a)", "U+2018 is a printed apostrophe: write '."),
        ("(list ’a)", "U+2019 is a printed apostrophe"),
        ("(+ 1 −2)", "U+2212 is a dash: write -."),
        ("（list 1）", "U+FF08 is a wide bracket"),
        ("\u200b(list 1)", "cannot be seen: remove it."),
    ],
)
async def test_a_character_that_only_looks_right_is_named(runtime: Runtime, program: str, words: str) -> None:
    """As texts have them that were copied, or written by a model."""
    result = await runtime.run(program)
    assert result.error is not None
    assert words in str(result.error.hint)


async def test_letters_of_any_language_make_names(runtime: Runtime) -> None:
    """And a name that is unbound has the advice of any other."""
    assert (await runtime.run("(define naïve 5) naïve")).data == 5
    result = await runtime.run("naïveté")
    assert "It is defined nowhere" in str(result.error and result.error.hint)


@pytest.mark.parametrize(
    ("program", "words"),
    [
        (
            "(define-generator (f) 1)",
            "`define-generator`, with which the form around it begins, is bound to nothing",
        ),
        ("(defin (f x) x)", "did you mean define?"),
        ("(with-foo ([a 1]) a)", "`with-foo`, with which the form around it begins"),
    ],
)
async def test_of_a_form_that_is_none_its_head_is_told(runtime: Runtime, program: str, words: str) -> None:
    """What stands in it is taken for calls, and misses names first."""
    result = await runtime.run(program)
    assert result.error is not None
    assert words in f"{result.error.message} {result.error.hint}"
