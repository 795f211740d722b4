"""A class whose methods are made later behaves as one that the standard decorator has made."""

from __future__ import annotations

import copy
import dataclasses
import inspect
import pickle
import subprocess
import sys
import threading
import weakref
from typing import Any, ClassVar

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rlm_wasm.lazy_dataclass import asdict, dataclass, field, fields, is_dataclass, replace, said_of_fields


@dataclass(frozen=True, slots=True)
class Frozen:
    """With defaults of every kind."""

    KIND: ClassVar = "frozen"
    first: int
    second: str = "b"
    third: list[int] = field(default_factory=list)
    hidden: int = field(default=0, repr=False, compare=False)


@dataclasses.dataclass(frozen=True, slots=True)
class StandardFrozen:
    """The same."""

    KIND: ClassVar = "frozen"
    first: int
    second: str = "b"
    third: list[int] = dataclasses.field(default_factory=list)
    hidden: int = dataclasses.field(default=0, repr=False, compare=False)


@dataclass(slots=True, kw_only=True)
class Open:
    """Can be written."""

    value: int = 1
    made: int = field(default=0, init=False)

    def __post_init__(self) -> None:
        self.made = self.value + 1


@dataclass(slots=True, eq=False, repr=False, weakref_slot=True)
class Plain:
    """Compared as objects are."""

    value: int


@dataclass(frozen=True, slots=True)
class Pair:
    """Has some methods of its own."""

    first: int
    second: int

    def __repr__(self) -> str:
        return f"<{self.first}, {self.second}>"

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Pair) and self.first == other.first


@dataclass(frozen=True, slots=True)
class Below(Frozen):
    """A field more."""

    fourth: int = 4


VALUES = st.tuples(st.integers(), st.text(), st.lists(st.integers()), st.integers())


@given(VALUES, VALUES)
def test_records_are_equal_and_shown_as_standard_ones_are(
    some: tuple[Any, ...], others: tuple[Any, ...]
) -> None:
    """Whatever they hold."""
    ours, standard = (Frozen(*some), Frozen(*others)), (StandardFrozen(*some), StandardFrozen(*others))
    assert (ours[0] == ours[1]) == (standard[0] == standard[1])
    assert [f"Standard{record!r}" for record in ours] == [repr(record) for record in standard]
    assert [dataclasses.asdict(record) for record in ours] == [dataclasses.asdict(r) for r in standard]
    assert dataclasses.replace(ours[0], second="x").second == "x"
    assert ours[0] != standard[0]


def test_the_fields_and_the_signature_are_the_standard_ones() -> None:
    """Also of a class of which no record was made."""
    told = [[(f.name, f.type, f.default, f.kw_only) for f in dataclasses.fields(kind)] for kind in KINDS]
    assert told[0] == told[1]
    ours, standard = (inspect.signature(kind) for kind in KINDS)
    assert str(ours) == str(standard)
    assert KINDS[0].__match_args__ == KINDS[1].__match_args__
    assert dataclasses.is_dataclass(Frozen)
    assert Frozen.KIND == "frozen"


KINDS: list[Any] = [Frozen, StandardFrozen]


def test_a_frozen_record_is_not_written() -> None:
    """Neither a field nor anything else, nor is a field taken away."""
    record: Any = Frozen(1)
    for name in ("first", "other"):
        with pytest.raises(dataclasses.FrozenInstanceError, match=f"cannot assign to field '{name}'"):
            setattr(record, name, 2)
    with pytest.raises(dataclasses.FrozenInstanceError, match="cannot delete field 'first'"):
        del record.first
    assert record == Frozen(1)


def test_a_frozen_record_has_a_hash_and_an_open_one_has_none() -> None:
    """As the standard decorator has it."""
    assert hash(Pair(1, 2)) == hash(Pair(1, 2))
    assert hash(Plain(1)) != hash(Plain(1))
    with pytest.raises(TypeError, match="unhashable"):
        hash(Open())
    with pytest.raises(TypeError, match="unhashable"):
        hash(Frozen(1))  # its list


def test_methods_of_its_own_stay() -> None:
    """They are not made."""
    assert repr(Pair(1, 2)) == "<1, 2>"
    assert Pair(1, 2) == Pair(1, 3)


def test_an_open_record_is_finished_by_its_own_method() -> None:
    """And compared by its fields."""
    record = Open(value=3)
    assert record.made == 4
    record.value = 5
    assert record != Open(value=3)
    assert not hasattr(record, "__dict__")
    with pytest.raises(TypeError):
        Open(3)  # type: ignore[misc]


def test_a_record_without_comparison_is_itself_alone() -> None:
    """And may be referred to weakly, where that was asked for."""
    record = Plain(1)
    assert record != Plain(1)
    assert weakref.ref(record)() is record
    assert "Plain object" in repr(record)


def test_a_class_below_has_all_the_fields() -> None:
    """Its own after those that it inherits."""
    record = Below(1, fourth=5)
    assert [f.name for f in dataclasses.fields(record)] == ["first", "second", "third", "hidden", "fourth"]
    assert repr(record) == "Below(first=1, second='b', third=[], fourth=5)"
    assert record != Frozen(1)


def test_records_are_copied_and_pickled() -> None:
    """Frozen ones, too, and before any other method was wanted."""

    for record in (Frozen(1, "x", [2]), Below(1), Open(value=7)):
        assert pickle.loads(pickle.dumps(record)) == record
        assert copy.deepcopy(record) == record


