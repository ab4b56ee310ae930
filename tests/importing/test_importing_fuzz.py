"""Whatever a file holds, a tool's module gives results that can be stored, or the error of that file.

``EDGEBENCH_FUZZ=500`` tries so many changes of each kind instead of a few.
"""

from __future__ import annotations

import json
import math
import os
import tempfile
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from import_files import FILES

from harness.importing.document import Document, ImportFileError
from harness.importing.records import import_record
from harness.importing.registry import formats
from harness.store.ids import canonical_json

#: Of every tool, files whose values are exchanged for others.
JSON_FILES = {
    "llama-bench": "llama_bench.json",
    "optimum-benchmark": "optimum_benchmark/benchmark.json",
    "llm_bench": "llm_bench.json",
    "lm-eval": "lm_eval/results_2026-11-26T19-03-36.611759.json",
    "pytest-benchmark": "pytest_benchmark.json",
    "hyperfine": "hyperfine.json",
}
TEXT_FILES = {
    "llama-bench": ("llama_bench.sql", "llama_bench.csv", "llama_bench.jsonl"),
    "mlx-lm": ("mlx_lm.txt",),
    "llm_bench": ("llm_bench.csv",),
    "onnxruntime-genai": ("genai.csv", "genai_first.csv"),
}

HOSTILE: st.SearchStrategy[Any] = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-(2**70), 2**70),
    st.floats(),
    st.text(max_size=20),
    st.sampled_from(
        ["", "NaN", "'; DROP TABLE run; --", "\x1b[31m", "\x00", "\ud800", "9" * 50, "../../x", 10**400]
    ),
    st.lists(st.one_of(st.none(), st.integers(), st.text(max_size=5)), max_size=3),
    st.dictionaries(st.text(max_size=5), st.none(), max_size=2),
)
EXAMPLES = int(os.environ.get("EDGEBENCH_FUZZ", "25"))
FUZZ = settings(
    max_examples=EXAMPLES, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large]
)


def places(value: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """The path of every value in a document."""
    found = [path]
    if isinstance(value, dict):
        for key, one in value.items():
            found += places(one, (*path, key))
    elif isinstance(value, list):
        for index, one in enumerate(value):
            found += places(one, (*path, index))
    return found


def with_value(value: Any, path: tuple[Any, ...], new: Any) -> Any:
    """A copy of a document with another value in one place."""
    if not path:
        return new
    copy = dict(value) if isinstance(value, dict) else list(value)
    copy[path[0]] = with_value(value[path[0]], path[1:], new)
    return copy


def check(tool: str, data: bytes, name: str) -> None:
    """Reads a file as a tool's; what comes out can be stored on any database."""
    refused: ImportFileError | None = None
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / name
        path.write_bytes(data)
        try:
            document = Document(path)
            formats()[tool].recognise(document)
            record = import_record(document, tool, formats()[tool].read(document))
        except ImportFileError as error:
            refused = error
    if refused is not None:
        assert folder in refused.what
        assert refused.next_step
        return
    assert record.runs
    text = canonical_json(
        [record.source.document, [one.run.details for one in record.runs], dict(record.system)]
    )
    text += canonical_json([[one.cell.options, one.run.flags] for one in record.runs])
    text.encode()
    assert "\\u0000" not in text
    for one in record.runs:
        cell = one.cell
        for word in (cell.framework, cell.model, cell.workload, cell.recipe, cell.device, cell.api):
            assert word
            assert word.isprintable()
            word.encode()
        assert 0 <= cell.prompt_tokens < 2**31
        assert 0 <= cell.batch < 2**31
        assert len(one.run.samples) <= 32_768
        for sample in one.run.samples:
            assert all(math.isfinite(value) for value in sample.values.values())
            assert all(math.isfinite(value) for trace in sample.traces.values() for value in trace)
        assert one.run.threads is None or one.run.threads < 2**31


@pytest.mark.parametrize("tool", sorted(JSON_FILES))
@FUZZ
@given(data=st.data())
def test_any_value_anywhere_in_a_json_file(tool: str, data: st.DataObject) -> None:
    path = FILES / JSON_FILES[tool]
    document = json.loads(path.read_text(encoding="utf-8"))
    for _ in range(data.draw(st.integers(1, 2))):
        place = data.draw(st.sampled_from(places(document)))
        document = with_value(document, place, data.draw(HOSTILE))
        if not isinstance(document, dict | list):
            break
    text = json.dumps(document)
    check(tool, text.encode("utf-8", errors="surrogatepass"), path.name)


@pytest.mark.parametrize("tool", sorted(JSON_FILES))
@FUZZ
@given(data=st.data())
def test_a_json_file_that_lacks_any_part(tool: str, data: st.DataObject) -> None:
    path = FILES / JSON_FILES[tool]
    document = json.loads(path.read_text(encoding="utf-8"))
    place = data.draw(st.sampled_from([one for one in places(document) if one]))
    holder = document
    for key in place[:-1]:
        holder = holder[key]
    del holder[place[-1]]
    check(tool, json.dumps(document).encode(), path.name)


@pytest.mark.parametrize(
    ("tool", "name"), [(tool, name) for tool, names in TEXT_FILES.items() for name in names]
)
@FUZZ
@given(data=st.data())
def test_any_bytes_anywhere_in_a_text_file(tool: str, name: str, data: st.DataObject) -> None:
    content = bytearray((FILES / name).read_bytes())
    for _ in range(data.draw(st.integers(1, 3))):
        begin = data.draw(st.integers(0, len(content)))
        end = data.draw(st.integers(begin, min(len(content), begin + 40)))
        new = st.one_of(
            st.binary(max_size=12),
            st.sampled_from(
                [b"nan", b"-1", b"0", b"1e999", b"9" * 40, b"'", b'"', b";", b"\x00", b",", b"\n"]
            ),
        )
        content[begin:end] = data.draw(new)
    check(tool, bytes(content), name)


@pytest.mark.parametrize("tool", sorted(formats()))
@FUZZ
@given(content=st.binary(max_size=300))
def test_bytes_of_any_kind(tool: str, content: bytes) -> None:
    check(tool, content, "bench.json")


@pytest.mark.parametrize("tool", sorted(formats()))
@FUZZ
@given(
    document=st.recursive(
        HOSTILE, lambda inner: st.dictionaries(st.text(max_size=8), inner, max_size=3), max_leaves=8
    )
)
def test_json_of_any_kind(tool: str, document: Any) -> None:
    check(tool, json.dumps(document).encode("utf-8", errors="surrogatepass"), "bench.json")


@FUZZ
@given(data=st.data())
def test_any_bytes_anywhere_in_lm_eval_s_samples(data: st.DataObject) -> None:
    folder = FILES / "lm_eval"
    refused: ImportFileError | None = None
    with tempfile.TemporaryDirectory() as name:
        for path in folder.iterdir():
            content = bytearray(path.read_bytes())
            if path.name.startswith("samples_"):
                begin = data.draw(st.integers(0, len(content)))
                content[begin : begin + data.draw(st.integers(0, 20))] = data.draw(st.binary(max_size=12))
            (Path(name) / path.name).write_bytes(content)
        [results] = Path(name).glob("results_*.json")
        try:
            document = Document(results)
            record = import_record(document, "lm-eval", formats()["lm-eval"].read(document))
        except ImportFileError as error:
            refused = error
        else:
            canonical_json([one.run.details for one in record.runs])
    if refused is not None:
        assert name in refused.what
        assert "line" in refused.what or "byte" in refused.what or "empty" in refused.what
