"""Message bodies into dataclasses and back."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.worker.api import Device, Loaded, LoadSpec, Made, MakeRequest, Recipe
from harness.worker.bodies import BodyError, from_body, to_body
from harness.worker.protocol import Sample, ScoreResult, ScoreSpec, TimedSpec, WindowScore


@dataclass(frozen=True)
class _Everything:
    number: int
    share: float
    name: str
    yes: bool
    where: Path
    maybe: int | None
    names: list[str]
    pairs: dict[str, float]
    tail: tuple[str, ...] = ()
    free: dict[str, Any] = field(default_factory=dict)


@given(
    st.builds(
        _Everything,
        number=st.integers(),
        share=st.floats(allow_nan=False, allow_infinity=False),
        name=st.text(),
        yes=st.booleans(),
        where=st.sampled_from([Path("a/b"), Path("/c")]),
        maybe=st.none() | st.integers(),
        names=st.lists(st.text()),
        pairs=st.dictionaries(st.text(), st.floats(allow_nan=False, allow_infinity=False)),
        tail=st.lists(st.text()).map(tuple),
        free=st.dictionaries(st.text(), st.none() | st.integers() | st.text()),
    )
)
def test_what_goes_through_json_comes_back_equal(value: _Everything) -> None:
    assert from_body(_Everything, json.loads(json.dumps(to_body(value)))) == value


@pytest.mark.parametrize(
    "value",
    [
        TimedSpec(1, 2, 3, 4, 5, 6),
        Sample(0, True, {"prefill_s": 0.5}, [1], [2, 3]),
        ScoreSpec("t", 8, 8, 4, 2, None, None, "out.npy"),
        ScoreResult([WindowScore(0, 4, 1.5, None, None, None)], None, True, 256),
        Loaded(Device("cpu", "cpu", "x"), 256, None, {"a": "b"}),
        LoadSpec(Path("a"), "cpu", "cpu", 2, 64, {"k": "v"}),
        MakeRequest(Recipe("Q", "int4", "model", "t", {"g": 32}), Path("s"), Path("o"), 2),
        Made(1, ".", "1.0"),
    ],
    ids=lambda value: type(value).__name__,
)
def test_every_type_of_the_protocol_survives(value: Any) -> None:
    assert from_body(type(value), json.loads(json.dumps(to_body(value)))) == value


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"seed": None}, r"TimedSpec\.seed: expected int, got NoneType"),
        ({"seed": "6"}, r"TimedSpec\.seed: expected int, got str"),
        ({"seed": True}, r"TimedSpec\.seed: expected int, got bool"),
        ({"seed": 1.5}, r"TimedSpec\.seed: expected int, got float"),
        ({"sede": 1}, r"TimedSpec: unknown field 'sede'"),
    ],
)
def test_a_wrong_field_is_named(change: dict[str, Any], message: str) -> None:
    with pytest.raises(BodyError, match=message):
        from_body(TimedSpec, {**to_body(TimedSpec(1, 2, 3, 4, 5, 6)), **change})


def test_a_missing_field_is_named_and_a_default_is_not_missed() -> None:
    with pytest.raises(BodyError, match="field 'entry' is missing"):
        from_body(Made, {"weight_bytes": 1, "tool_version": "1"})
    assert from_body(Made, {"weight_bytes": 1, "entry": ".", "tool_version": "1"}) == Made(1, ".", "1")


@pytest.mark.parametrize("body", [None, [], "text", 3])
def test_a_body_that_is_no_object_is_refused(body: Any) -> None:
    with pytest.raises(BodyError, match="expected an object"):
        from_body(TimedSpec, body)


def test_an_element_of_a_list_or_mapping_is_named_by_its_place() -> None:
    sample = to_body(Sample(0, False, {}, [1, 2], []))
    with pytest.raises(BodyError, match=r"Sample\.forward_ns\[1\]"):
        from_body(Sample, {**sample, "forward_ns": [1, "x"]})
    with pytest.raises(BodyError, match=r"Sample\.values\['a'\]"):
        from_body(Sample, {**sample, "values": {"a": "x"}})
    with pytest.raises(BodyError, match=r"Sample\.forward_ns: expected a list"):
        from_body(Sample, {**sample, "forward_ns": 1})
    with pytest.raises(BodyError, match=r"Sample\.values: expected an object"):
        from_body(Sample, {**sample, "values": []})
