"""Every tool, in both protocol eras: what it gives, and what it says when it is asked wrongly."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft202012Validator
from mcp import MCPError

from rlm_wasm import Runtime
from rlm_wasm.mcp import guide, make_server
from rlm_wasm.mcp.tools import plan as plan_tools
from rlm_wasm.mcp.tools import state as state_tools
from rlm_wasm.mcp.tools import table as tools
from rlm_wasm.mcp.tools.arguments import checked
from rlm_wasm.testing import GatedProvider, ScriptedProvider

NAMES = {
    "ask",
    "execute_scheme",
    "load_context",
    "reset",
    "get_scope_log",
    "get_execution_trace",
    "get_sandbox_state",
    "get_status",
    "cancel_call",
    "get_usage_guide",
    "get_pattern_details",
    "get_code_generation_api_reference",
    "get_codegen_reference",
    "get_combinator_reference",
    "plan_strategy",
    "estimate_cost",
}


def listed() -> list[dict[str, Any]]:
    return [tool.model_dump(by_alias=True, exclude_none=True, mode="json") for tool in tools.listed()]


def test_the_tools_are_those_of_the_contract() -> None:
    """And those that the documentation names."""
    assert {tool["name"] for tool in listed()} == NAMES
    page = (Path(__file__).parents[2] / "docs" / "mcp.md").read_text(encoding="utf-8")
    assert all(f"`{name}" in page for name in NAMES)


def test_every_tool_has_schemas_a_title_and_honest_annotations() -> None:
    """What a client shows and decides by."""
    for tool in listed():
        assert tool["inputSchema"]["type"] == "object"
        assert tool["inputSchema"]["additionalProperties"] is False
        assert tool["outputSchema"]["type"] == "object"
        assert tool["title"]
        assert tool["description"]
        assert set(tool["annotations"]) >= {"readOnlyHint", "openWorldHint"}
    read_only = {tool["name"] for tool in listed() if tool["annotations"]["readOnlyHint"]}
    assert NAMES - read_only == {"ask", "execute_scheme", "load_context", "reset", "cancel_call"}
    destructive = {tool["name"] for tool in listed() if tool["annotations"].get("destructiveHint")}
    assert destructive == {"reset", "cancel_call"}


def test_schemas_are_of_draft_2020_12_and_stand_by_themselves() -> None:
    """A client finds no reference to follow, no name twice, and no null to send."""

    def walk(schema: Any) -> None:
        if isinstance(schema, dict):
            assert not {"$ref", "$defs", "title", "default"} & schema.keys() - {"properties"}
            for key, value in schema.items():
                for part in value.values() if key == "properties" else [value]:
                    walk(part)
        elif isinstance(schema, list):
            for part in schema:
                walk(part)

    for tool in listed():
        for schema in (tool["inputSchema"], tool["outputSchema"]):
            Draft202012Validator.check_schema(schema)
            walk(schema)
        assert "null" not in json.dumps(tool["inputSchema"])


def test_bounds_are_in_the_schemas() -> None:
    """So that a client can check before it sends."""
    schemas = {tool["name"]: tool["inputSchema"]["properties"] for tool in listed()}
    assert schemas["execute_scheme"]["timeout"]["exclusiveMinimum"] == 0
    assert schemas["get_pattern_details"]["pattern_ids"]["minItems"] == 1
    assert schemas["get_pattern_details"]["pattern_ids"]["items"] == {
        "type": "integer",
        "minimum": 1,
        "maximum": 16,
    }
    assert schemas["plan_strategy"]["scale"]["type"] == ["integer", "string"]


@pytest.mark.parametrize(
    ("model", "arguments", "values"),
    [
        (state_tools.LogArguments, {"last": "7"}, {"last": 7}),
        (state_tools.LogArguments, {"last": 7.0, "session": None}, {"last": 7}),
        (plan_tools.PlanArguments, {"task_description": "x", "scale": "500"}, {"scale": 500}),
        (plan_tools.PlanArguments, {"task_description": "x", "scale": "large"}, {"scale": "large"}),
        (plan_tools.PlanArguments, {"task_description": "x", "priority": " Cost"}, {"priority": "cost"}),
    ],
)
def test_what_can_only_mean_one_thing_is_taken_as_that(
    model: Any, arguments: dict[str, Any], values: dict[str, Any]
) -> None:
    """Numbers as text, words in any case, null for what is left out."""
    taken = checked(model, arguments)
    assert {name: getattr(taken, name) for name in values} == values


def test_the_tool_list_takes_less_than_6000_tokens() -> None:
    """Every conversation pays for it: a token is about four characters."""
    assert len(json.dumps(listed(), ensure_ascii=False)) / 4 < 6_000


async def test_a_program_gives_its_result_as_data_and_as_text(connect, mode, text_of) -> None:
    """With the keys that users know."""
    async with connect(mode=mode) as client:
        result = await client.call_tool("execute_scheme", {"code": '(display "hello") (finish (+ 1 2))'})
    content = result.structured_content
    assert not result.is_error
    assert (content["status"], content["value"], content["stdout"]) == ("finished", "3", "hello")
    assert content["execution"]["calls"] == 0
    assert content["execution"]["elapsed"] >= 0
    assert text_of(result).startswith("finished: 3")
    assert "0 calls, 0 tokens" in text_of(result)


async def test_state_persists_from_one_program_to_the_next(connect, mode) -> None:
    """Until reset."""
    async with connect(mode=mode) as client:
        await client.call_tool("execute_scheme", {"code": "(define x 42)"})
        again = await client.call_tool("execute_scheme", {"code": "(finish x)"})
        assert again.structured_content["value"] == "42"
        await client.call_tool("reset", {})
        gone = await client.call_tool("execute_scheme", {"code": "(finish x)"})
        assert gone.is_error
        assert "unbound variable: x" in gone.structured_content["error"]["message"]


async def test_an_error_of_the_program_is_an_answer_that_names_the_place(connect, mode, text_of) -> None:
    """So that the model can mend it."""
    async with connect(mode=mode) as client:
        result = await client.call_tool("execute_scheme", {"code": '(define ok 1)\n(strng-append "a")'})
        assert result.is_error
        assert result.structured_content["status"] == "error"
        assert result.structured_content["error"]["line"] == 2
        assert "string-append" in text_of(result)
        kept = await client.call_tool("execute_scheme", {"code": "ok"})
        assert kept.structured_content["value"] == "1"


async def test_a_limit_is_an_answer_that_names_it(connect) -> None:
    """With what was used and what is allowed."""
    async with connect() as client:
        result = await client.call_tool("execute_scheme", {"code": "(let loop () (loop))", "timeout": 0.05})
    assert result.is_error
    assert result.structured_content["status"] == "limit"
    assert result.structured_content["error"]["kind"] == "timeout_s"


async def test_a_list_comes_as_data_too(connect) -> None:
    """A client need not parse the display form."""
    async with connect() as client:
        result = await client.call_tool("execute_scheme", {"code": '(list 1 "a" (hash \'k #t))'})
    assert result.structured_content["data"] == [1, "a", {"k": True}]


async def test_context_is_loaded_from_text(connect, mode, text_of) -> None:
    """The main one and named ones."""
    async with connect(mode=mode) as client:
        loaded = await client.call_tool("load_context", {"data": "größer"})
        assert loaded.structured_content == {"name": "context", "characters": 6, "bytes": 8}
        named = await client.call_tool("load_context", {"data": "other", "name": "b"})
        assert '(get-context "b")' in text_of(named)
        result = await client.call_tool(
            "execute_scheme", {"code": '(string-append context (get-context "b"))'}
        )
        assert result.structured_content["value"] == "größerother"


async def test_arguments_have_whole_characters_and_contexts_no_byte_order_mark(
    connect, tmp_path: Path
) -> None:
    """Half of a surrogate pair is U+FFFD; a mark is dropped from text and from files."""
    (tmp_path / "marked.txt").write_bytes("\ufeffabc".encode())
    async with connect(workspace=tmp_path) as client:
        await client.call_tool("load_context", {"data": "\ufeffa\ud800b"})
        await client.call_tool("load_context", {"path": "marked.txt", "name": "file"})
        result = await client.call_tool(
            "execute_scheme", {"code": '\ufeff(string-append context "\udfff" (get-context "file"))'}
        )
    assert result.structured_content["value"] == "a\ufffdb\ufffdabc"


async def test_warnings_are_in_the_answer_and_in_its_text(connect, text_of) -> None:
    """A string that was meant as a pattern, say."""
    async with connect() as client:
        result = await client.call_tool("execute_scheme", {"code": '(string-split "a" "\\\\d")'})
    (warning,) = result.structured_content["warnings"]
    assert f"warning: {warning}" in text_of(result)


async def test_context_is_loaded_from_the_workspace_and_from_nowhere_else(
    connect, text_of, tmp_path: Path
) -> None:
    """Neither by .. nor by a link."""
    folder = tmp_path / "granted"
    folder.mkdir()
    (folder / "data.txt").write_text("inside", encoding="utf-8")
    (folder / "binary").write_bytes(b"\xff\xfe")
    (tmp_path / "secret.txt").write_text("outside", encoding="utf-8")
    (folder / "link").symlink_to(tmp_path / "secret.txt")
    async with connect(workspace=folder) as client:
        loaded = await client.call_tool("load_context", {"path": "data.txt"})
        assert loaded.structured_content["characters"] == 6
        for path in ("../secret.txt", "link", str(tmp_path / "secret.txt")):
            refused = await client.call_tool("load_context", {"path": path})
            assert refused.is_error
            assert "outside of the workspace" in text_of(refused)
        assert "no file" in text_of(await client.call_tool("load_context", {"path": "absent"}))
        assert "no UTF-8 text" in text_of(await client.call_tool("load_context", {"path": "binary"}))


async def test_without_a_workspace_a_path_is_refused_with_the_option_that_grants_one(
    connect, text_of
) -> None:
    """The error names the mend."""
    async with connect() as client:
        refused = await client.call_tool("load_context", {"path": "data.txt"})
    assert refused.is_error
    assert "--workspace" in text_of(refused)


async def test_a_context_larger_than_the_limit_is_refused(connect, text_of, monkeypatch) -> None:
    """The limit is 100 MB; here it is 10 bytes."""
    monkeypatch.setattr(state_tools, "MAX_CONTEXT_BYTES", 10)
    async with connect() as client:
        refused = await client.call_tool("load_context", {"data": "12345678901"})
        assert "11 bytes" in text_of(refused)
        assert not (await client.call_tool("load_context", {"data": "1234567890"})).is_error


async def test_reset_keeps_checkpoints(connect, mode, text_of) -> None:
    """And forgets the rest."""
    async with connect(mode=mode) as client:
        await client.call_tool("load_context", {"data": "x"})
        await client.call_tool("execute_scheme", {"code": '(define a 1) (checkpoint "k" 7)'})
        done = await client.call_tool("reset", {})
        assert done.structured_content == {"reset": True, "checkpoints_kept": 1}
        assert text_of(done).endswith("the log are gone; 1 checkpoint is kept")
        state = (await client.call_tool("get_sandbox_state", {})).structured_content
        assert (state["contexts"], state["definitions"], state["checkpoints"]) == ({}, [], ["k"])
        result = await client.call_tool("execute_scheme", {"code": '(restore "k")'})
        assert result.structured_content["value"] == "7"
        log = (await client.call_tool("get_scope_log", {})).structured_content
        assert [entry["op"] for entry in log["entries"]] == ["restore"]


async def test_the_scope_log_tells_what_was_asked(connect, mode, text_of) -> None:
    """Under both of its names, and the last entries alone."""
    code = '(syntax-e (llm-query #:instruction "What?" #:data "It is blue." #:model "gpt-4.1-nano"))'
    async with connect(ScriptedProvider(["blue"]), mode=mode) as client:
        await client.call_tool("execute_scheme", {"code": code})
        log = await client.call_tool("get_scope_log", {})
        trace = await client.call_tool("get_execution_trace", {})
        last = await client.call_tool("get_scope_log", {"last": 1})
    assert [entry["op"] for entry in log.structured_content["entries"]] == ["llm-query", "syntax-e"]
    assert log.structured_content["entries"][0]["model"] == "gpt-4.1-nano"
    assert trace.structured_content == log.structured_content
    assert [entry["op"] for entry in last.structured_content["entries"]] == ["syntax-e"]
    assert last.structured_content["total"] == 2
    assert text_of(last).startswith("2 syntax-e")


async def test_the_state_lists_definitions_contexts_limits_and_use(connect, mode) -> None:
    """What a model wants to know when it comes back to a session."""
    async with connect(mode=mode) as client:
        await client.call_tool("load_context", {"data": "abc", "name": "paper"})
        await client.call_tool("execute_scheme", {"code": "(define total 1)"})
        state = (await client.call_tool("get_sandbox_state", {})).structured_content
    assert state["definitions"] == ["total"]
    assert state["contexts"] == {"paper": 3}
    assert state["limits"]["calls"] == 1000
    assert state["used"]["calls"] == 0


async def test_status_of_an_idle_session_names_the_last_run(connect, mode) -> None:
    """Nothing runs, nothing waits."""
    async with connect(mode=mode) as client:
        await client.call_tool("execute_scheme", {"code": "1"})
        status = (await client.call_tool("get_status", {})).structured_content
    assert (status["running"], status["queued"], status["calls_in_flight"]) == (False, 0, [])
    assert status["last_run"] == {"id": 1, "status": "ok"}


@pytest.mark.parametrize(
    "name",
    [
        "get_usage_guide",
        "get_code_generation_api_reference",
        "get_codegen_reference",
        "get_combinator_reference",
    ],
)
async def test_documentation_comes_in_a_size_that_a_prompt_can_take(
    connect, mode, text_of, name: str
) -> None:
    """At most 5,000 tokens each."""
    async with connect(mode=mode) as client:
        result = await client.call_tool(name, {})
    text = result.structured_content["markdown"]
    assert text == text_of(result)
    assert text.startswith("# ")
    assert len(text) / 4 < 5_000


@pytest.mark.parametrize("wanted", [[1, 4], ["1", "4"], "[1, 4]", "1, 4"])
async def test_patterns_come_with_complete_programs(connect, text_of, wanted: Any) -> None:
    """However the numbers are written."""
    async with connect() as client:
        result = await client.call_tool("get_pattern_details", {"pattern_ids": wanted})
    content = result.structured_content["patterns"]
    assert [pattern["id"] for pattern in content] == [1, 4]
    assert all("(finish" in pattern["program"] for pattern in content)
    assert "# 1. Parallel Fan-Out" in text_of(result)


@pytest.mark.parametrize("wanted", [3, "3", " 3 ", 3.0, "[3]", [3, "3"]])
async def test_a_single_pattern_may_be_asked_for_by_its_number(connect, mode, text_of, wanted: Any) -> None:
    """get_pattern_details(3) is what models write."""
    async with connect(mode=mode) as client:
        result = await client.call_tool("get_pattern_details", {"pattern_ids": wanted})
    (pattern,) = result.structured_content["patterns"]
    assert (pattern["id"], pattern["name"], pattern["goal"]) == (3, "Recursive Delegation", "structure")
    assert pattern["composes_with"] == [1, 10]
    assert pattern["markdown"] == text_of(result)
    assert pattern["program"] in text_of(result)


@pytest.mark.parametrize(
    ("said", "number"),
    [
        ("Ensemble Voting", 8),
        ("fan-out", 1),
        ("mapreduce", 1),
        ("hedging", 7),
        ("speculative-execution", 7),
        ("pattern 03", 3),
        ("#3", 3),
        ("3. Recursive Delegation", 3),
        ("Pattern 16: Multi-Armed Bandit", 16),
        ("the anytime pattern", 13),
    ],
)
async def test_a_pattern_may_be_asked_for_by_its_name(connect, said: str, number: int) -> None:
    """Or by the words of it that no other has; the prompt that applies one takes the same."""
    async with connect() as client:
        result = await client.call_tool("get_pattern_details", {"pattern_ids": said})
        prompt = await client.get_prompt("apply-pattern", {"pattern": said, "task": "x"})
    (pattern,) = result.structured_content["patterns"]
    assert pattern["id"] == number
    assert pattern["program"] in prompt.messages[0].content.text


async def test_patterns_for_which_there_is_no_room_are_named(connect, text_of) -> None:
    """All sixteen are more than an answer holds; the first is always there."""
    async with connect() as client:
        result = await client.call_tool("get_pattern_details", {"pattern_ids": list(range(1, 17))})
    content = result.structured_content
    given = [pattern["id"] for pattern in content["patterns"]]
    assert len(given) >= 2
    assert given + content["left_out"] == list(range(1, 17))
    assert f"no room for patterns {content['left_out'][0]}, " in text_of(result)
    assert f"read rlm://patterns/{content['left_out'][0]}]" in text_of(result)
    assert len(text_of(result)) < 20_000


@pytest.mark.parametrize("section", [*guide.sections(), " Models ", None])
async def test_any_section_of_the_guide_can_be_asked_for(connect, mode, text_of, section: str | None) -> None:
    """The overview without a name; a resource each, too."""
    arguments = {} if section is None else {"section": section}
    name = "overview" if section is None else section.strip().lower()
    async with connect(mode=mode) as client:
        result = await client.call_tool("get_usage_guide", arguments)
        uri = "rlm://guide" if name == "overview" else f"rlm://guide/{name}"
        resource = await client.read_resource(uri)
    assert result.structured_content["markdown"] == text_of(result) == guide.sections()[name].text
    assert resource.contents[0].text == text_of(result)


@pytest.mark.parametrize(
    ("name", "arguments", "message"),
    [
        ("execute_scheme", {}, '"code" is missing'),
        ("execute_scheme", {"code": 7}, '"code" must be a text, not 7'),
        ("execute_scheme", {"code": ""}, '"code" is empty'),
        ("execute_scheme", {"cod": "1"}, 'did you mean "code"? Send, for example, {'),
        ("execute_scheme", {"code": "1", "timeout": "soon"}, '"timeout" must be a number, not "soon"'),
        ("execute_scheme", {"code": "1", "timeout": 0}, '"timeout" must be more than 0'),
        ("load_context", {}, 'send either "data"'),
        ("load_context", {"data": "a", "path": "b"}, 'send either "data"'),
        ("load_context", {"data": ["a"]}, '"data" must be a text'),
        ("load_context", {"data": "a", "name": ""}, '"name" is empty'),
        ("reset", {"all": True}, 'there is no argument "all"'),
        ("get_usage_guide", {"x": 1}, 'this tool takes "section"'),
        ("get_usage_guide", {"section": "speed"}, '"section" must be one of "overview", "when", '),
        ("get_combinator_reference", {"x": 1}, "this tool takes none"),
        ("get_scope_log", {"last": 0}, '"last" must be at least 1'),
        ("get_scope_log", {"last": True}, '"last" must be a whole number, not true'),
        ("get_scope_log", {"last": 1.5}, '"last" must be a whole number, not 1.5'),
        ("get_scope_log", {"last": 1, "all": None}, 'there is no argument "all"'),
        ("execute_scheme", {"code": "1", "timeout": "NaN"}, '"timeout" must be a number'),
        ("get_pattern_details", {"pattern_ids": [1, True]}, '"pattern_ids", item 2 must be a whole number'),
        ("cancel_call", {"call_id": [1]}, '"call_id" must be a whole number or a text, not [1]'),
        ("cancel_call", {}, '"call_id" is missing'),
        ("cancel_call", {"call_id": "it"}, 'a call\'s number or "execution"'),
        ("get_pattern_details", {}, '"pattern_ids" is missing'),
        ("get_pattern_details", {"pattern_ids": []}, "empty list"),
        ("get_pattern_details", {"pattern_ids": [17]}, "at most 16"),
        (
            "get_pattern_details",
            {"pattern_ids": ["fan-in"]},
            "must be a whole number from 1 to 16, or a pattern",
        ),
        ("get_pattern_details", {"pattern_ids": [1, "ensembel"]}, "item 2 must be a whole number"),
        ("get_pattern_details", {"pattern_ids": "ensembel"}, "did you mean 8, Ensemble Voting?"),
        ("get_pattern_details", {"pattern_ids": "1-4"}, 'or a pattern\'s name, not "1-4". Send'),
        ("get_pattern_details", {"pattern_ids": "99"}, "at most 16"),
        ("get_pattern_details", {"pattern_ids": "pattern 99"}, "must be a whole number from 1 to 16"),
        ("get_usage_guide", {"section": "Mistake"}, 'not "mistake": did you mean "mistakes"?'),
        ("get_pattern_details", {"pattern_ids": True}, "must be a list, not true"),
        ("get_pattern_details", {"pattern_ids": 3.5}, "must be a whole number"),
        ("get_pattern_details", {"pattern_ids": "1,,4"}, "must be a whole number"),
        ("get_pattern_details", {"pattern_ids": ""}, "must be a whole number"),
        ("plan_strategy", {}, '"task_description" is missing'),
        ("plan_strategy", {"task_description": "x", "priority": "cheap"}, 'one of "balanced"'),
        ("plan_strategy", {"task_description": "x", "coverage_target": 2}, "at most 1"),
        ("estimate_cost", {"code": 1}, '"code" must be a text'),
    ],
)
async def test_wrong_arguments_are_answered_with_what_to_send(
    connect, text_of, name: str, arguments: dict[str, Any], message: str
) -> None:
    """An answer that the model reads, not a protocol error."""
    async with connect() as client:
        result = await client.call_tool(name, arguments)
    assert result.is_error
    assert text_of(result).startswith(f"{name}: ")
    assert message in text_of(result)
    assert "Send, for example, {" in text_of(result)


async def test_an_option_sent_as_null_counts_as_left_out(connect) -> None:
    """Some clients send every argument."""
    async with connect() as client:
        result = await client.call_tool("execute_scheme", {"code": "1", "timeout": None})
    assert result.structured_content["value"] == "1"


async def test_an_unknown_tool_is_a_protocol_error_with_the_near_name(connect, mode) -> None:
    """As the specification has it."""
    async with connect(mode=mode) as client:
        with pytest.raises(MCPError, match="did you mean execute_scheme"):
            await client.call_tool("execute_schema", {"code": "1"})


async def test_a_defect_is_answered_without_bringing_the_server_down(connect, text_of, monkeypatch) -> None:
    """And says that it is one."""

    def broken(_self: Any) -> Any:
        raise ZeroDivisionError("oops")

    monkeypatch.setattr("rlm_wasm.mcp.session_queue.SessionQueue.status", broken)
    async with connect() as client:
        result = await client.call_tool("get_status", {})
        assert result.is_error
        assert "defect of rlm-wasm" in text_of(result)
        assert not (await client.call_tool("execute_scheme", {"code": "1"})).is_error


async def test_connections_have_sessions_of_their_own() -> None:
    """What one defines the other does not see."""
    from mcp import Client

    async with Runtime("extractive", python="off") as runtime:
        server = make_server(runtime)
        async with Client(server, mode="legacy") as one, Client(server, mode="legacy") as two:
            await one.call_tool("execute_scheme", {"code": "(define mine 1)"})
            result = await two.call_tool("execute_scheme", {"code": "mine"})
            assert "unbound variable" in result.structured_content["error"]["message"]
            named = await one.call_tool("execute_scheme", {"code": "(define ours 2)", "session": "team"})
            assert not named.is_error
            shared = await two.call_tool("execute_scheme", {"code": "ours", "session": "team"})
            assert shared.structured_content["value"] == "2"
        assert [session for session in runtime.sessions if not session.closed] == []


async def test_a_named_session_is_taken_up_again_after_a_restart(connect, tmp_path: Path) -> None:
    """The store keeps it."""
    store = f"sqlite:///{tmp_path / 'state.db'}"
    async with connect(store=store, session="work") as client:
        await client.call_tool("load_context", {"data": "a text"})
        await client.call_tool("execute_scheme", {"code": "(define x 41)"})
    async with connect(store=store, session="work") as client:
        result = await client.call_tool("execute_scheme", {"code": "(list (add1 x) context)"})
        assert result.structured_content["data"] == [42, "a text"]


@pytest.mark.parametrize("nth", [1, 2, 3])
async def test_a_store_that_fails_costs_no_answer_and_is_told_once(
    connect, tmp_path: Path, monkeypatch, nth: int
) -> None:
    """As a warning to the client whose program it is; what was not written is written later."""
    from rlm_wasm.errors import StoreError
    from rlm_wasm.store.durable import DurableSessions

    writes, warnings = [], []
    write = DurableSessions.write

    def failing(self: Any, name: str, *arguments: Any) -> None:
        writes.append(name)
        if len(writes) == nth:
            raise StoreError("the disk is full")
        write(self, name, *arguments)

    async def logged(params: Any) -> None:
        warnings.append((params.level, params.data))

    monkeypatch.setattr(DurableSessions, "write", failing)
    client, store = {"logging_callback": logged, "log_level": "warning"}, f"sqlite:///{tmp_path / 'state.db'}"
    async with connect(store=store, session="work", client=client) as client:
        for number in (1, 2, 3):
            result = await client.call_tool(
                "execute_scheme", {"code": f"(define v{number} 1) (finish {number})"}
            )
            assert result.structured_content["value"] == str(number)
    assert len(writes) > nth
    said = [data for _, data in warnings]
    assert said[0] == "session work cannot be kept at present: the disk is full; trying again"
    assert said[1:] in ([], ["session work is kept again"])
    async with connect(store=store, session="work") as client:
        result = await client.call_tool("execute_scheme", {"code": "(+ v1 v2 v3)"})
        assert result.structured_content["value"] == "3"


async def test_a_server_that_stops_in_mid_program_leaves_its_named_session_usable(
    connect, tmp_path: Path
) -> None:
    """The program counts as cancelled; nothing has to be resumed by hand."""
    gate, store = GatedProvider(), f"sqlite:///{tmp_path / 'state.db'}"
    async with connect(gate, store=store, session="work") as client:
        await client.call_tool("execute_scheme", {"code": "(define x 41)"})
        call = asyncio.create_task(
            client.call_tool("execute_scheme", {"code": '(llm-query #:instruction "never answered")'})
        )
        await gate.arrived(1)
    await asyncio.gather(call, return_exceptions=True)
    assert gate.waiting == []
    async with connect(store=store, session="work") as client:
        result = await client.call_tool("execute_scheme", {"code": "(add1 x)"})
        assert result.structured_content["value"] == "42"


async def test_a_named_session_is_one_of_those_that_the_command_line_lists(
    connect, text_of, tmp_path: Path
) -> None:
    """And one that was interrupted there is not overwritten."""
    from rlm_wasm.store import open_store

    url = f"sqlite:///{tmp_path / 'state.db'}"
    async with connect(store=url, session="work") as client:
        await client.call_tool("execute_scheme", {"code": "(finish 7)"})
    async with Runtime("extractive", python="off", store=open_store(url)) as runtime:
        [kept] = await runtime.store.sessions.list()
        assert (kept.name, kept.status, kept.note) == ("work", "finished", "7")
    gate = GatedProvider()
    async with Runtime(gate, python="off", store=open_store(url)) as runtime, runtime.session() as session:
        running = asyncio.create_task(session.execute('(llm-query #:instruction "x")'))
        await gate.arrived(1)
        await runtime.store.sessions.save("half", await session.snapshot(), status="suspended")
        session.cancel()
        await running
    async with connect(store=url) as client:
        refused = await client.call_tool("execute_scheme", {"code": "1", "session": "half"})
        assert refused.is_error
        assert "rlm-wasm sessions resume half" in text_of(refused)
