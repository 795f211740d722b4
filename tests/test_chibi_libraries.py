"""Chibi-Scheme's libraries load unchanged and pass their own tests.

They are not part of this repository: without an installed Chibi these tests skip.
``.ci/fetch-chibi.sh FOLDER`` brings the Debian package's files; set RLM_WASM_CHIBI to
FOLDER/usr/share/chibi. Its R7RS tests are in its sources only: RLM_WASM_R7RS names the file.
"""

from __future__ import annotations

import pytest

from tests import chibi_suites

FOLDER = chibi_suites.folder()
SUITES = (
    []
    if FOLDER is None
    else [suite for suite in chibi_suites.suites(FOLDER) if suite not in chibi_suites.NOT_RUN]
)

pytestmark = pytest.mark.skipif(FOLDER is None, reason="no Chibi libraries: see .ci/fetch-chibi.sh")


@pytest.mark.parametrize("suite", SUITES or ["none"])
async def test_the_suite_passes(suite: str) -> None:
    """All checks but those that are known to ask for something else than this language."""
    assert FOLDER is not None
    outcome = await chibi_suites.run(FOLDER, suite)
    assert not outcome.error, outcome.error
    failures = chibi_suites.EXPECTED_FAILURES.get(suite, (0, ""))[0]
    assert outcome.checks - outcome.passed == failures, outcome.output
    assert outcome.checks > 0


async def test_every_library_can_be_imported_but_those_that_want_what_is_not_here() -> None:
    """Threads of Chibi's own, its compiler, files that its package lacks."""
    assert FOLDER is not None
    count, failures = await chibi_suites.not_loaded(FOLDER)
    assert set(failures) <= set(chibi_suites.NOT_LOADED), failures
    assert count > 250


@pytest.mark.skipif(chibi_suites.r7rs_tests(FOLDER) is None, reason="no r7rs-tests.scm: set RLM_WASM_R7RS")
async def test_chibis_checks_of_r7rs_pass_but_those_that_ask_for_something_else() -> None:
    """A file system, an environment, and bars around a name that needs none."""
    assert FOLDER is not None
    path = chibi_suites.r7rs_tests(FOLDER)
    assert path is not None
    outcome = await chibi_suites.run_program(FOLDER, path.read_text(encoding="utf-8"))
    assert not outcome.error, outcome.error
    failed = chibi_suites.failed_checks(outcome.output)
    assert set(failed) <= set(chibi_suites.R7RS_DIFFERENCES), outcome.output
    assert outcome.checks - outcome.passed == len(failed)
    assert outcome.checks > 1000
