"""Resources with subscriptions, prompts, and completion."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import mcp_types as types
import pytest
from mcp import MCPError

from rlm_wasm.testing import GatedProvider

pytestmark = pytest.mark.filterwarnings("ignore::mcp.MCPDeprecationWarning")


async def read(client: Any, uri: str) -> Any:
    return json.loads((await client.read_resource(uri)).contents[0].text)


async def test_runs_logs_contexts_and_patterns_can_be_read(connect, mode) -> None:
    """As resources, listed as they come into being."""
    async with connect(mode=mode) as client:
        before = {str(resource.uri) for resource in (await client.list_resources()).resources}
        assert {"rlm://status", "rlm://log", "rlm://runs", "rlm://guide", "rlm://patterns/16"} <= before
        await client.call_tool("load_context", {"data": "the text", "name": "my paper"})
        await client.call_tool("execute_scheme", {"code": '(checkpoint "a" 1)'})
        await client.call_tool("execute_scheme", {"code": '(finish (restore "a"))'})
        after = {str(resource.uri) for resource in (await client.list_resources()).resources}
        assert after - before == {"rlm://contexts/my%20paper"}
        assert (await client.read_resource("rlm://contexts/my%20paper")).contents[0].text == "the text"
        assert [run["status"] for run in await read(client, "rlm://runs")] == ["ok", "finished"]
        run = await read(client, "rlm://runs/2")
        assert (run["code"], run["result"]["value"]) == ('(finish (restore "a"))', "1")
        assert [entry["op"] for entry in await read(client, "rlm://runs/2/log")] == ["restore"]
        assert [entry["op"] for entry in await read(client, "rlm://log")] == ["checkpoint", "restore"]
        assert (await read(client, "rlm://status"))["running"] is False


async def test_patterns_recipes_scenarios_and_sections_are_resources(connect, mode) -> None:
    """Listed, each with its program."""
    async with connect(mode=mode) as client:
        listed = {str(resource.uri): resource for resource in (await client.list_resources()).resources}
        for kind, count in (("patterns", 16), ("recipes", 5), ("scenarios", 6)):
            for number in range(1, count + 1):
                uri = f"rlm://{kind}/{number}"
                page = (await client.read_resource(uri)).contents[0]
                assert page.mime_type == "text/markdown"
                assert page.text.startswith(f"# {number}. ")
                assert "```scheme" in page.text
                assert listed[uri].title.startswith(f"{kind[:-1].capitalize()} {number}: ")
        assert "rlm://guide/mistakes" in listed
        page = await client.read_resource("rlm://guide/mistakes")
        assert page.contents[0].text.startswith("# Common mistakes")


@pytest.mark.parametrize(
    "uri",
    [
        "rlm://runs/9",
        "rlm://runs/x",
        "rlm://runs/1/x",
        "rlm://patterns/17",
        "rlm://patterns/1/2",
        "rlm://recipes/6",
        "rlm://scenarios/0",
        "rlm://scenarios/x",
        "rlm://guide/absent",
        "rlm://guide/",
        "rlm://contexts/no",
        "file:///etc/passwd",
    ],
)
async def test_a_resource_that_is_not_there_is_an_error(connect, mode, uri: str) -> None:
    """That names it."""
    async with connect(mode=mode) as client:
        with pytest.raises(MCPError, match="there is no resource"):
            await client.read_resource(uri)


async def test_templates_say_how_uris_are_made(connect, mode) -> None:
    """For clients that complete them."""
    async with connect(mode=mode) as client:
        templates = (await client.list_resource_templates()).resource_templates
    assert {t.uri_template for t in templates} == {
        "rlm://runs/{run}",
        "rlm://runs/{run}/log",
        "rlm://runs/{run}/{part}",
        "rlm://runs/{run}/{part}/{start}",
        "rlm://sessions/{session}/runs/{run}",
        "rlm://contexts/{context}",
        "rlm://guide/{section}",
        "rlm://patterns/{pattern}",
        "rlm://recipes/{recipe}",
        "rlm://scenarios/{scenario}",
    }


async def test_a_subscriber_is_told_when_the_log_changes_and_others_are_not(connect) -> None:
    """In the handshake era, by resources/subscribe."""
    heard: asyncio.Queue[str] = asyncio.Queue()

    async def listen(message: Any) -> None:
        if isinstance(message, types.ResourceUpdatedNotification):
            heard.put_nowait(str(message.params.uri))
        elif isinstance(message, types.ResourceListChangedNotification):
            heard.put_nowait("list")

    async with connect(client={"message_handler": listen}) as client:
        await client.subscribe_resource("rlm://log")
        await client.call_tool("execute_scheme", {"code": "1"})
        assert await heard.get() == "rlm://log"
        await client.unsubscribe_resource("rlm://log")
        await client.call_tool("execute_scheme", {"code": "1"})
        await client.call_tool("load_context", {"data": "x"})
        assert await heard.get() == "list"


async def test_a_subscriber_of_the_modern_era_listens(connect) -> None:
    """By subscriptions/listen."""
    from mcp.shared.subscriptions import ResourceUpdated

    async with (
        connect(mode="2026-07-28") as client,
        client.listen(resource_subscriptions=["rlm://runs"]) as events,
    ):
        await client.call_tool("execute_scheme", {"code": "1"})
        assert await anext(aiter(events)) == ResourceUpdated("rlm://runs")


async def test_the_status_changes_while_a_program_runs(connect) -> None:
    """So that a subscriber can watch it."""
    gate = GatedProvider()
    heard = asyncio.Event()

    async def listen(message: Any) -> None:
        if isinstance(message, types.ResourceUpdatedNotification):
            heard.set()

    async with connect(gate, client={"message_handler": listen}) as client:
        await client.subscribe_resource("rlm://status")
        call = asyncio.create_task(
            client.call_tool("execute_scheme", {"code": '(llm-query #:instruction "x")'})
        )
        await heard.wait()
        await gate.arrived(1)
        assert (await read(client, "rlm://status"))["running"]
        gate.release()
        await call


async def test_prompts_cover_the_common_scenarios(connect, mode) -> None:
    """Each is a message that has a program in it."""
    async with connect(mode=mode) as client:
        prompts = (await client.list_prompts()).prompts
        assert len(prompts) >= 6
        for prompt in prompts:
            values = {"task": "find the {magic} number", "labels": "a, b", "pattern": "3"}
            given = {a.name: values[a.name] for a in prompt.arguments if a.required}
            text = (await client.get_prompt(prompt.name, given)).messages[0].content.text
            assert "```scheme" in text
            assert all(value in text for name, value in given.items() if name != "pattern")


@pytest.mark.parametrize(
    ("name", "arguments", "message"),
    [
        ("absent", {}, "there are analyze-documents"),
        ("find-in-text", {}, 'needs "task"'),
        ("find-in-text", {"task": "x", "y": "z"}, 'takes no "y"'),
        ("apply-pattern", {"pattern": "17", "task": "x"}, "a number from 1 to 16"),
        ("apply-pattern", {"pattern": " ", "task": "x"}, "a number from 1 to 16"),
    ],
)
async def test_a_prompt_asked_for_wrongly_says_what_to_send(
    connect, mode, name: str, arguments: dict[str, str], message: str
) -> None:
    """As a protocol error: nothing else is possible there."""
    async with connect(mode=mode) as client:
        with pytest.raises(MCPError, match=message):
            await client.get_prompt(name, arguments)


async def test_arguments_are_completed(connect, mode) -> None:
    """Patterns, models, contexts and runs."""
    prompt = types.PromptReference(name="apply-pattern")
    async with connect(mode=mode) as client:
        await client.call_tool("load_context", {"data": "x", "name": "paper"})

        async def completed(name: str, begun: str, ref: Any = prompt) -> list[str]:
            return (await client.complete(ref, {"name": name, "value": begun})).completion.values

        assert await completed("pattern", "1") == ["1", "10", "11", "12", "13", "14", "15", "16"]
        assert "gpt-4.1-nano" in await completed("model", "gpt-4.1")
        assert await completed("context", "pa") == ["paper"]
        template = types.ResourceTemplateReference(uri="rlm://contexts/{context}")
        assert await completed("context", "", template) == ["paper"]
        assert await completed("task", "x") == []
        for name, begun, values in (
            ("section", "l", ["latency"]),
            ("recipe", "", ["1", "2", "3", "4", "5"]),
            ("scenario", "6", ["6"]),
        ):
            uri = f"rlm://guide/{{{name}}}" if name == "section" else f"rlm://{name}s/{{{name}}}"
            assert await completed(name, begun, types.ResourceTemplateReference(uri=uri)) == values
