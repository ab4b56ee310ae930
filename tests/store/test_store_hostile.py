"""A database from somebody who means harm: an error or harmless output, never a crash, a hang, or a query of theirs.

Every reading command runs in this process on a small whole database that was changed: in its bytes, in its rows, in its
schema. ``EDGEBENCH_FUZZ=500`` tries so many changes of each kind instead of a few.

All of it is about SQLite files, which anybody can make: a server's pages are out of reach, and its schema is what its
owner defined.
"""

from __future__ import annotations

import contextlib
import io
import json
import os
import re
import shutil
import sqlite3
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any
from unittest import mock

import make_store_records as make
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from harness.cli import main
from harness.errors import EdgebenchError
from harness.store import Store, records
from harness.store.evaluation_records import EvaluationRecord, TaskItemRecord, TaskMetricRecord, TaskRecord
from harness.store.tables import metadata

EXAMPLES = int(os.environ.get("EDGEBENCH_FUZZ", "10"))
#: Of all commands of one example; some seconds on an idle machine.
PATIENCE_S = 90.0

SHAPE = {
    "architecture": "llama", "layers": 30, "hidden_size": 576, "intermediate_size": 1536, "heads": 9, "kv_heads": 3,
    "head_dim": 64, "value_dim": 64, "vocab_size": 49152, "tied_embeddings": True, "parameters": 134_515_008,
    "embedding_parameters": 28_311_552,
}  # fmt: skip

ENDS: list[dict[str, Any]] = [
    {},
    {"validity": "suspect", "flags": ["steal 9 %"]},
    {"status": "failed", "reason": "it fell"},
]

CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e]")


def fill(path: Path) -> list[str]:
    """A database with something in every table; gives ids of every kind."""
    with Store.open(path) as store:
        model = replace(make.model(), configuration=SHAPE)
        store.record_model(model)
        source = make.artifact("F32", precision="fp32")
        store.record_artifact(source)
        store.record_artifact(make.artifact(source=source.id, environment_id=None))
        store.record_artifact(make.artifact("F16", source=source.id, precision="fp16"))
        environment = store.record_environment(make.environment())
        machine = store.record_machine(make.machine())
        bench = store.record_machine_bench(make.machine_bench())
        cells = [make.cell(), make.cell("F16", "fp16"), make.cell("IQ1_S", "int1")]
        planned = [
            records.PlannedCellRecord(cell, place, "no kernel" if place == 2 else None, 3.0, {"runs": 2})
            for place, cell in enumerate(cells)
        ]
        plan = [records.PlannedRunRecord(cells[0].id, "timed", 0, 0, 7)]
        session = store.start_session(make.session(machine), planned, plan)
        hints = {"type_k": "f16", "type_v": "f16"}
        for cell, made in ((cells[0], make.artifact()), (cells[1], make.artifact("F16"))):
            for index, changes in enumerate(ENDS):
                energy = [make.energy("prefill"), make.energy("decode")]
                told: dict[str, Any] = {"artifact_id": made.id, "hints": hints, "energy": energy, **changes}
                store.record_run(make.run(session, cell.id, index, **told))
        reference = make.cell("F32", "fp32")
        store.record_cells([reference])
        quiet: dict[str, Any] = {"samples": [], "memory": [], "energy": [], "timeline": None}
        of_reference = make.run(
            session,
            reference.id,
            kind="reference",
            score=make.score(source.id),
            artifact_id=source.id,
            **quiet,
        )
        store.record_run(of_reference)
        passages = [
            {
                "window": 0, "first": 3, "kld_mean": 1.5, "before": "a", "text": "b c", "kld": 2.0, "after": "b",
                "token": "c", "reference_says": "d", "artifact_says": "e",
            }
        ]  # fmt: skip
        score = make.score(
            make.artifact().id,
            (cells[0].id,),
            reference_run_id=of_reference.id,
            details={"passages": passages},
        )
        scored = make.run(session, cells[0].id, kind="score", score=score, **quiet)
        store.record_run(scored)
        store.record_run(_evaluated(session, cells[0].id, environment, quiet))
        store.record_stop(
            session, records.CellStopRecord(cells[0].id, "cap", 0.02, 2, 2, 2, 1, {"decode_tps": 0.5})
        )
        lineage = store.describe("artifact", make.artifact().id)["lineage"][0]["id"]
        store.end_session(session, "ok")
        return [
            session, cells[0].id, cells[2].id, make.run(session, cells[0].id, 0).id, scored.id, make.artifact().id,
            environment, model.id, machine, bench, lineage,
        ]  # fmt: skip


