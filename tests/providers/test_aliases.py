"""Models by other names: roles, aliases, and where they are defined."""

from __future__ import annotations

from pathlib import Path

import pytest

from rlm_wasm import Runtime, UsageError
from rlm_wasm.cli.config import aliases_given
from rlm_wasm.planning import Task, plan
from rlm_wasm.providers import OpenAIProvider, info_of
from rlm_wasm.providers.aliases import ROLES, model_for
from rlm_wasm.testing import InlineProvider

NAMED = """
(list (model-for 'cheap) (syntax-e (llm-query #:instruction "q" #:model 'cheap))
      (syntax-e (llm-query #:instruction "q" #:model "big"))
      (syntax-e (cached-query "q" #:model 'good))
      (syntax-e (llm-query #:instruction "q" #:model "other")))
"""


async def test_an_alias_stands_wherever_a_model_does() -> None:
    """As a symbol or a string, through other aliases; any other name is a model's own."""
    provider = InlineProvider(lambda request: str(request.model))
    async with Runtime(
        provider=provider, aliases={"cheap": "small", "big": "good", "good": "large"}
    ) as runtime:
        result = await runtime.run(NAMED)
    assert result.data == ["small", "small", "large", "large", "other"], result.error


async def test_the_sessions_own_model_may_be_an_alias() -> None:
    """The one that answers where the program names none."""
    provider = InlineProvider(lambda request: str(request.model))
    async with Runtime(provider=provider, model="cheap", aliases={"cheap": "small"}) as runtime:
        assert (await runtime.run('(syntax-e (llm-query #:instruction "q"))')).value == "small"


@pytest.mark.parametrize(
    ("options", "cheap"),
    [
        ({"api_key": "k"}, "gpt-4.1-nano"),
        ({"base_url": "http://localhost:11434/v1", "model": "llama3.2"}, "llama3.2"),
    ],
)
def test_a_role_is_what_the_provider_says(
    options: dict[str, str], cheap: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """OpenAI has three models for them, another server the one that it was given."""
    monkeypatch.delenv("OPENAI_BASE_URL", raising=False)
    info = info_of(OpenAIProvider(**options))  # type: ignore[arg-type]
    assert model_for("cheap", {}, info) == cheap
    assert all(model_for(role, {}, info) for role in ROLES)
    assert model_for("cheap", {"cheap": "mine"}, info) == "mine"
    assert model_for("something-else", {}, info) == "something-else"


@pytest.mark.parametrize(
    "aliases", [{"": "x"}, {"a b": "x"}, {"cheap": ""}, {"cheap": 5}, {"a": "b", "b": "a"}, {"x" * 200: "y"}]
)
def test_what_is_no_alias_is_refused(aliases: dict[str, str]) -> None:
    """When the runtime is made."""
    with pytest.raises(UsageError):
        Runtime(provider="echo", aliases=aliases)


async def test_a_role_that_is_no_name_is_a_condition() -> None:
    """It says what it wants."""
    async with Runtime(provider="echo") as runtime:
        result = await runtime.run("(model-for 5)")
        assert result.error is not None
        assert "model-for" in result.error.message
        result = await runtime.run('(model-for "")')
        assert result.error is not None
        assert "a role is a name" in result.error.message


async def test_a_plan_names_roles_and_keeps_off_forbidden_models() -> None:
    """Whether the constraint names the role or the model behind it."""
    async with Runtime("echo", python="off", aliases={"cheap": "llama-1b", "good": "llama-70b"}) as runtime:
        made = await plan(runtime, Task(task_description="Summarize", constraints="no llama-70b", scale=3))
        programs = "".join(s.program for s in (made.recommended, *made.alternatives))
    assert '"cheap"' in programs
    assert '"good"' not in programs


@pytest.fixture
def files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A configuration file of the user's, and a project."""
    project = tmp_path / "project" / "below"
    project.mkdir(parents=True)
    monkeypatch.chdir(project)
    (tmp_path / "config.toml").write_text('[aliases]\ncheap = "user"\nmine = "user"\nlast = "user"\n')
    (tmp_path / "project" / "pyproject.toml").write_text(
        '[tool.rlm-wasm.aliases]\ncheap = "project"\nlast = "project"\n[tool.other]\nx = 1\n'
    )
    monkeypatch.setenv("RLM_WASM_CONFIG", str(tmp_path / "config.toml"))
    return tmp_path


def test_options_come_before_the_project_and_that_before_the_user(files: Path) -> None:
    """All three add up."""
    assert aliases_given(("last=option", "good = x")) == {
        "cheap": "project",
        "mine": "user",
        "last": "option",
        "good": "x",
    }


@pytest.mark.parametrize(
    ("path", "text", "words"),
    [
        ("config.toml", "[aliases", "no TOML"),
        ("config.toml", "base_url = 1", "knows no base_url"),
        ("config.toml", "aliases = 5", "must be a table"),
        ("config.toml", "[aliases]\ncheap = 5", "needs the name of a model"),
        ("project/pyproject.toml", '[tool.rlm-wasm]\nbase_url = "http://evil"', "knows no base_url"),
        ("project/pyproject.toml", "[tool.rlm-wasm\n", "pyproject.toml"),
    ],
)
def test_a_broken_file_is_named(files: Path, path: str, text: str, words: str) -> None:
    """With what is wrong in it. A project cannot say where calls go."""
    (files / path).write_text(text)
    with pytest.raises(UsageError, match=words) as raised:
        aliases_given(())
    assert path.rpartition("/")[2] in str(raised.value)


def test_somebody_elses_trouble_is_not_ours(files: Path) -> None:
    """A pyproject.toml that cannot be read and does not speak of us."""
    (files / "project" / "pyproject.toml").write_text("[broken\n")
    assert aliases_given(()) == {"cheap": "user", "mine": "user", "last": "user"}


@pytest.mark.parametrize("option", ["cheap", "=x", "cheap=", ""])
def test_an_option_that_is_no_alias_is_refused(files: Path, option: str) -> None:
    """It shows what was given."""
    with pytest.raises(Exception, match="NAME=MODEL"):
        aliases_given((option,))
