"""What a vendor's model takes: one table, asked before anything is sent."""

from __future__ import annotations

import pytest

from rlm_wasm.errors import UsageError
from rlm_wasm.providers.vendor_rules import check_request, rules_of

# Model: takes a temperature, json, images, and the limit's name is max_completion_tokens.
MODELS = """
o1                              -T J I M
o1-2024-12-17                   -T J I M
o1-mini                         -T -J -I M
o1-preview-2024-09-12           -T -J -I M
o1-pro                          -T J I M
o3                              -T J I M
o3-mini                         -T J -I M
o3-mini-2025-01-31              -T J -I M
o3-pro-2025-06-10               -T J I M
o4-mini                         -T J I M
o4-mini-2025-04-16              -T J I M
O4-mini                         -T J I M
ft:o4-mini                      -T J I M
ft:o4-mini:org::id              -T J I M
ft:o4-mini-2025-04-16:my-org:a/b:id -T J I M
openai/o3-mini                  -T J -I M
openrouter/openai/o3-mini:free  -T J -I M
openai/ft:o4-mini:org::id       -T J I M
gpt-5                           -T J I M
gpt-5-2025-08-07                -T J I M
gpt-5-mini                      -T J I M
gpt-5-nano-2025-08-07           -T J I M
gpt-5-pro                       -T J I M
gpt-5-codex                     -T J I M
openai/gpt-5                    -T J I M
ft:gpt-5-mini:org::id           -T J I M
gpt-5-search-api                -T J I M
gpt-5.1-codex-max               -T J I M
gpt-5.2-pro-2025-12-11          -T J I M
gpt-5.5                         -T J I M
gpt-5-chat                      T J I M
gpt-5-chat-latest               T J I M
gpt-5.1                         T J I M
gpt-5.1-2025-11-13              T J I M
gpt-5.2                         T J I M
gpt-5.4-mini                    T J I M
gpt-6                           T J I M
gpt-10-mini                     T J I M
gpt-4o                          T J I -M
gpt-4o-mini                     T J I -M
gpt-4o-mini-2024-07-18          T J I -M
ft:gpt-4o-mini-2024-07-18:org:name:id T J I -M
gpt-4o-search-preview           -T J I -M
gpt-4o-mini-audio-preview       T J -I -M
gpt-4.1                         T J I -M
gpt-4.1-nano                    T J I -M
gpt-4.1-nano-2025-04-14         T J I -M
gpt-4-turbo                     T J I -M
gpt-4-turbo-preview             T J -I -M
gpt-4                           T -J -I -M
gpt-4-0613                      T -J -I -M
gpt-3.5-turbo                   T J -I -M
gpt-3.5-turbo-0125              T J -I -M
ft:gpt-3.5-turbo-0125:org::id   T J -I -M
deepseek-chat                   T J -I -M
openai/gpt-oss-120b             T J -I -M
claude-sonnet-4-5               T J I -M
llama3:8b                       T J I -M
mistral-large-latest            T J I -M
olmo-2                          T J I -M
o10                             T J I -M
orca                            T J I -M
my-gpt-5                        T J I -M
gpt-5ish                        T J I -M
"""
ROWS = [line.split() for line in MODELS.strip().splitlines()]


@pytest.mark.parametrize(("model", "temperature", "json", "images", "limit"), ROWS, ids=lambda x: x)
def test_the_table_of_models(model: str, temperature: str, json: str, images: str, limit: str) -> None:
    """What is written there is taken, and what is not is refused before anything is sent."""
    assert rules_of(model).max_completion_tokens == (limit == "M")
    check_request(model)
    for taken, options, words in (
        (temperature == "T", {"temperature": 0.5}, f"model {model} does not take #:temperature"),
        (json == "J", {"json": True, "instruction": "as JSON"}, f"model {model} does not take #:json"),
        (images == "I", {"images": 1}, f"model {model} reads no images"),
    ):
        if taken:
            check_request(model, **options)  # type: ignore[arg-type]
        else:
            with pytest.raises(UsageError, match=words):
                check_request(model, **options)  # type: ignore[arg-type]


@pytest.mark.parametrize("model", ["gpt-4o", "extractive", "o3-mini", "", None])
def test_the_instruction_names_json_for_every_model(model: str | None) -> None:
    """In any letters; elsewhere than in the instruction it does not count."""
    check_request(model, json=True, instruction="Answer in Json.")
    with pytest.raises(UsageError, match=r'#:json #t needs the word "json" in the instruction'):
        check_request(model, json=True, instruction="Answer with an object.")


@pytest.mark.parametrize("temperature", [-0.1, 2.1, float("inf"), float("nan")])
def test_a_temperature_is_0_to_2(temperature: float) -> None:
    """Whatever the model."""
    with pytest.raises(UsageError, match="#:temperature must be a number from 0 to 2, got"):
        check_request("gpt-4o", temperature=temperature)
    for good in (0, 2):
        check_request("gpt-4o", temperature=good)


@pytest.mark.parametrize("model", ["/" * 1_000_000, "ft:" * 1_000_000, "o1" * 1_000_000, "\ud800", " "])
def test_a_strange_name_is_no_known_model_and_is_shown_in_part(model: str) -> None:
    """A program may write anything there, and it is looked through once."""
    check_request(model, temperature=1.0, images=1)
    with pytest.raises(UsageError) as caught:
        check_request(model, json=True)
    assert len(str(caught.value)) < 400