def test_threads_that_come_at_once_get_the_same() -> None:
    """Each makes the methods, and all are as good."""

    @dataclass(frozen=True, slots=True)
    class Fresh:
        value: int

    start = threading.Barrier(8)
    made: list[Fresh] = []

    def make() -> None:
        start.wait()
        made.append(Fresh(1))

    threads = [threading.Thread(target=make) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert made == [Fresh(1)] * 8


def test_a_field_that_nobody_gives_and_that_has_no_default_is_left_out() -> None:
    """A frozen record, too, is made by its class, and one of a class below it that is no record itself."""

    @dataclass(frozen=True, slots=True)
    class Partly:
        given: int
        left: int = field(init=False)

    class Child(Partly):
        pass

    assert Partly(1).given == Child(1).given == 1
    assert type(Child(1)) is Child
    with pytest.raises(AttributeError):
        _ = Partly(1).left
    with pytest.raises(dataclasses.FrozenInstanceError):
        Child(1).given = 2  # type: ignore[misc]


def test_a_class_without_slots_is_refused() -> None:
    """That is what the standard decorator is for."""
    with pytest.raises(TypeError, match="standard decorator"):
        dataclass(slots=False)


def test_a_standard_field_means_the_same() -> None:
    """Whichever module a class has it from."""

    @dataclass(frozen=True, slots=True)
    class Mixed:
        value: int
        made: list[int] = dataclasses.field(default_factory=list)
        named: int = dataclasses.field(default=3, kw_only=True, repr=False)

    assert repr(Mixed(1)) == f"{Mixed.__qualname__}(value=1, made=[])"
    assert Mixed(1, [2], named=4).named == 4
    assert [f.name for f in dataclasses.fields(Mixed)] == ["value", "made", "named"]


def test_what_is_said_of_fields_is_told_without_the_standard_ones() -> None:
    """Their defaults, and what else was said."""

    @dataclass(frozen=True, slots=True)
    class Told:
        bare: int
        plain: int = 2
        said: int = field(default=3, metadata={"unit": "bytes"})

    told = said_of_fields(Told)
    assert {name: metadata for name, (_, metadata) in told.items()} == {
        "bare": {},
        "plain": {},
        "said": {"unit": "bytes"},
    }
    assert [default for default, _ in told.values()][1:] == [2, 3]
    assert "plain" in fields(Told)[1].name
    assert told["bare"][0] is not dataclasses.MISSING


def test_the_functions_of_the_standard_module_do_what_they_do() -> None:
    """They are passed on to it."""
    record = Frozen(1, "x", [2])
    assert asdict(record) == dataclasses.asdict(record)
    assert fields(record) == dataclasses.fields(record)
    assert replace(record, second="y") == Frozen(1, "y", [2])
    assert [is_dataclass(value) for value in (record, Frozen, 1, int)] == [True, True, False, False]


def test_a_record_that_holds_itself_is_shown() -> None:
    """As the standard decorator has it, the inner one by three dots."""

    @dataclass(slots=True)
    class Ring:
        inner: object = None

    ring = Ring()
    ring.inner = ring
    assert repr(ring) == f"{Ring.__qualname__}(inner=...)"


def test_a_class_below_that_is_not_shown_itself_is_shown_as_the_one_above() -> None:
    """By the fields of that one."""

    @dataclass(frozen=True, slots=True, repr=False)
    class Hidden(Frozen):
        more: int = 1

    assert repr(Hidden(1)) == f"{Hidden.__qualname__}(first=1, second='b', third=[])"


def test_records_are_made_and_shown_without_the_standard_module() -> None:
    """A process that runs one expression never imports it, for that takes as long as three modules of ours."""
    program = """
import sys
from rlm_wasm.lazy_dataclass import dataclass, field

@dataclass(frozen=True, slots=True)
class Record:
    first: int
    second: list[int] = field(default_factory=list)

assert repr(Record(1)) == "Record(first=1, second=[])"
assert "dataclasses" not in sys.modules
"""
    subprocess.run([sys.executable, "-c", program], check=True)


def test_each_class_has_its_own_methods_whoever_asks_first() -> None:
    """What stands for them until then is the same for all classes."""

    @dataclass(frozen=True, slots=True)
    class Upper:
        first: int

    @dataclass(frozen=True, slots=True)
    class Lower(Upper):
        second: int = 2

    class Plainly(Lower):
        __slots__ = ()

    assert Plainly(1, 3) == Plainly(1, 3) != Plainly(1, 4)
    assert repr(Plainly(1)).endswith("Plainly(first=1, second=2)")
    assert repr(Upper(5)).endswith("Upper(first=5)")
    assert Upper(5) == Upper(5) != Lower(5)
    assert hash(Lower(1)) == hash(Lower(1, 2)) != hash(Upper(1))
    kinds: list[Any] = [Upper, Lower]
    assert [kind.__match_args__ for kind in kinds] == [("first",), ("first", "second")]


def test_what_is_asked_of_a_class_leaves_its_first_record_to_be_made_as_ever() -> None:
    """Its own way to write the fields is quicker than the standard one."""

    @dataclass(frozen=True, slots=True)
    class Asked:
        value: int

    kind: Any = Asked
    assert kind.__match_args__ == ("value",)
    assert "_dc_open" in kind.__init__.__globals__
    assert Asked(1) == Asked(1)