def _evaluated(session: str, cell: str, environment: str, quiet: dict[str, Any]) -> records.RunRecord:
    items = [TaskItemRecord(make.sha(str(n))[:16], {"acc": n % 2}, [-1.5, -2.5], "said") for n in range(3)]
    task = TaskRecord(
        "facts", "1", 3, 0, make.sha("facts"), [TaskMetricRecord("acc", 1 / 3, 0.3, True)], items
    )
    made = EvaluationRecord(
        evaluation_key="key", artifact_id=make.artifact().id, settings={"names": ["facts"]}, chat_template=False,
        items_limit=None, max_length=512, environment_id=environment, lm_eval_version="0.4", truncated=0,
        tasks=[task], quality_reference="llamacpp F32",
    )  # fmt: skip
    return make.run(session, cell, kind="tasks", evaluation=made, **quiet)


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, list[str]]:
    path = tmp_path_factory.mktemp("whole") / "edgebench.db"
    ids = fill(path)
    return path, ids


@contextlib.contextmanager
def copy_of(path: Path) -> Iterator[Path]:
    with tempfile.TemporaryDirectory() as folder:
        copy = Path(folder) / "edgebench.db"
        shutil.copyfile(path, copy)
        yield copy


def commands(ids: Sequence[str]) -> list[list[str]]:
    tables = [["table", "--format", name] for name in ("table", "markdown", "csv", "json", "html", "latex")]
    explained = [["table", "--explain", "--format", name] for name in ("table", "markdown", "json")]
    shown = [["show", one, *more] for one in ids for more in ([], ["--json"])]
    return [
        *tables,
        *explained,
        *shown,
        ["show", ids[0], "--suite-text"],
        ["db", "info", "--json"],
        ["db", "check"],
        ["db", "sessions"],
        ["db", "sessions", "--json"],
        ["plot", "roofline", "--json"],
    ]


def look(path: Path, words: Sequence[str]) -> tuple[int, str, str]:
    """A command's status and what it wrote to both streams."""
    out, err = io.StringIO(), io.StringIO()
    with (
        mock.patch.object(sys, "stdout", out),
        mock.patch.object(sys, "stderr", err),
        pytest.raises(SystemExit) as ended,
    ):
        main([*words, "--db", str(path)])
    status = ended.value.code
    assert isinstance(status, int)
    return status, out.getvalue(), err.getvalue()


def _no_constant(name: str) -> None:
    raise AssertionError(f"{name} is no JSON")


def looked_at(path: Path, ids: Sequence[str]) -> list[int]:
    """The statuses of every reading command, none of which may be harmed."""
    begin = time.monotonic()
    statuses = []
    for words in commands(ids):
        status, out, err = look(path, words)
        # 70 is a defect, which the command line reports as one.
        assert status in (0, 1, 2), f"{words}: {err}"
        assert status == 0 or err.count("error: ") == 1, f"{words}: {err}"
        found = CONTROL.search(out + err)
        assert found is None, f"{words}: {found}"
        if "json" in words[-1] and status == 0:
            json.loads(out, parse_constant=_no_constant)
        statuses.append(status)
    assert time.monotonic() - begin < PATIENCE_S
    return statuses


def test_the_whole_database_is_read_by_every_command(whole: tuple[Path, list[str]]) -> None:
    path, ids = whole
    counts = Store.open(path, read_only=True).info()["rows"]
    empty = {name for name, count in counts.items() if not count}
    assert empty <= {
        "alert",
        "gate",
        "gate_verdict",
        "preparation",
        "score_positions",
        "session_evaluation",
        "session_import",
        "statistic",
        "task_hole",
    }
    assert set(looked_at(path, ids)) == {0}


# -- bytes ----------------------------------------------------------------------------------------------------------

changes = settings(
    max_examples=EXAMPLES, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow]
)


