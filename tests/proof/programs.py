"""Programs that between them use every door of the sandbox, and the providers that answer them.

All are deterministic: with the same answers they take the same course.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from host.suspending import SUSPENDING
from rlm_wasm import Completion, CompletionRequest, Limits, Runtime
from rlm_wasm.capabilities.checkpoints import CheckpointStore
from rlm_wasm.providers.base import Provider

CONTEXT = "".join(f"line {i}: {'even' if i % 2 == 0 else 'odd'} — {i * i}\n" for i in range(40))

ORCHESTRATIONS: Mapping[str, str] = {
    "fan-out": """
        (map-async (lambda (i) (llm-query-async #:instruction "count" #:data (number->string i))) (range 12)
                   #:max-concurrent 5)""",
    "nested fan-out": """
        (map-async (lambda (i) (map-async (lambda (j) (llm-query-async #:instruction (format "~a ~a" i j))) (range 3)))
                   (range 3))""",
    "race": """
        (define hs (for/list ([i 4]) (llm-query-async #:instruction (format "race ~a" i))))
        (define-values (first rest) (await-any hs))
        (map syntax-e (cons first (await-all rest)))""",
    "failures that are handled": """
        (map (lambda (i) (try (syntax-e (llm-query #:instruction (format "try ~a" i))) on-error (lambda (m) 'failed)))
             (range 4))""",
    "map-async with on-error": """
        (map-async (lambda (i) (llm-query-async #:instruction (format "item ~a" i))) (range 5)
                   #:on-error (lambda (i message) 'failed))""",
    "recursion": """
        (define a (llm-query #:instruction "deeper" #:data "some data" #:recursive #t))
        (list (syntax-e a) (syntax-e (llm-query #:instruction "after")))""",
    "checkpoints": """
        (for ([i 3]) (checkpoint (format "k~a" i) (hash 'i i 'text (syntax-e (llm-query #:instruction "kept")))))
        (map (lambda (i) (hash-ref (restore (format "k~a" i)) 'i)) (range 3))""",
    "the context": """
        (define hits (context-search "odd"))
        (list (length hits) (string-length (context-slice 0 100)) (length (context-lines 3 9))
              (map-async (lambda (l) (llm-query-async #:instruction "read" #:data l)) (context-lines 0 3)))""",
    "threads": """
        (define c (box 0))
        (define ts (for/list ([i 5]) (spawn (lambda () (for ([j 50]) (set-box! c (+ 1 (unbox c)))) i))))
        (list (await-all ts) (unbox c))""",
    "timeouts": """
        (list (with-timeout 5 (lambda () (syntax-e (llm-query #:instruction "quick"))))
              (try (with-timeout 0.001 (lambda () (sleep 5))) on-error (lambda (m) 'late)))""",
    "output": """
        (for ([i 20]) (printf "~a " i) (when (= i 10) (eprintf "half way\\n")))
        (syntax-e (llm-query #:instruction "said"))""",
    "a host function": """(list (host-add 1 2) (try (host-fails) on-error (lambda (m) 'refused)) (host-add 3 4))""",
    "finish in the middle": """
        (define h (llm-query-async #:instruction "never awaited"))
        (llm-query #:instruction "first")
        (finish (list 'done (+ 1 2)))""",
}

COMPUTATIONS: Mapping[str, str] = {
    "sorting records": """
        (struct item (name count) #:transparent)
        (define items (for/list ([i 300]) (item (format "n~a" (modulo (* i 7919) 1000)) (modulo (* i 31) 17))))
        (for/list ([i (take (sort items < #:key item-count) 3)]) (item-name i))""",
    "json": """
        (define text (jsexpr->string (for/list ([i 100]) (hash 'id i 'tags (list "a" "b") 'ok #t))))
        (for/sum ([row (string->jsexpr text)]) (hash-ref row 'id))""",
    "regular expressions": """(length (regexp-match* #px"[a-z]+ (\\\\d+)" (get-context)))""",
    "bignums": "(modulo (expt 7 2000) (+ (expt 10 40) 9))",
    "strings": """(string-length (string-join (for/list ([i 2000]) (number->string i)) ","))""",
    "hash tables": """
        (define h (make-hash))
        (for ([i 3000]) (hash-update! h (modulo (* i 13) 101) add1 0))
        (list (hash-count h) (apply + (hash-values h)))""",
    "deep recursion": "(let loop ((n 100000)) (if (= n 0) 0 (+ 1 (loop (- n 1)))))",
    "call/cc and wind": """
        (define trace '())
        (define k #f)
        (define n 0)
        (dynamic-wind (lambda () (set! trace (cons 'in trace)))
                      (lambda () (call/cc (lambda (c) (set! k c))) (set! n (+ n 1)))
                      (lambda () (set! trace (cons 'out trace))))
        (when (< n 3) (k 1))
        (reverse trace)""",
    "large vectors": "(apply + (vector->list (vector-map (lambda (x) (* x x)) (build-vector 60000 values))))",
}

PROGRAMS: Mapping[str, str] = {
    **ORCHESTRATIONS,
    **{f"suspends in {k}": v for k, v in SUSPENDING.items()},
    **COMPUTATIONS,
}


def answer(request: CompletionRequest) -> Completion:
    """An answer that depends on the question alone."""
    if request.purpose == "program":
        text = (
            '```scheme\n(finish (string-append "[" (syntax-e (llm-query #:instruction "inside")) "]"))\n```'
        )
    else:
        text = f"[{request.instruction}|{request.data[:20]}]"
    return Completion(text=text, model=request.model or "answering", prompt_tokens=10, completion_tokens=5)


async def add(a: int, b: int) -> int:
    """A host function that waits for nothing."""
    return a + b


def fails() -> int:
    """A host function that fails."""
    raise ValueError("refused")


HOST_FUNCTIONS: Mapping[str, Callable[..., Any]] = {"host-add": add, "host-fails": fails}


def runtime_for(
    provider: Provider, *, limits: Limits | None = None, store: CheckpointStore | None = None
) -> Runtime:
    """A Runtime in which every program can run to its end."""
    return Runtime(provider=provider, limits=limits, store=store, host_functions=HOST_FUNCTIONS, python="off")
