"""Types with an equality of their own: gen:equal+hash and prop:equal+hash, wherever equal? counts."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from tests.scheme.dialect.test_as_racket import Cases, cases, prints, ran

# numbers that are equal by their last digit
MOD = """
(struct m (n) #:methods gen:equal+hash
  [(define (equal-proc a b recur) (recur (modulo (m-n a) 10) (modulo (m-n b) 10)))
   (define (hash-proc a recur) (recur (modulo (m-n a) 10)))
   (define (hash2-proc a recur) (recur (modulo (m-n a) 10)))])
"""

FOUND: Cases = [
    ("by itself", "(equal? (m 1) (m 11)) (equal? (m 1) (m 2))", "#t\n#f\n"),
    ("inside of data", "(equal? (list 1 (vector (m 1))) (list 1 (vector (m 11))))", "#t\n"),
    ("in tables as values", "(equal? (hash 'a (m 1)) (hash 'a (m 11)))", "#t\n"),
    ("in tables as keys", "(equal? (hash (m 1) 'a) (hash (m 11) 'a)) (equal? (hash (m 1) 'a) (hash (m 2) 'a))", "#t\n#f\n"),
    ("other types are different", "(struct o (n) #:property prop:equal+hash (list (λ (a b r) #t) (λ (a r) 1) (λ (a r) 1))) (equal? (m 1) (o 1)) (equal? (o 1) (o 2))", "#f\n#t\n"),
    ("substructures inherit it", "(struct s m (k)) (equal? (s 1 2) (m 11))", "#t\n"),
    ("transparent does not undo it", "(struct t (a b) #:transparent #:property prop:equal+hash (list (λ (x y r) (r (t-a x) (t-a y))) (λ (x r) 1) (λ (x r) 1))) (equal? (t 1 2) (t 1 3))", "#t\n"),
    ("searching lists", "(m-n (car (member (m 1) (list (m 2) (m 21))))) (index-of (list (m 0) (m 1)) (m 11)) (cdr (assoc (m 1) (list (cons (m 11) 'yes))))", "21\n1\n'yes\n"),
    ("removing", "(remove (m 1) (list 1 (m 11) 2)) (remove* (list (m 1)) (list (m 11) 2 (m 21))) (map m-n (remove-duplicates (list (m 1) (m 2) (m 11))))", "'(1 2)\n'(2)\n'(1 2)\n"),
    ("sets", "(set-count (set (m 1) (m 11) (m 2))) (set-member? (set (m 1)) (m 31)) (subset? (set (m 1)) (set (m 11) (m 2)))", "2\n#t\n#t\n"),
    ("groups", "(map length (group-by values (list (m 1) (m 11) (m 2))))", "'(2 1)\n"),
    (
        "mutable tables",
        "(define h (make-hash)) (hash-set! h (m 1) 'a) (hash-set! h (m 11) 'b) (hash-update! h (m 21) list)"
        "(hash-count h) (hash-ref h (m 31)) (m-n (car (hash-keys h))) (hash-remove! h (m 41)) (hash-count h)",
        "1\n'(b)\n1\n0\n",
    ),
    (
        "immutable tables",
        "(define a (hash (m 1) 1 (m 11) 2)) (define b (hash-set a (m 2) 3)) (hash-count a) (hash-ref b (m 12)) (hash-count (hash-remove b (m 1)))"
        "(hash-has-key? a (m 2)) (hash-ref b (m 9) 'none) (hash-keys-subset? a b)",
        "1\n3\n1\n#f\n'none\n#t\n",
    ),
    ("tables of entries", "(hash-count (make-hash (list (cons (m 1) 1) (cons (m 11) 2)))) (hash-count (make-immutable-hash (list (cons (m 1) 1) (cons (m 11) 2)))) (hash-count (hash-set* (hash) (m 1) 1 (m 11) 2))", "1\n1\n1\n"),
    ("eq tables do not ask", "(hash-count (make-hasheq (list (cons (m 1) 1) (cons (m 11) 2))))", "2\n"),
]  # fmt: skip


@cases(FOUND)
async def test_equal_is_what_the_type_says(program: str, printed: str) -> None:
    """In every procedure that compares."""
    await prints(MOD + program, printed)


@settings(max_examples=15, deadline=None)
@given(st.lists(st.integers(0, 40), max_size=30))
async def test_a_table_with_such_keys_is_one_with_what_they_stand_for(numbers: list[int]) -> None:
    """Same counts in the same order, through updates of either kind of table."""
    items = " ".join(str(n) for n in numbers)
    result = await ran(
        MOD + f"(define ns '({items}))"
        "(define (counts start key) (for/fold ([h start]) ([n ns]) (hash-update h (key n) add1 0)))"
        "(define told (make-hash)) (for ([n ns]) (hash-update! told (m n) add1 0))"
        "(define plain (hash->list (counts (hash) (λ (n) (modulo n 10)))))"
        "(define (digits h) (for/list ([(k v) h]) (cons (modulo (m-n k) 10) v)))"
        "(list (equal? plain (digits (counts (hash) m))) (equal? plain (digits told)))"
    )
    assert result.value == "(#t #t)"


async def test_a_type_without_the_procedure_says_which_is_missing() -> None:
    """When it is asked."""
    result = await ran(
        "(struct b (n) #:methods gen:equal+hash [(define (hash-proc a r) 1)]) (equal? (b 1) (b 1))"
    )
    assert result.error is not None
    assert result.error.message.startswith("equal-proc: the type's #:methods do not define it")


async def test_an_error_of_the_procedure_is_the_programs() -> None:
    """And can be handled there."""
    result = await ran(
        '(struct b (n) #:property prop:equal+hash (list (λ (a b r) (error "no")) (λ (a r) 1) (λ (a r) 1)))'
        "(with-handlers ([exn:fail? exn-message]) (hash-ref (hash (b 1) 2) (b 1)))"
    )
    assert result.value == "no"