@changes
@given(st.data())
def test_changed_bytes(whole: tuple[Path, list[str]], data: st.DataObject) -> None:
    path, ids = whole
    size = path.stat().st_size
    with copy_of(path) as copy:
        raw = bytearray(copy.read_bytes())
        kind = data.draw(st.sampled_from(["bytes", "page", "cut", "header"]))
        if kind == "cut":
            del raw[data.draw(st.integers(0, size - 1)) :]
        elif kind == "page":
            at = 4096 * data.draw(st.integers(0, size // 4096 - 1))
            raw[at : at + 4096] = data.draw(st.sampled_from([bytes(4096), b"\xff" * 4096, bytes(raw[:4096])]))
        else:
            end = 100 if kind == "header" else size
            for _ in range(data.draw(st.integers(1, 40))):
                raw[data.draw(st.integers(0, end - 1))] = data.draw(st.integers(0, 255))
        copy.write_bytes(raw)
        looked_at(copy, ids)


@changes
@given(st.binary(max_size=20_000))
def test_random_bytes(whole: tuple[Path, list[str]], content: bytes) -> None:
    _, ids = whole
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "edgebench.db"
        path.write_bytes(content)
        # An empty file is a database that holds nothing yet.
        assert 0 not in looked_at(path, ids[:2])


# -- rows -----------------------------------------------------------------------------------------------------------

NASTY: list[object] = [
    None, -1, 0, 2**63 - 1, -(2**63), 1e308, -1e308, float("inf"), -float("inf"), 5e-324, "", "text", "x" * 100_000,
    b"\x00\xff\xfe", b"12345678" * 4, "\x1b]0;owned\x07\x1b[2J\x9b31m\u202e", "[/bold] [red] [link=x]", "%s{0}{", "ok",
    "'; DROP TABLE run; --", "../../../etc/passwd", "{}", "[]", "null", "1", '"x"', '"\\ud800"', "[1e999]", "[null]",
    '{"a": NaN}', '{"text": [], "warmup": 1, "passages": 3}', '{"passages": [{}]}', '[{"a": {"b": [1]}}]',
    '{"type_k": 1, "type_v": []}', '{"type_k": "f16", "kv_bits": "x"}', '{"layers": -1}', '{"runs_width": "x"}',
    "[" * 100_000, "[" * 900 + "]" * 900, '{"a":' * 900 + "1" + "}" * 900, "9" * 5000, "0001-01-01 00:00:00.000000",
    "9999-12-31 23:59:59.999999", "2026-13-45", "pp1+tg1", "timed", "int64", "float64",
]  # fmt: skip

COLUMNS = [(name, column.name) for name, table in sorted(metadata.tables.items()) for column in table.c]


def change(path: Path, table: str, column: str, value: object, *, everywhere: bool) -> None:
    """One value in a column, in one row or all, against whatever the schema demands."""
    with contextlib.closing(sqlite3.connect(path)) as connection:
        connection.execute("PRAGMA ignore_check_constraints=ON")
        rows = "" if everywhere else f" WHERE {column} IN (SELECT {column} FROM {table} LIMIT 1)"
        with contextlib.suppress(sqlite3.IntegrityError, sqlite3.DataError):
            connection.execute(f"UPDATE OR IGNORE {table} SET {column} = ?{rows}", [value])
        connection.commit()


@changes
@given(
    st.lists(
        st.tuples(st.sampled_from(COLUMNS), st.sampled_from(NASTY), st.booleans()), min_size=1, max_size=4
    )
)
def test_changed_rows(
    whole: tuple[Path, list[str]], made: list[tuple[tuple[str, str], object, bool]]
) -> None:
    path, ids = whole
    with copy_of(path) as copy:
        for (table, column), value, everywhere in made:
            change(copy, table, column, value, everywhere=everywhere)
        looked_at(copy, ids)


def test_escapes_of_a_terminal_are_shown_and_not_obeyed(whole: tuple[Path, list[str]]) -> None:
    path, ids = whole
    evil = "\x1b]0;owned\x07\x1b[31m"
    with copy_of(path) as copy:
        for table, column in (
            ("session", "suite"),
            ("run", "reason"),
            ("machine", "name"),
            ("cell", "model"),
        ):
            change(copy, table, column, evil, everywhere=True)
        assert set(looked_at(copy, whole[1])) == {0}
        for words in (["db", "sessions"], ["show", ids[0]], ["table"], ["table", "--explain"]):
            assert "\\u001b]0;owned\\u0007" in look(copy, words)[1], words
        (shown,) = json.loads(look(copy, ["db", "sessions", "--json"])[1])["sessions"]
        assert shown["suite"] == evil


def test_more_tokens_than_there_are_take_no_time(whole: tuple[Path, list[str]]) -> None:
    path, ids = whole
    with copy_of(path) as copy:
        for column in ("decode_tokens", "prompt_tokens", "depth", "batch"):
            change(copy, "cell", column, 10**15, everywhere=True)
        looked_at(copy, ids)


@pytest.mark.parametrize("column", ["batch", "decode_tokens", "prompt_tokens", "depth"])
def test_a_text_in_a_numbers_place_is_not_multiplied(whole: tuple[Path, list[str]], column: str) -> None:
    path, _ = whole
    with copy_of(path) as copy:
        change(copy, "cell", column, "x" * 100_000, everywhere=True)
        status, _, err = look(copy, ["table"])
        assert status == 1
        assert f"holds a value that cannot be read: cell.{column} is no number" in err
    with copy_of(path) as copy:
        change(copy, "model", "configuration", json.dumps({**SHAPE, "kv_heads": "x" * 1000}), everywhere=True)
        status, _, err = look(copy, ["table"])
        assert status == 1
        assert "the model's kv_heads is no number" in err


def test_makings_and_references_in_a_circle_have_an_end(whole: tuple[Path, list[str]]) -> None:
    path, _ = whole
    with copy_of(path) as copy:
        with contextlib.closing(sqlite3.connect(copy)) as connection:
            connection.execute("UPDATE lineage SET source_artifact_id = artifact_id")
            connection.execute("UPDATE score SET reference_run_key = run_key")
            connection.execute("UPDATE evaluation SET reference_run_key = run_key")
            connection.commit()
        assert set(looked_at(copy, whole[1])) == {0}


# -- schemas --------------------------------------------------------------------------------------------------------

ENDLESS = "WITH RECURSIVE c(x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM c) SELECT x AS id, x AS key FROM c"


@pytest.mark.parametrize(
    ("sql", "said"),
    [
        ("ALTER TABLE run RENAME TO gone; CREATE VIEW run AS " + ENDLESS, "something else in place of the table run"),
        ("DROP TABLE sample; CREATE VIEW sample AS " + ENDLESS, "something else in place of the table sample"),
        ("DROP TABLE metric; CREATE VIRTUAL TABLE metric USING fts5(name)", "something else in place of the table m"),
        ("CREATE TRIGGER t AFTER INSERT ON run BEGIN DELETE FROM session; END", "the trigger t"),
        ("DROP TABLE sample", "no table sample"),
        ("ALTER TABLE sample DROP COLUMN value", "no sample.value"),
        (
            "ALTER TABLE verdict DROP COLUMN reason; ALTER TABLE verdict ADD COLUMN reason TEXT AS (run_key || 'x')",
            "no verdict.reason",
        ),
    ],
)  # fmt: skip
@pytest.mark.parametrize("read_only", [True, False])
def test_a_schema_that_would_run_something_is_refused(
    whole: tuple[Path, list[str]], sql: str, said: str, read_only: bool
) -> None:
    with copy_of(whole[0]) as copy:
        with contextlib.closing(sqlite3.connect(copy)) as connection:
            try:
                connection.executescript(f"PRAGMA foreign_keys=OFF; PRAGMA legacy_alter_table=ON; {sql}")
            except sqlite3.OperationalError as error:  # pragma: no cover - an SQLite without fts5
                pytest.skip(str(error))
        before = copy.read_bytes()
        with pytest.raises(EdgebenchError, match=f"no database as edgebench makes them: it has {said}"):
            Store.open(copy, read_only=read_only)
        assert copy.read_bytes() == before


def test_views_of_other_names_are_nobodys_business(whole: tuple[Path, list[str]]) -> None:
    path, ids = whole
    with copy_of(path) as copy:
        with contextlib.closing(sqlite3.connect(copy)) as connection:
            connection.execute("CREATE VIEW v_mine AS " + ENDLESS)
        assert set(looked_at(copy, ids)) == {0}


def test_what_is_typed_as_an_id_is_no_query(whole: tuple[Path, list[str]]) -> None:
    path, _ = whole
    before = path.read_bytes()
    for text in (
        "' OR 1=1 --",
        "%",
        "_",
        "*",
        "'; DROP TABLE run; --",
        "\x00",
        "\udcff",
        "-1",
        "x" * 100_000,
    ):
        status, _, err = look(path, ["show", "--", text])
        assert status in (1, 2), (text[:20], err)
        assert CONTROL.search(err) is None
    assert path.read_bytes() == before
