"""The key of a request and the id of a content."""

from __future__ import annotations

import dataclasses
import json
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.artifact.request import Artifact, ArtifactFile, ArtifactRequest, content_id
from harness.files import canonical_json, key_of

plain = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=12,
)


def shuffled(value: Any) -> Any:
    """The same value with every mapping's entries the other way round and every list a tuple."""
    if isinstance(value, Mapping):
        return {key: shuffled(value[key]) for key in reversed(list(value))}
    if isinstance(value, list):
        return tuple(shuffled(item) for item in value)
    return value


@given(plain)
def test_the_order_of_entries_and_the_kind_of_sequence_change_no_key(value: Any) -> None:
    assert canonical_json(value) == canonical_json(shuffled(value))


@given(plain)
def test_canonical_json_is_ascii_and_reads_back_as_the_value(value: Any) -> None:
    text = canonical_json(value)
    assert text.isascii()
    assert json.loads(text) == value


@given(plain, plain)
def test_different_values_have_different_keys(one: Any, other: Any) -> None:
    if json.loads(canonical_json(one)) != json.loads(canonical_json(other)):
        assert key_of(one) != key_of(other)


@pytest.mark.parametrize("value", [{1: "a"}, {"a": {None: 1}}, [{2.0: 1}], {"a": {1, 2}}, {"a": Path("b")}])
def test_what_json_cannot_say_exactly_is_refused(value: Any) -> None:
    with pytest.raises(TypeError):
        canonical_json(value)


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
def test_a_figure_that_is_none_is_refused(value: float) -> None:
    with pytest.raises(ValueError, match="Out of range"):
        canonical_json({"a": value})


REQUEST = ArtifactRequest(
    source="a" * 64,
    framework="llamacpp",
    recipe="Q4_K_M",
    parameters={"group": 64, "symmetric": True},
    tool="llama-cpp-python",
    tool_version="0.3.36",
)


@pytest.mark.parametrize(
    "change",
    [
        {"source": "b" * 64},
        {"framework": "mlx"},
        {"recipe": "Q4_0"},
        {"parameters": {"group": 32, "symmetric": True}},
        {"tool": "nncf"},
        {"tool_version": "0.3.37"},
        {"overrides": ("llama-cpp-python @ sha256:00",)},
    ],
    ids=lambda change: next(iter(change)),
)
def test_everything_that_changes_the_bytes_changes_the_key(change: dict[str, Any]) -> None:
    assert dataclasses.replace(REQUEST, **change).key != REQUEST.key


def test_what_only_people_read_does_not_change_the_key() -> None:
    assert dataclasses.replace(REQUEST, model="smollm2", parameter_count=7).key == REQUEST.key


def test_the_key_of_a_known_request_never_changes() -> None:
    # A changed key makes every user's cache worthless: only a raised FORMAT_VERSION may do that.
    assert REQUEST.key == "66eff66c53e1c6c5d8a6d344db8e0dc0652f21fe07b08a4f421ed1e94c9a16b5"


files = st.lists(
    st.builds(
        ArtifactFile, st.text(min_size=1), st.integers(0), st.binary(min_size=32, max_size=32).map(bytes.hex)
    ),
    unique_by=lambda file: file.path,
    max_size=6,
)


@given(files, st.randoms())
def test_the_content_id_does_not_depend_on_the_order_of_files(made: list[ArtifactFile], random: Any) -> None:
    other = list(made)
    random.shuffle(other)
    assert content_id(tuple(made)) == content_id(tuple(other))


def test_a_renamed_file_is_another_content() -> None:
    assert content_id((ArtifactFile("a", 1, "0" * 64),)) != content_id((ArtifactFile("b", 1, "0" * 64),))


def artifact(parameter_count: int | None) -> Artifact:
    return Artifact(
        id="0" * 64,
        request_key="1" * 64,
        path=Path("a"),
        entry=Path("a/model.gguf"),
        files=(ArtifactFile("model.gguf", 700, "0" * 64), ArtifactFile("vocab", 30, "0" * 64)),
        weight_bytes=600,
        parameter_count=parameter_count,
        source="2" * 64,
        framework="llamacpp",
        recipe="Q4_K_M",
        parameters={},
        tool="llama-cpp-python",
        tool_version="0.3.36",
        overrides=(),
        model=None,
        made_s=1.0,
        made_at="2026-01-01T00:00:00+00:00",
    )


def test_bits_per_weight_are_of_the_weights_alone() -> None:
    assert artifact(1000).bits_per_weight == pytest.approx(4.8)
    assert artifact(1000).size_bytes == 730


def test_bits_per_weight_are_missing_where_the_number_of_parameters_is() -> None:
    assert artifact(None).bits_per_weight is None
