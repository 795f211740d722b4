"""The reference that models get: small enough to go with every prompt, and true, fact by fact."""

from __future__ import annotations

import asyncio
import importlib.util
import os
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from rlm_wasm import Completion, CompletionRequest, Limits, ProviderError, Runtime, Session
from rlm_wasm.asking.prompts import reference
from rlm_wasm.mcp import guide
from rlm_wasm.providers.tokens import estimate_tokens
from rlm_wasm.testing import GatedProvider, InlineProvider

MOST_TOKENS = 1_800

needs_python = pytest.mark.skipif(
    importlib.util.find_spec("rlm_wasm.python.component") is None, reason="the Python component is not built"
)

RACKET_LIST = """first second third fourth fifth sixth seventh eighth ninth tenth last last-pair rest cons? empty empty?
make-list list-update list-set index-of index-where indexes-of indexes-where take drop split-at takef dropf splitf-at
take-right drop-right split-at-right takef-right dropf-right splitf-at-right list-prefix? take-common-prefix
drop-common-prefix split-common-prefix add-between append* flatten check-duplicates remove-duplicates filter-map count
partition range inclusive-range append-map filter-not shuffle combinations in-combinations permutations in-permutations
argmin argmax group-by cartesian-product remf remf*"""
RACKET_STRING = """string-append* string-join string-normalize-spaces string-replace string-split string-trim
non-empty-string? string-contains? string-prefix? string-suffix?"""
SRFI_1 = """xcons cons* make-list list-tabulate list-copy circular-list iota proper-list? circular-list? dotted-list?
not-pair? null-list? list= first second third fourth fifth sixth seventh eighth ninth tenth car+cdr take drop
take-right drop-right split-at last last-pair length+ concatenate append-reverse zip unzip1 unzip2 unzip3 unzip4
unzip5 count fold fold-right pair-fold pair-fold-right reduce reduce-right unfold unfold-right append-map
map-in-order pair-for-each filter-map filter partition remove find find-tail any every list-index take-while
drop-while span delete delete-duplicates alist-cons alist-copy alist-delete lset<= lset= lset-adjoin lset-union
lset-intersection lset-difference lset-xor lset-diff+intersection reverse! append!"""
API = """finish llm-query llm-query-async await await-all await-any map-async cancel spawn handle-done? with-timeout
syntax-e datum->syntax context get-context context-length context-slice context-lines context-search context-chunks
context-names token-budget usage tokens-used cost-used rate-limits budget-remaining model-for checkpoint restore
py-exec py-eval py-set! py-call unsafe-raw-query unsafe-interpolate unsafe-overwrite unsafe-exec-sub-output"""
HELPERS = "chunk first car tree-reduce cached-query ensemble-vote memoized vote race parallel try content-key sha256 sleep"


def page() -> str:
    """As it is served."""
    return guide.page("api")


def answer(request: CompletionRequest) -> Completion:
    """``[instruction]`` in 10 + 5 tokens; what is asked to fail fails; JSON where it is asked for rightly."""
    if "fail" in request.instruction:
        raise ProviderError("broken pipe")
    text = f"[{request.instruction}]"
    if request.json:
        text = '{"a": 1}' if "right" in request.instruction else "no JSON"
    limits = {"remaining-tokens": 7}
    return Completion(text=text, model="m", prompt_tokens=10, completion_tokens=5, rate_limits=limits)


@pytest.fixture
async def session() -> AsyncIterator[Session]:
    """With a main context and a named one."""
    async with Runtime(InlineProvider(answer), python="off") as runtime, runtime.session() as made:
        await made.load_context("abc a.c axc\nline two")
        await made.load_context("paper text", "paper")
        yield made


def test_the_reference_takes_at_most_1800_tokens() -> None:
    """It goes with every iteration of an ask, so the estimate counts; MCP clients get the same."""
    assert estimate_tokens(page()) <= MOST_TOKENS
    assert reference() == page()


