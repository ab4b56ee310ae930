"""`harness.worker.protocol`: messages survive the pipe, and nothing else passes for one."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.worker.protocol import VERSION, Message, ProtocolError

json_values: st.SearchStrategy[Any] = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=12,
)
messages = st.builds(
    Message,
    st.integers(0, 2**53),
    st.sampled_from(["request", "event", "result", "error"]),
    st.text(),
    st.dictionaries(st.text(), json_values, max_size=5),
)


@given(messages)
def test_a_message_is_one_line_and_comes_back_as_it_was(message: Message) -> None:
    line = message.encode()
    assert line.count(b"\n") == 1
    assert Message.decode(line) == message


@given(st.binary(max_size=200))
def test_any_other_bytes_are_refused_as_no_message(line: bytes) -> None:
    with pytest.raises(ProtocolError):
        Message.decode(line)


@given(json_values)
def test_any_other_json_is_refused_as_no_message(value: Any) -> None:
    with pytest.raises(ProtocolError):
        Message.decode(json.dumps(value).encode())


@pytest.mark.parametrize(
    "change",
    [
        {"v": VERSION + 1},
        {"id": "1"},
        {"id": None},
        {"kind": "shout"},
        {"name": 3},
        {"body": []},
        {"more": 1},
    ],
)
def test_a_message_with_one_wrong_field_is_refused(change: dict[str, Any]) -> None:
    raw = json.loads(Message(1, "request", "hello", {}).encode()) | change
    with pytest.raises(ProtocolError):
        Message.decode(json.dumps(raw).encode())


def test_a_figure_that_is_none_must_be_none() -> None:
    with pytest.raises(ValueError, match="JSON compliant"):
        Message(1, "result", "", {"value": float("nan")}).encode()
