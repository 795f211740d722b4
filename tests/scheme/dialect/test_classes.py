"""racket/class as scripts use it."""

from __future__ import annotations

import pytest

from tests.scheme.dialect.test_as_racket import Cases, cases, prints, ran

ANIMALS = """
(define animal% (class object% (init-field name [sound "..."]) (super-new)
  (define/public (speak) (format "~a: ~a" name sound))
  (define/public (get-name) name)
  (define/public (twice) (list (speak) (send this speak)))))
(define dog% (class animal% (inherit get-name) (inherit-field name) (super-new [sound "Woof"])
  (define count 0)
  (define/override (speak) (set! count (add1 count)) (format "~a #~a" (super speak) count))
  (define/public (rename! n) (set! name n))
  (define/public (hello) (string-append (get-name) "/" name))))
"""

USED: Cases = [
    ("overriding and super", '(define d (new dog% [name "Rex"])) (send d speak) (send d twice)', '"Rex: Woof #1"\n\'("Rex: Woof #2" "Rex: Woof #3")\n'),
    ("inherited fields", '(define d (new dog% [name "Rex"])) (send d rename! "Max") (send d hello) (get-field name d) (set-field! name d "Z") (send d get-name)', '"Max/Max"\n"Max"\n"Z"\n'),
    ("what is what", '(define d (new dog% [name "R"])) (list (is-a? d animal%) (is-a? 5 animal%) (subclass? dog% animal%) (subclass? animal% dog%) (object? d) (class? dog%)) dog% d', "'(#t #f #t #f #t #t)\n#<class:dog%>\n(object:dog% ...)\n"),
    ("by position", '(send (make-object animal% "A" "b") speak) (send (instantiate animal% ("A") [sound "c"]) speak)', '"A: b"\n"A: c"\n'),
    ("methods by value", '(define d (new animal% [name "A"])) (dynamic-send d (string->symbol "get-name")) (send/apply d get-name \'()) (map (λ (o) (send o get-name)) (list d))', '"A"\n"A"\n\'("A")\n'),
    ("private state is each object's own", "(define c% (class object% (super-new) (init-field [n 0]) (define/public (inc!) (set! n (add1 n)) n))) (define a (new c%)) (define b (new c% [n 5])) (send a inc!) (send b inc!) (send a inc!)", "1\n6\n2\n"),
    ("fields and private methods", "(define s% (class object% (super-new) (field [items '()]) (define/public (push! x) (set! items (cons x items)) this) (define/public (size) (count-of items)) (define/private (count-of l) (length l)))) (send (send (send (new s%) push! 1) push! 2) size) (send+ (new s%) (push! 1) (size)) (define s (new s%)) (send* s (push! 1) (push! 2)) (get-field items s)", "2\n1\n(object:s% ...)\n'(2 1)\n"),
    ("interfaces", "(define area<%> (interface () area)) (define c% (class* object% (area<%>) (init r) (define radius r) (super-new) (define/public (area) (* radius radius)))) (define c (new c% [r 3])) (send c area) (is-a? c area<%>) (implementation? c% area<%>)", "9\n#t\n#t\n"),
    ("mixins", '(define (loud % ) (class % (super-new) (define/override (speak) (string-upcase (super speak))))) (send (new (loud animal%) [name "a"]) speak) (define more (mixin () () (super-new) (define/public (extra) \'extra))) (send (new (more object%)) extra)', "\"A: ...\"\n'extra\n"),
    ("inner", "(define b% (class object% (super-new) (define/pubment (go x) (list 'base (inner 'none go x))))) (define s% (class b% (super-new) (define/augment (go x) (list 'sub x)))) (send (new b%) go 1) (send (new s%) go 1)", "'(base none)\n'(base (sub 1))\n"),
    ("abstract methods", "(define a% (class object% (super-new) (abstract area) (define/public (show) (list (area))))) (send (new (class a% (super-new) (define/override (area) 7))) show)", "'(7)\n"),
    ("keyword arguments", "(define a% (class object% (super-new) (define/public (f x #:by [by 2]) (* x by)))) (define a (new a%)) (send a f 3) (send a f 3 #:by 3)", "6\n9\n"),
    ("public names listed", "(define p% (class object% (super-new) (public f) (define (f x) (* x 2)))) (send (new p%) f 4)", "8\n"),
    ("a method that a superclass calls before the subclass is initialized", "(define b% (class object% (super-new) (define/public (name) 'base) (define seen (name)) (define/public (get) seen))) (define s% (class b% (super-new) (define/override (name) 'sub))) (send (new s%) get)", "'sub\n"),
    ("init arguments have defaults from others", "(define r% (class object% (init-field w [h (* 2 w)]) (super-new) (define/public (area) (* w h)))) (send (new r% [w 3]) area)", "18\n"),
]  # fmt: skip


@cases(USED)
async def test_objects_behave_as_in_racket(program: str, printed: str) -> None:
    """Fields, methods, inheritance, interfaces, mixins."""
    await prints(ANIMALS + program, printed)


@pytest.mark.parametrize(
    ("program", "message", "hint"),
    [
        ('(send (new dog% [name "a"]) speek)', "send: no such method\n  method name: speek\n  class name: dog%", "Did you mean speak?"),
        ("(send 5 speak)", "send: target is not an object\n  target: 5\n  method name: speak", "A method is called as"),
        ("(new animal%)", "instantiate: no argument for required init variable\n  init variable name: name\n  instantiated class name: animal%", ""),
        ("(new animal% [name 1] [size 2])", "instantiate: unused initialization arguments\n  unused arguments:\n   [size 2]\n  instantiated class name: animal%", ""),
        ("(new (class object% (define/public (f) 1)))", "instantiate: superclass initialization not invoked by initialization", "Write (super-new)"),
        ("(new (class object% (super-new) (abstract f)))", "instantiate: cannot instantiate class with abstract methods", ""),
        ("(class animal% (super-new) (define/public (speak) 1))", "class: superclass already contains method; use define/override\n  method name: speak", ""),
        ("(class object% (super-new) (define/override (speak) 1))", "class: superclass does not contain the method to be overridden", ""),
        ("(class* object% ((interface () area)) (super-new))", "class: interface-required method missing\n  method name: area", ""),
        ("(get-field size (new animal% [name 1]))", "get-field: given object does not have the requested field\n  field name: size", ""),
        ("(class 5 (super-new))", "class: superclass expression result is not a class\n  result: 5", ""),
    ],
)  # fmt: skip
async def test_what_is_wrong_with_a_class_or_a_message_is_told(program: str, message: str, hint: str) -> None:
    """As exn:fail:object where it is about objects."""
    result = await ran(ANIMALS + program)
    assert result.error is not None
    assert result.error.message[: len(message)] == message
    assert (result.error.hint or "").startswith(hint)