@pytest.mark.parametrize("encoding", ["cl100k_base", "o200k_base"])
def test_the_reference_takes_at_most_1800_tokens_of_a_vendors(
    encoding: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By the encodings of GPT-4 and GPT-4o, which LiteLLM brings along."""
    tiktoken = pytest.importorskip("tiktoken")
    found = importlib.util.find_spec("litellm")
    if found is None or found.origin is None:
        pytest.skip("litellm, which has the encodings, is not installed")
    folder = Path(found.origin).parent / "litellm_core_utils" / "tokenizers"
    monkeypatch.setitem(os.environ, "TIKTOKEN_CACHE_DIR", str(folder))
    assert len(tiktoken.get_encoding(encoding).encode(page())) <= MOST_TOKENS


ONE = '(llm-query #:instruction "x")'
FAILS = '(llm-query-async #:instruction "fail")'
WORKS = '(llm-query-async #:instruction "ok")'


@pytest.mark.parametrize(
    ("said", "program", "value"),
    [
        # keys
        ("`prompt_tokens completion_tokens total_tokens cached_tokens`",
         f"{ONE} (let ([t (tokens-used)]) (map (lambda (k) (hash-ref t k)) '(prompt_tokens completion_tokens total_tokens cached_tokens)))",
         "(10 5 15 0)"),
        ("`(cost-used)` `usd calls`", f"{ONE} (hash-keys (cost-used))", "(usd calls)"),
        ("`(usage)` both by model", f"{ONE} (let ([m (hash-ref (usage) \"m\")]) (map (lambda (k) (hash-ref m k)) '(calls total_tokens)))", "(1 15)"),
        ("`(budget-remaining)` `calls tokens usd token-budget`", "(hash-keys (budget-remaining))", "(calls tokens usd token-budget)"),
        ("`(rate-limits)` by model", f"{ONE} (hash-ref (hash-ref (rate-limits) 'm) 'remaining-tokens)", "7"),
        # budgets
        ("reserves its prompt (estimated) and `#:max-tokens`",
         "(parameterize ([token-budget 100]) (list (try (llm-query #:instruction \"x\" #:max-tokens 96) on-error (lambda (m) (string-contains? m \"it was not sent\"))) (syntax-e (llm-query #:instruction \"x\" #:max-tokens 95)) (token-budget)))",
         "(#t [x] 85)"),
        ("is charged what it used", f"(parameterize ([token-budget 50]) {ONE} (token-budget))", "35"),
        ('"token budget exceeded"', f"(try (parameterize ([token-budget 1]) {ONE}) on-error (lambda (m) (substring m 0 21)))", "token budget exceeded"),
        # failure
        ("on-error (lambda (message) …))", '(try (llm-query #:instruction "fail") on-error (lambda (m) (string-contains? m "broken pipe")))', "#t"),
        ("`with-handlers` catch everything", '(with-handlers ([exn:fail? (lambda (e) "caught")]) (llm-query #:instruction "fail"))', "caught"),
        ("where it is awaited", f"(define h {FAILS}) (try (await h) on-error (lambda (m) \"there\"))", "there"),
        ("`await-any` raises if the first to end failed", f'(try (await-any (list {FAILS} {WORKS})) on-error (lambda (m) "raised"))', "raised"),
        ("(`race` passes over failures)", f"(race (list (lambda () {FAILS}) (lambda () {WORKS})))", "[ok]"),
        ("`await-all` and `map-async` raise at the first failure", f'(try (await-all (list {WORKS} {FAILS})) on-error (lambda (m) "raised"))', "raised"),
        ("`map-async` raise at the first failure",
         "(try (map-async (lambda (x) (llm-query-async #:instruction x)) '(\"ok\" \"fail\")) on-error (lambda (m) (substring m 0 17)))",
         "map-async: item 1"),
        ("`(g message)` or `(g message item)` stands in the failed place",
         "(list (map-async (lambda (x) (llm-query-async #:instruction x)) '(\"ok\" \"fail\") #:on-error (lambda (m) (string? m)))"
         " (map-async (lambda (x) (llm-query-async #:instruction x)) '(\"ok\" \"fail\") #:on-error (lambda (m item) item)))",
         "(([ok] #t) ([ok] fail))"),
        ("then calls `on-timeout`", '(with-timeout 0 (lambda () (sleep 1000)) (lambda () "late"))', "late"),
        ("or raises without one", '(try (with-timeout 0 (lambda () (sleep 1000))) on-error (lambda (m) "raised"))', "raised"),
        ("`(with-retry thunk #:times 3 #:delay 1)` tries again",
         '(define n 0) (with-retry (lambda () (set! n (add1 n)) (if (< n 3) (error "not yet") n)) #:times 3 #:delay 0)', "3"),
        ("`(args)` is a table", "(hash-ref (args) 'absent 7)", "7"),
        ("an error of the thunk passes through", '(try (with-timeout 1000 (lambda () (error "own")) (lambda () "late")) on-error (lambda (m) m))', "own"),
        ("an answer that is no valid JSON raises at the call",
         '(list (try (llm-query #:instruction "json" #:json #t) on-error (lambda (m) (string-contains? m "no valid JSON"))) (syntax-e (llm-query #:instruction "json right" #:json #t)))',
         '(#t {"a": 1})'),
        ("only this fiber waits",
         '(define slow (spawn (lambda () (sleep 1000) "slow"))) (define quick (spawn (lambda () (sleep 0) "quick"))) (let-values ([(t others) (await-any (list slow quick))]) (for-each cancel others) t)',
         "quick"),
        # data
        ("a string is looked for as it stands", '(context-search "a.c")', "((4 . abc a.c axc))"),
        ('`#px"…"` is a pattern', '(context-search #px"a.c")', "((0 . abc a.c axc))"),
        ("each takes a name as its last argument", '(list (context-length "paper") (context-chunks 5 0 "paper") (context-slice 0 5 "paper"))', "(10 (paper  text) paper)"),
        # checkpoints
        ("text, numbers, symbols, lists, vectors, tables, sets, `#:transparent` structs",
         "(struct p (x) #:transparent) (define v (list \"t\" 1/2 's (vector 1) (hash 'a (set 1)) (p 1))) (checkpoint 'k v) (equal? v (restore 'k))", "#t"),
        ("no procedures or handles",
         f"(list (try (checkpoint 'k car) on-error (lambda (m) 'no)) (try (checkpoint 'k {WORKS}) on-error (lambda (m) 'no)))", "(no no)"),
        ("`(restore key)` → v or `#f`", "(list (checkpoint 'k 7) (restore 'k) (restore 'absent))", "(7 7 #f)"),
        ("makes a key of any data", "(equal? (content-key (hash 'a 1 'b 2)) (content-key (hash 'b 2 'a 1)))", "#t"),
        # JSON
        ("(json-null) is not #f", "(list (json-null? (hash-ref (string->jsexpr \"{\\\"x\\\": null}\") 'x)) (if (json-null) 'true 'false))", "(#t true)"),
        ('{"n":1,"a":null}: in order, no spaces', "(jsexpr->string (hash 'n 1 'a (json-null)))", '{"n":1,"a":null}'),
        ("Tables keep the order of insertion", "(hash-keys (string->jsexpr \"{\\\"b\\\": 1, \\\"a\\\": 2}\"))", "(b a)"),
        ("accepts a code fence", '(hash-ref (string->jsexpr "```json\\n{\\"a\\": 1}\\n```" #:lenient? #t) \'a)', "1"),
    ],
)  # fmt: skip
async def test_what_the_reference_says_is_so(session: Session, said: str, program: str, value: str) -> None:
    """Each fact that writers of programs had to guess, run."""
    assert said in page()
    result = await session.execute(program)
    assert result.value == value, result.error


@pytest.mark.parametrize(
    ("said", "program", "value"),
    [
        ('`contexts["name"]`', "(py-eval \"[context[:3], contexts['paper']]\")", "(abc paper text)"),
        ("Symbols go in as str, tables as dict, vectors as list, JSON null and void as None",
         "(py-set! \"v\" (list 'a (hash 'k 1) (vector 1) (json-null) (void))) (py-eval \"repr(v)\")",
         "['a', {'k': 1}, [1], None, None]"),
        ("tuples and sets come out as lists, dicts as tables, None as JSON null",
         "(let ([v (py-eval \"[(1, 2), {3}, {'a': 1}, None]\")]) (list (first v) (second v) (hash-ref (third v) 'a) (json-null? (fourth v))))",
         "((1 2) (3) 1 #t)"),
        ("other objects as references for `(py-call ref \"method\" arg …)`",
         "(py-call (py-eval \"__import__('re').compile('a+')\") \"findall\" \"baa a\")", "(aa a)"),
        ("gives what they print", '(list (py-exec "print(1 + 1)") (py-eval "1 + 1"))', "(2\n 2)"),
    ],
)  # fmt: skip
@needs_python
async def test_what_the_reference_says_of_python_is_so(said: str, program: str, value: str) -> None:
    """Conversions either way, and where contexts are."""
    assert said in page()
    async with Runtime(InlineProvider(answer)) as runtime, runtime.session() as session:
        await session.load_context("abc a.c")
        await session.load_context("paper text", "paper")
        result = await session.execute(program)
    assert result.value == value, result.error


async def test_a_program_may_make_a_thousand_calls_by_default() -> None:
    """And the next is refused."""
    assert "A program may make 1,000 calls" in page()
    provider = InlineProvider(answer)
    many = '(length (map-async (lambda (i) (llm-query-async #:instruction "x")) (range {})))'
    async with Runtime(provider, python="off") as runtime:
        assert (await runtime.run(many.format(1000))).value == "1000"
        result = await runtime.run(many.format(1001))
    assert (result.status, result.error.kind) == ("limit", "calls")
    assert len(provider.requests) == 2000
    assert Limits().calls == 1000


@pytest.mark.parametrize(
    "program",
    [
        f"(try (await-all (list {WORKS} {FAILS})) on-error (lambda (m) m))",
        '(try (map-async (lambda (x) (llm-query-async #:instruction x)) \'("ok" "fail")) on-error (lambda (m) m))',
    ],
)
async def test_a_failure_cancels_the_calls_that_are_under_way(program: str) -> None:
    """``await-all`` and ``map-async``: nobody waits for the rest, nor pays for it."""
    assert "raise at the first failure and cancel the rest" in page()

    class Gate(GatedProvider):
        async def complete(self, request: CompletionRequest) -> Completion:
            if "fail" in request.instruction:
                await self.arrived(1)
                raise ProviderError("broken pipe")
            return await super().complete(request)

    gate = Gate()
    async with Runtime(gate, python="off") as runtime:
        result = await runtime.run(program)
        while not gate.cancelled:
            await asyncio.sleep(0)
    assert "broken pipe" in result.value
    assert len(gate.cancelled) == 1


async def test_names_of_racket_and_srfi_1_are_there_without_an_import(session: Session) -> None:
    """All that the line says; ``break`` is the one without a mark that is not."""
    assert (
        "all of racket/list (to `tenth`) and racket/string; of SRFI 1 all but `break` and most names with `!`"
        in page()
    )
    names = f"{RACKET_LIST} {RACKET_STRING} {SRFI_1}"
    assert (await session.execute(f"(andmap (lambda (v) #t) (list {names}))")).value == "#t"
    for absent in ("break", "eleventh", "filter!"):
        assert (await session.execute(absent, check=False)).status == "error"
    assert (await session.execute("(import (srfi 1)) (filter! odd? (list 1 2 3))")).value == "(1 3)"


async def test_names_of_the_api_are_protected_and_all_others_are_not(session: Session) -> None:
    """At top level; a local binding of any name is fine."""
    assert "cannot be redefined at top level" in page()
    for name in API.split():
        result = await session.execute(f"(define {name} 1)")
        assert f"cannot redefine scaffold binding '{name}'" in str(result.error)
        assert (await session.execute(f"(let ([{name} 1]) {name})")).value == "1"
    for name in HELPERS.split():
        assert (await session.execute(f"(define ({name} . x) 1)")).ok, name


async def test_limits_cannot_be_caught(session: Session) -> None:
    """As the reference says of ``try`` and ``with-handlers``."""
    assert "catch everything but limits" in page()
    result = await session.execute(
        '(try (let loop () (loop)) on-error (lambda (m) "caught"))', timeout_s=0.05
    )
    assert result.status == "limit"


@pytest.mark.parametrize(
    ("said", "program", "value"),
    [
        ("names the item", f'(try (parallel (list (lambda () {WORKS}) (lambda () {FAILS}))) on-error (lambda (m) (substring m 0 16)))', "parallel: item 1"),
        ("`race` passes over failures", f"(race (list (lambda () {FAILS}) (lambda () {WORKS})))", "[ok]"),
        ("raises the last one where all fail",
         '(try (race (map (lambda (i) (lambda () (llm-query #:instruction i))) \'("fail 1" "fail 2"))) on-error (lambda (m) (string-contains? m "broken pipe")))',
         "#t"),
        ("`vote` raises where there is no majority", '(try (vote (list (lambda () "a") (lambda () "b"))) on-error (lambda (m) (string-contains? m "no majority")))', "#t"),
        ("`memoized` and `cached-query` keep no failure: the next call asks again",
         '(define n 0) (define f (memoized (lambda (x) (set! n (add1 n)) (if (= n 1) (error "no") n)))) (list (try (f 1) on-error (lambda (m) m)) (f 1) (f 1))',
         "(no 2 2)"),
        ("An empty list of thunks, or nothing to reduce, is an error",
         "(map (lambda (t) (try (t) on-error (lambda (m) 'error))) (list (lambda () (race '())) (lambda () (vote '())) (lambda () (tree-reduce '()))))",
         "(error error error)"),
    ],
)  # fmt: skip
async def test_what_the_combinators_page_says_of_failure_is_so(
    session: Session, said: str, program: str, value: str
) -> None:
    assert said in guide.page("combinators")
    result = await session.execute(program)
    assert result.value == value, result.error


async def test_a_cached_query_that_failed_is_asked_again() -> None:
    """Only answers are kept."""
    answers = iter([ProviderError("broken pipe"), "fine"])

    def answer_in_turn(request: CompletionRequest) -> str:
        said = next(answers)
        if isinstance(said, Exception):
            raise said
        return said

    program = (
        '(define (ask) (try (cached-query "q") on-error (lambda (m) "failed"))) (list (ask) (ask) (ask))'
    )
    async with Runtime(InlineProvider(answer_in_turn), python="off") as runtime:
        assert (await runtime.run(program)).data == ["failed", "fine", "fine"]
