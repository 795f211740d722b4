"""Memories that are captured and made again by mapping are, byte for byte, what copying gives."""

from __future__ import annotations

import gc
import itertools
import os
from collections.abc import Callable
from ctypes import string_at
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    Bundle,
    RuleBasedStateMachine,
    consumes,
    rule,
    run_state_machine_as_test,
)

from rlm_wasm.sandbox import layers, memories, pages, protocol
from rlm_wasm.sandbox.engine import Engine
from rlm_wasm.sandbox.layers import Extent, LayerFile, Piece, laid_over, mappings, uncovered
from rlm_wasm.sandbox.memories import Copying, Mapping
from rlm_wasm.sandbox.pages import PAGE, at_once, pristine_memory
from rlm_wasm.sandbox.sandbox import DONE, PREEMPTED, Sandbox
from rlm_wasm.sandbox.snapshot import Image, LayeredImage, MemoryImage

MAPPING = isinstance(memories.memories(), Mapping)
MAPPED = pytest.mark.skipif(not MAPPING, reason="this system does not map, or was told not to")

MEMORY = 96 << 20
FUEL = 1 << 50


@pytest.fixture(scope="module")
def engine() -> Engine:
    return Engine.shared()


def sandbox_of(image: Image | None = None) -> Sandbox:
    engine = Engine.shared()
    return Sandbox(engine, engine.image_size + MEMORY, image)


def value_of(sandbox: Sandbox, program: str) -> str:
    """Run a program to its end: its value, or its error's message."""
    status = sandbox.run(protocol.evaluate(program, "program", {}), 1_000_000, FUEL)
    while status == PREEMPTED:
        status = sandbox.run(None, 1_000_000, FUEL)
    assert status == DONE
    ends = [each for each in protocol.messages(sandbox.outbox()) if isinstance(each, protocol.Done)]
    return ends[-1].value if ends[-1].error is None else ends[-1].error.message


def content_of(sandbox: Sandbox) -> MemoryImage:
    """Its memory, by comparing every page with the boot image's: no kernel and no layer is asked."""
    instance, engine = sandbox._awake(), Engine.shared()
    used = sandbox._page_map(instance)
    numbers = at_once(pages.changed_pages(engine, instance.base, instance.measure(), used, None))
    content = b"".join(string_at(instance.base + page * PAGE, PAGE) for page in numbers)
    return MemoryImage(instance.size, tuple(numbers), content)


def file_bytes() -> int:
    """What layers take of the system's memory."""
    gc.collect()
    return os.fstat(LayerFile.current().descriptor).st_blocks * 512


def filled(size: int, byte: int) -> str:
    return f"(define kept (make-bytes {size} {byte}))"


# ---- pieces

PIECES = st.lists(st.tuples(st.integers(1, 6), st.integers(0, 4)), max_size=6)
"""Each so many pages long, and so many behind the one before."""


def pieces_of(plan: list[tuple[int, int]], extent: Extent) -> list[Piece]:
    out, page, at = [], 0, 0
    for count, gap in plan:
        out.append(Piece(page + gap, count, extent, at))
        page, at = page + gap + count, at + count
    return out


def places(found: list[Piece] | tuple[Piece, ...]) -> dict[int, tuple[int, int]]:
    return {piece.page + n: (id(piece.extent), piece.at + n) for piece in found for n in range(piece.count)}


@MAPPED
@given(below=PIECES, above=PIECES)
def test_what_is_laid_over_pieces_hides_what_is_below_it_and_nothing_else(
    below: list[tuple[int, int]], above: list[tuple[int, int]]
) -> None:
    first, second = (LayerFile.current().reserve(64) for _ in range(2))
    under, over = pieces_of(below, first), pieces_of(above, second)
    laid = laid_over(under, over)
    assert places(laid) == {**places(under), **places(over)}
    assert all(one.end <= other.page for one, other in itertools.pairwise(laid))
    left = uncovered(under, over)
    assert places(left) == {page: at for page, at in places(under).items() if page not in places(over)}


# ---- what is captured, and made of it


@pytest.fixture
def small_runs(monkeypatch: pytest.MonkeyPatch) -> None:
    """Everything that is for large memories happens to those of tests, too."""
    _small_runs(monkeypatch)


