"""What a chat-completions server said, read as a Completion or as an error in the server's own words.

Servers that call themselves compatible leave fields out, put others in, and report failures with
status 200. So nothing is taken for granted here, and what is no answer is a failed call that says
what came: never an empty text that counts as success.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Mapping
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import TYPE_CHECKING, Any, Final

from rlm_wasm.errors import NoAnswer, ProviderError, RateLimited
from rlm_wasm.providers import strict_json
from rlm_wasm.providers.base import Completion
from rlm_wasm.providers.completions import check_end, count_of, end_of, shortened
from rlm_wasm.providers.tokens import estimate_prompt_tokens, estimate_tokens

if TYPE_CHECKING:
    from rlm_wasm.providers.base import CompletionRequest

_RATE_LIMIT_PREFIX: Final = "x-ratelimit-"


def read_answer(text: str, headers: Mapping[str, str], *, model: str, where: str) -> Mapping[str, Any]:
    """The body of a response of status 200, with a first choice that has a message.

    ``model`` was asked for, ``where`` names the server in errors. Raises ProviderError where the server
    failed after all; nothing was answered then, so that a retryable one may be sent again.
    """
    text = text.removeprefix("\ufeff")
    try:
        answer = strict_json.loads(text)
    except ValueError as error:
        answer = _with_odd_numbers(text)
        if answer is None:
            raise ProviderError(
                f"{where} answered with malformed JSON ({error}): {shortened(text)}", retryable=True
            ) from None
    choice = _first_choice(answer)
    for holder in (answer, choice):
        if isinstance(holder, Mapping) and holder.get("error"):
            raise _failure(holder["error"], headers, model, where)
    if choice is None:
        raise ProviderError(f"{where} answered without a choice: {shortened(text)}")
    reply: Mapping[str, Any] = answer
    return reply


def completion_of(
    answer: Mapping[str, Any], headers: Mapping[str, str], request: CompletionRequest, *, model: str
) -> Completion:
    """The Completion in what ``read_answer`` gave. Raises ProviderError where the model gave no text."""
    choice = answer["choices"][0]
    try:
        content = _content(choice, request, model)
    except ProviderError as error:
        error.answered = True  # a refusal, or reasoning without an answer, is billed like any other
        raise
    answered_by, usage = answer.get("model"), answer.get("usage")
    usage = usage if isinstance(usage, Mapping) else {}
    prompt_tokens = count_of(
        usage.get("prompt_tokens"),
        lambda: estimate_prompt_tokens(request.instruction, request.data, len(request.images)),
    )
    return Completion(
        text=content,
        model=answered_by if isinstance(answered_by, str) and answered_by else model,
        prompt_tokens=prompt_tokens,
        completion_tokens=count_of(usage.get("completion_tokens"), lambda: estimate_tokens(content)),
        finish_reason=str(choice.get("finish_reason") or "stop"),
        rate_limits=rate_limits(headers),
        cached_tokens=min(_cached_tokens(usage), prompt_tokens),
    )


def _cached_tokens(usage: Mapping[str, Any]) -> int:
    """Of the prompt's tokens those in the vendor's cache: as OpenAI, DeepSeek and Anthropic say it."""
    details = usage.get("prompt_tokens_details")
    given = details.get("cached_tokens") if isinstance(details, Mapping) else None
    for count in (given, usage.get("prompt_cache_hit_tokens"), usage.get("cache_read_input_tokens")):
        tokens = count_of(count, int)
        if tokens:
            return tokens
    return 0


def _with_odd_numbers(text: str) -> Any:
    """An answer with NaN or Infinity among its figures: they fail no call. None where it is none."""
    try:
        answer = json.loads(text, parse_constant=lambda _name: None)
    except (ValueError, RecursionError):
        return None
    return answer if _first_choice(answer) else None


def _first_choice(answer: Any) -> Mapping[str, Any] | None:
    """The first choice, if the answer has one with a message."""
    choices = answer.get("choices") if isinstance(answer, Mapping) else None
    choice = choices[0] if isinstance(choices, list) and choices else None
    return choice if isinstance(choice, Mapping) and isinstance(choice.get("message"), Mapping) else None


def _failure(reply: Any, headers: Mapping[str, str], model: str, where: str) -> ProviderError:
    """An error that came with status 200: its code, where it is one, is the status."""
    code = reply.get("code") if isinstance(reply, Mapping) else None
    digits = str(code)
    status = int(digits) if re.fullmatch(r"[45]\d\d", digits) else None
    kind = shortened(str(code or "an error inside the answer"))
    message = f"{model} at {where} failed ({kind}): {words(reply)}"
    if status == 429:
        return RateLimited(message, retry_after_s=retry_after_s(headers))
    return ProviderError(
        message, status=status, retryable=is_retryable(status), retry_after_s=retry_after_s(headers)
    )


def is_retryable(status: int | None) -> bool:
    """Whether the same call may succeed later, by its HTTP status; without one it may."""
    return status is None or status in (408, 409, 429) or status >= 500


def _content(choice: Mapping[str, Any], request: CompletionRequest, model: str) -> str:
    """The text of a choice; what is none is said."""
    message, reason = choice["message"], choice.get("finish_reason")
    content, refusal = _text_of(message.get("content")), message.get("refusal") or _refusal(message)
    called = message.get("tool_calls") or message.get("function_call")
    end = end_of(reason)
    if called and (end == "tool" or (end == "stop" and not content and not refusal)):
        raise NoAnswer(f"{model} called a tool in place of an answer: {shortened(str(called))}")
    if refusal and not content and end == "stop":
        raise NoAnswer(f"{model} refused: {words(refusal)}")
    reasoning = _text_of(message.get("reasoning_content")) or _text_of(message.get("reasoning"))
    if reasoning and not content and end == "stop":
        raise NoAnswer(f"{model} reasoned and gave no answer: {shortened(reasoning)}", retryable=True)
    check_end(content or "", reason, request, model=model)
    if content is None:
        raise NoAnswer(f"{model} gave no content: {shortened(str(dict(message)))}", retryable=True)
    return content


def _text_of(content: Any) -> str | None:
    """A message's text: the text parts joined where it comes in parts; None where there is none."""
    if isinstance(content, str):
        return content
    if isinstance(content, Mapping):
        content = [content]
    if not isinstance(content, list):
        return None
    parts = [part if isinstance(part, str) else _part(part) for part in content]
    texts = [part for part in parts if part is not None]
    return "".join(texts) if texts else None