def _small_runs(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(memories, "MAPPED_FROM", 3)
    monkeypatch.setattr(memories, "_GAPS", (1, 8))
    monkeypatch.setattr(memories, "_MOST_PIECES", 8)
    monkeypatch.setattr(memories, "_MOST_APART", 24)
    monkeypatch.setattr(memories, "_DEAD_FROM", 8)
    monkeypatch.setattr(memories, "_WRITTEN_AT_ONCE", 2)
    monkeypatch.setattr(layers, "_LAID_AT_ONCE", 4)


PROGRAMS = st.sampled_from(
    [
        "(set! kept (cons (make-bytes 40000 (length kept)) kept))",
        "(set! kept '())",
        "(for ([i 3000]) (hash-set! table i (list i)))",
        "(hash-clear! table)",
        "(for ([b kept]) (bytes-set! b 20000 7))",
        "(for ([b kept]) (bytes-fill! b (length kept)))",
        "(if (pair? kept) (bytes-fill! (car kept) 9) 0)",
        "(vector-length (make-vector 300000 1))",
        "(set! kept (for/list ([i 12]) (make-bytes (* 7000 i) i)))",
        '(error "no" 1)',
        "(+ 1 2)",
    ]
)


class Histories(RuleBasedStateMachine):
    """Sandboxes that execute, fail, are captured, put to sleep, given memory back, forked and brought back."""

    sandboxes = Bundle("sandboxes")
    images = Bundle("images")

    def __init__(self) -> None:
        super().__init__()
        self.alive: list[Sandbox] = []

    def _new(self, image: Image | None = None) -> Sandbox:
        self.alive.append(sandbox_of(image))
        return self.alive[-1]

    @rule(target=sandboxes)
    def begin(self) -> Sandbox:
        made = self._new()
        value_of(made, "(define kept '()) (define table (make-hash))")
        return made

    @rule(sandbox=sandboxes, program=PROGRAMS)
    def execute(self, sandbox: Sandbox, program: str) -> None:
        value_of(sandbox, program)

    @rule(target=images, sandbox=sandboxes)
    def capture(self, sandbox: Sandbox) -> tuple[Image, MemoryImage]:
        wanted = content_of(sandbox)
        image = sandbox.capture()
        assert at_once(image.whole()) == wanted
        assert content_of(sandbox) == wanted
        return image, wanted

    @rule(sandbox=sandboxes)
    def sleep(self, sandbox: Sandbox) -> None:
        wanted = content_of(sandbox)
        sandbox.sleep()
        assert not sandbox.is_awake
        assert content_of(sandbox) == wanted

    @rule(sandbox=sandboxes)
    def give_back(self, sandbox: Sandbox) -> None:
        wanted = content_of(sandbox)
        at_once(sandbox.give_back())
        assert content_of(sandbox) == wanted

    @rule(target=sandboxes, captured=images)
    def go_on_from(self, captured: tuple[Image, MemoryImage]) -> Sandbox:
        image, wanted = captured
        made = self._new(image)
        assert content_of(made) == wanted
        return made

    @rule(captured=images)
    def look(self, captured: tuple[Image, MemoryImage]) -> None:
        image, wanted = captured
        assert at_once(image.whole()) == wanted

    @rule(sandbox=consumes(sandboxes))
    def close(self, sandbox: Sandbox) -> None:
        sandbox.close()
        self.alive.remove(sandbox)

    @rule(captured=consumes(images))
    def forget(self, captured: tuple[Image, MemoryImage]) -> None:
        """Nobody has it any longer, here."""

    def teardown(self) -> None:
        for sandbox in self.alive:
            sandbox.close()


@MAPPED
@pytest.mark.parametrize("seen", ["by the kernel's search", "by its table"])
def test_whatever_happens_memories_are_what_copying_gives(seen: str) -> None:
    with pytest.MonkeyPatch.context() as patch:
        _small_runs(patch)
        if seen == "by its table":
            patch.setattr(pages, "_ioctl", None)
        run_state_machine_as_test(Histories, settings=settings(max_examples=15, stateful_step_count=25))


@MAPPED
@settings(max_examples=15)
@given(programs=st.lists(PROGRAMS, min_size=1, max_size=14))
def test_one_capture_after_another_gives_what_copying_gives(programs: list[str]) -> None:
    with pytest.MonkeyPatch.context() as patch:
        _small_runs(patch)
        sandbox = sandbox_of()
        value_of(sandbox, "(define kept '()) (define table (make-hash))")
        for program in programs:
            value_of(sandbox, program)
            wanted = content_of(sandbox)
            image = sandbox.capture()
            assert at_once(image.whole()) == wanted
            assert content_of(sandbox) == wanted
        other = sandbox_of(image)
        value_of(sandbox, "(set! kept '()) (make-vector 300000 2)")
        sandbox.close()
        assert content_of(other) == wanted
        other.close()


# ---- one memory and another


@MAPPED
def test_forks_and_what_they_came_from_never_see_one_another() -> None:
    before = sandbox_of()
    value_of(before, filled(3_000_000, 1))
    image = before.capture()
    assert isinstance(image, LayeredImage)
    wanted = at_once(image.whole())
    one, two = sandbox_of(image), sandbox_of(image)
    for sandbox, byte in ((before, 2), (one, 3), (two, 4)):
        value_of(sandbox, f"(bytes-fill! kept {byte})")
    for sandbox, byte in ((before, 2), (one, 3), (two, 4)):
        assert value_of(sandbox, "(list (bytes-ref kept 0) (bytes-ref kept 2999999))") == f"({byte} {byte})"
        sandbox.close()
    assert at_once(image.whole()) == wanted
    assert content_of(sandbox_of(image)) == wanted


@MAPPED
def test_a_capture_takes_what_changed_since_the_last_one(monkeypatch: pytest.MonkeyPatch) -> None:
    """And a fork of it takes nothing of the file until that is captured."""
    written: list[int] = []
    original = Extent.write
    monkeypatch.setattr(
        Extent,
        "write",
        lambda extent, at, address, count: (written.append(count), original(extent, at, address, count)),
    )
    sandbox = sandbox_of()
    value_of(sandbox, filled(20_000_000, 1))
    first = sandbox.capture()
    assert sum(written) > 20_000_000 // PAGE
    written.clear()
    value_of(sandbox, "(+ 1 2)")
    second = sandbox.capture()
    assert written == []
    value_of(sandbox, "(for ([i 1000]) (bytes-set! kept (* i 1000) 2))")
    third = sandbox.capture()
    assert 1_000_000 // PAGE <= sum(written) < 2_000_000 // PAGE
    written.clear()
    fork = sandbox_of(third)
    assert value_of(fork, "(list (bytes-ref kept 999000) (bytes-ref kept 999001))") == "(2 1)"
    fork.capture()
    assert written == []
    assert first.size == second.size == third.size
    sandbox.close()
    fork.close()


@MAPPED
def test_what_is_closed_leaves_nothing_behind() -> None:
    """No file's bytes, no mapping, no descriptor, while the process goes on."""

    def held() -> tuple[int, int, int, int]:
        maps = Path("/proc/self/maps").read_text(encoding="ascii", errors="replace")
        named = maps.count("rlm-wasm-memory")
        return file_bytes(), mappings.count, named, len([*Path("/proc/self/fd").iterdir()])

    sandbox_of().close()
    before = held()
    sandbox = sandbox_of()
    for byte in range(4):
        value_of(sandbox, filled(4_000_000 + byte * 500_000, byte))
        image = sandbox.capture()
    forks = [sandbox_of(image) for _ in range(5)]
    for fork in forks:
        value_of(fork, "(bytes-fill! kept 9)")
        fork.capture()
    assert held()[0] > before[0]
    assert held()[1] > before[1]
    assert held()[2] > before[2]
    assert held()[3] == before[3]
    for each in (sandbox, *forks):
        each.close()
    del image
    assert held() == before


@MAPPED
def test_an_instance_that_maps_a_layer_is_never_used_again() -> None:
    """Its pages do not count as written: they would be taken for the boot image's."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(memories, "MAPPED_FROM", 1)
        sandbox = sandbox_of()
        value_of(sandbox, "(define secret 'of-this-session)")
        assert isinstance(sandbox.capture(), LayeredImage)
        instance = sandbox._awake()
        assert instance.size == Engine.shared().image_size
        sandbox.close()
        assert instance.store is None
    start, size = pristine_memory(Engine.shared())
    fresh = sandbox_of()._awake()
    assert string_at(fresh.base, size) == string_at(start, size)


@MAPPED
def test_layers_are_shared_where_the_process_forks() -> None:
    """The child uses, closes and captures what it has; the parent goes on as if nothing had been."""
    sandbox = sandbox_of()
    value_of(sandbox, filled(3_000_000, 5))
    image = sandbox.capture()
    wanted = at_once(image.whole())
    child = os.fork()
    if child == 0:
        ended = 1
        try:
            value_of(sandbox, "(bytes-fill! kept 6)")
            other = sandbox_of(image)
            right = value_of(other, "(bytes-ref kept 2999999)") == "5"
            again = sandbox.capture()
            right = right and at_once(again.whole()) == content_of(sandbox)
            other.close()
            sandbox.close()
            del image, again, other, sandbox
            gc.collect()
            ended = 0 if right else 2
        finally:
            os._exit(ended)
    assert os.waitpid(child, 0)[1] == 0
    assert at_once(image.whole()) == wanted
    assert value_of(sandbox, "(bytes-ref kept 2999999)") == "5"
    value_of(sandbox, "(bytes-fill! kept 7)")
    assert content_of(sandbox) == at_once(sandbox.capture().whole())
    sandbox.close()


# ---- where the system refuses


class Refusing:
    """A system call that fails the ``number``-th time, and from then on where that is said."""

    def __init__(
        self, call: Callable[..., object], number: int, failed: object, *, ever: bool = False
    ) -> None:
        self.call, self.number, self.failed, self.ever = call, number, failed, ever
        self.calls = 0

    def __call__(self, *arguments: object) -> object:
        self.calls += 1
        if self.calls == self.number or (self.ever and self.calls > self.number):
            if isinstance(self.failed, BaseException):
                raise self.failed
            return self.failed
        return self.call(*arguments)


@pytest.fixture
def room(monkeypatch: pytest.MonkeyPatch) -> None:
    """How many pieces may be mapped is as before after the test."""
    monkeypatch.setattr(mappings, "most", mappings.most)


STEPS = [filled(400_000, 1), "(bytes-fill! kept 2)", filled(900_000, 3), "(+ 1 2)", "(bytes-fill! kept 4)"]


def captured_and_forked(sandbox: Sandbox) -> int:
    """Captures after each step, with forks: all of them as copying has them. How many captures were layered."""
    layered = 0
    for step in STEPS:
        value_of(sandbox, step)
        wanted = content_of(sandbox)
        image = sandbox.capture()
        layered += isinstance(image, LayeredImage)
        assert at_once(image.whole()) == wanted
        assert content_of(sandbox) == wanted
        fork = sandbox_of(image)
        assert content_of(fork) == wanted
        fork.close()
    sandbox.close()
    return layered


@MAPPED
@pytest.mark.usefixtures("room", "small_runs")
@pytest.mark.parametrize("ever", [False, True], ids=["once", "from then on"])
@pytest.mark.parametrize("number", [1, 2, 3, 5, 8, 13, 40])
def test_mappings_that_are_refused_are_copies_instead(
    monkeypatch: pytest.MonkeyPatch, number: int, ever: bool
) -> None:
    refusing = Refusing(layers._mmap, number, layers._FAILED, ever=ever)
    before = mappings.count
    monkeypatch.setattr(layers, "_mmap", refusing)
    captured_and_forked(sandbox_of())
    assert refusing.calls >= number
    assert mappings.count == before


@MAPPED
@pytest.mark.usefixtures("small_runs")
@pytest.mark.parametrize("number", [1, 2, 7, 30])
def test_layers_that_cannot_be_written_are_copies_instead(
    monkeypatch: pytest.MonkeyPatch, number: int
) -> None:
    refusing = Refusing(os.pwrite, number, OSError(28, "no space"), ever=True)
    monkeypatch.setattr(layers.os, "pwrite", refusing)
    captured_and_forked(sandbox_of())
    assert refusing.calls >= number


@MAPPED
@pytest.mark.usefixtures("small_runs")
def test_a_process_that_has_too_many_mappings_copies(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(mappings, "most", mappings.count)
    assert captured_and_forked(sandbox_of()) > 0
    made: list[int] = []
    original = layers.lay
    monkeypatch.setattr("rlm_wasm.sandbox.instance.lay", lambda *what: (made.append(1), original(*what))[1])
    sandbox = sandbox_of()
    value_of(sandbox, filled(400_000, 1))
    image = sandbox.capture()
    made.clear()
    assert content_of(sandbox_of(image)) == content_of(sandbox)
    assert made == []


@MAPPED
@pytest.mark.usefixtures("small_runs")
def test_a_kernel_that_tells_no_longer_what_was_written_is_not_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    sandbox = sandbox_of()
    value_of(sandbox, filled(400_000, 1))
    assert isinstance(sandbox.capture(), LayeredImage)
    monkeypatch.setattr(pages, "_pagemap", lambda: None)
    assert captured_and_forked(sandbox) == 0


@MAPPED
@pytest.mark.parametrize("missing", ["memfd_create", "mmap", "pwrite", "pagemap"])
def test_a_system_that_maps_nothing_is_found_out_once(monkeypatch: pytest.MonkeyPatch, missing: str) -> None:
    def refused(*_arguments: object) -> None:
        raise PermissionError("not here")

    monkeypatch.setattr(memories, "_chosen", None)
    monkeypatch.setattr(LayerFile, "_current", None)
    if missing == "mmap":
        monkeypatch.setattr(layers, "_mmap", lambda *_arguments: layers._FAILED)
        monkeypatch.setattr(mappings, "most", mappings.most)
    elif missing == "pagemap":
        monkeypatch.setattr(pages, "_pagemap", lambda: None)
    else:
        monkeypatch.setattr(layers.os, missing, refused)
    way = memories.memories()
    assert type(way) is Copying
    monkeypatch.undo()
    monkeypatch.setattr(memories, "_chosen", way)
    assert captured_and_forked(sandbox_of()) == 0