def _part(part: Any) -> str | None:
    """The text of a part that is one of text: parts of reasoning and refusal have other types."""
    if not isinstance(part, Mapping) or part.get("type", "text") not in ("text", "output_text"):
        return None
    text = part.get("text")
    if isinstance(text, Mapping):
        text = text.get("value")
    return text if isinstance(text, str) else None


def _refusal(message: Mapping[str, Any]) -> Any:
    """A refusal that is one of the content's parts."""
    parts = message.get("content")
    refused = (
        part["refusal"]
        for part in (parts if isinstance(parts, list) else ())
        if isinstance(part, Mapping) and part.get("refusal")
    )
    return next(refused, None)


def words(body: Any) -> str:
    """What a server says about a failure, from whatever it sent: JSON of some form, text, a web page."""
    if isinstance(body, Mapping):
        for key in ("message", "error", "detail", "msg", "error_description", "errors"):
            if body.get(key):
                return words(body[key])
        return shortened(str(dict(body)))
    if isinstance(body, list) and body:
        return shortened("; ".join(_located(item) for item in body[:3]))
    if isinstance(body, str) and body.strip():
        return shortened(body)
    return "no reason given"


def _located(item: Any) -> str:
    """One entry of a list of errors: FastAPI says where each is."""
    place = item.get("loc") if isinstance(item, Mapping) else None
    where = f"{'.'.join(map(str, place))}: " if isinstance(place, list) else ""
    return where + words(item)


def rate_limits(headers: Mapping[str, str]) -> dict[str, Any]:
    """``x-ratelimit-remaining-tokens: 12`` as ``{"remaining-tokens": 12}``; else the value's text."""
    limits: dict[str, Any] = {}
    for key, value in headers.items():
        name = key.lower()
        if name.startswith(_RATE_LIMIT_PREFIX):
            plain = value.isascii() and value.isdecimal() and len(value) < 16
            limits[name[len(_RATE_LIMIT_PREFIX) :]] = int(value) if plain else value
    return limits


def retry_after_s(headers: Mapping[str, str]) -> float | None:
    """How many seconds to wait, from Retry-After in either form (a number, a date), or None."""
    value = headers.get("retry-after")
    if value is None:
        return None
    try:
        seconds = float(value)
    except ValueError:
        try:
            seconds = (_date(value) - _date(headers.get("date"))).total_seconds()
        except (ValueError, TypeError, OverflowError):
            return None
        return max(0.0, seconds)
    return seconds if math.isfinite(seconds) and seconds >= 0 else None


def _date(value: str | None) -> datetime:
    """An HTTP date; now where there is none."""
    if value is None:
        return datetime.now(UTC)
    date = parsedate_to_datetime(value)
    return date if date.tzinfo is not None else date.replace(tzinfo=UTC)
