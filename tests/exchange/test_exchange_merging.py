"""Merging real databases: in any order, twice, over versions, interrupted, contradicted."""

from __future__ import annotations

import shutil
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import make_store_records as make
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from old_databases import migrated, restore
from small_databases import MOST_RUNS, STATES, Lab, Night, contents, joined, make_database
from sqlalchemy import create_engine
from sqlalchemy.pool import NullPool

from harness.errors import EdgebenchError, UsageError
from harness.exchange import merging, rules, writing
from harness.exchange.own_import import _found
from harness.exchange.shape import Shape
from harness.exchange.source import SHAPE, opened
from harness.store import Store
from harness.store.tables import metadata

nights = st.builds(Night, st.sampled_from([0, 2, 3, MOST_RUNS]), st.integers(0, len(STATES) - 1))
labs = st.dictionaries(st.integers(0, 2), nights, max_size=3)


def merge(source: str | Path, target: str | Path) -> merging.Outcome:
    with opened(source) as read, Store.open(target) as store:
        return merging.merge(read, store)


@contextmanager
def folder() -> Iterator[Path]:
    with TemporaryDirectory(prefix="edgebench-merge-") as name:
        yield Path(name)


@settings(max_examples=8, suppress_health_check=[HealthCheck.too_slow])
@given(one=labs, other=labs)
def test_merging_gives_what_both_know_together_in_any_order(one: Lab, other: Lab) -> None:
    with folder() as home:
        make_database(home / "one.db", one)
        make_database(home / "other.db", other)
        make_database(home / "expected.db", joined(one, other))
        expected = contents(home / "expected.db")
        for first, second in (("one", "other"), ("other", "one")):
            target = home / f"{first}-{second}.db"
            merge(home / f"{first}.db", target)
            merge(home / f"{second}.db", target)
            assert contents(target) == expected
            with Store.open(target, read_only=True) as store:
                assert store.check() == []


@settings(max_examples=5, suppress_health_check=[HealthCheck.too_slow])
@given(lab_list=st.lists(labs, min_size=3, max_size=3))
def test_merging_is_associative(lab_list: list[Lab]) -> None:
    with folder() as home:
        for name, lab in zip("abc", lab_list, strict=True):
            make_database(home / f"{name}.db", lab)
        for source, target in (("a", "ab"), ("b", "ab"), ("ab", "ab_c"), ("c", "ab_c")):
            merge(home / f"{source}.db", home / f"{target}.db")
        for source, target in (("b", "bc"), ("c", "bc"), ("a", "a_bc"), ("bc", "a_bc")):
            merge(home / f"{source}.db", home / f"{target}.db")
        assert contents(home / "ab_c.db") == contents(home / "a_bc.db")


@settings(max_examples=5, suppress_health_check=[HealthCheck.too_slow])
@given(one=labs, other=labs)
def test_merging_again_adds_nothing(one: Lab, other: Lab) -> None:
    with folder() as home:
        make_database(home / "one.db", one)
        make_database(home / "other.db", other)
        for name in ("one", "other"):
            merge(home / f"{name}.db", home / "target.db")
        before = contents(home / "target.db")
        for name in ("other", "one", "other"):
            again = merge(home / f"{name}.db", home / "target.db")
            assert not any(again.added.values())
            assert again.changed == 0
        assert contents(home / "target.db") == before


@pytest.fixture
def lab() -> Lab:
    return {0: Night(MOST_RUNS, 3), 1: Night(MOST_RUNS, 1), 2: Night(2, 0)}


@pytest.fixture
def source(tmp_path: Path, lab: Lab) -> Path:
    make_database(tmp_path / "source.db", lab)
    return tmp_path / "source.db"


def test_every_table_is_merged(source: Path, tmp_path: Path) -> None:
    """A table that a migration adds needs rows here, made through the store, or nobody has seen it being merged."""
    outcome = merge(source, tmp_path / "target.db")
    rows = contents(source)
    assert [name for name, found in rows.items() if not found] == []
    assert dict(outcome.added) == {name: len(found) for name, found in rows.items()}
    assert set(rows) | {"schema_revision"} == set(metadata.tables)


def test_what_travels_is_the_same_by_the_models_and_by_a_file(tmp_path: Path) -> None:
    """Rows of the newest schema are read by the models; those of an older one by the file that its migrations made."""

    def told(shape: Shape) -> list[object]:
        # Columns that a migration added stand last in a file, and rows travel by the names of theirs.
        return [
            (
                one.name,
                one.level,
                [one.names[place] for place in (*one.key, *([] if one.owner is None else [one.owner]))],
                str(shape.local.get(one.name)),
                sorted(
                    (
                        each.name,
                        str(each.column),
                        each.kind,
                        each.nullable,
                        str(each.stands_for),
                        str(each.refers_to),
                    )
                    for each in one.fields
                ),
            )
            for one in shape
        ]

    engine = create_engine(f"sqlite:///{migrated(tmp_path / 'migrated.db')}", poolclass=NullPool)
    with engine.connect() as connection:
        assert told(_found(connection)) == told(SHAPE)


def test_every_table_has_its_place() -> None:
    for shape in SHAPE:
        assert shape.key, shape.name
        for field in shape.fields:
            # A fact that belongs to a session would be written before what it refers to.
            if shape.level in ("session", "run") and field.refers_to is not None:
                assert SHAPE[field.refers_to].level != "loose", f"{shape.name}.{field.name}"
            if shape.level == "shared":
                assert field.stands_for is None, f"{shape.name}.{field.name}"
        if shape.level in ("shared", "loose"):
            referred = {one.refers_to for other in SHAPE for one in other.fields}
            assert shape.name in rules.COMES_WITH or shape.name in referred | {"metric"}, (
                f"{shape.name}: say in rules.COMES_WITH with what its rows are exported"
            )
    assert set(SHAPE.local) == {"run", "metric"}
    for table, columns in {**rules.CHANGING, **rules.DESCRIBING, **rules.COMES_WITH}.items():
        assert set(columns) <= set(SHAPE[table].names)


def test_keys_that_mean_other_rows_in_the_target_are_replaced(source: Path, tmp_path: Path) -> None:
    target = tmp_path / "target.db"
    make_database(target, {3: Night(3, 1)})
    before = contents(target)
    merge(source, target)
    after = contents(target)
    for name, rows in before.items():
        # Of the session that is in both, and of its alert, the source knows a later state.
        assert name in ("session", "alert") or set(rows) <= set(after[name])
    with sqlite3.connect(target) as ours, sqlite3.connect(source) as theirs:
        keys = [dict(one.execute("SELECT id, key FROM run")) for one in (ours, theirs)]
    ours.close()
    theirs.close()
    assert any(keys[0][run] != key for run, key in keys[1].items())
    for run in keys[1]:
        assert [row for row in after["sample"] if row[0] == run] == [
            row for row in contents(source)["sample"] if row[0] == run
        ]


def test_a_source_is_left_as_it_was(source: Path, tmp_path: Path) -> None:
    content = source.read_bytes()
    source.chmod(0o444)
    merge(source, tmp_path / "target.db")
    assert source.read_bytes() == content
    assert sorted(one.name for one in tmp_path.glob("source*")) == ["source.db"]


def test_a_source_of_an_older_schema_is_upgraded_in_a_copy(tmp_path: Path) -> None:
    old = restore("0003", tmp_path / "old.db")
    connection = sqlite3.connect(old)
    runs = connection.execute("SELECT count(*) FROM run").fetchone()[0]
    connection.close()
    content = old.read_bytes()
    outcome = merge(old, tmp_path / "target.db")
    assert outcome.added["run"] == runs > 0
    assert old.read_bytes() == content
    # A reader may leave the journal's index beside a file that is written ahead.
    assert {one.name for one in tmp_path.glob("old*")} <= {"old.db", "old.db-wal", "old.db-shm"}


def change(path: Path, statement: str) -> None:
    connection = sqlite3.connect(path)
    assert connection.execute(statement).rowcount
    connection.commit()
    connection.close()


@pytest.mark.parametrize(
    ("statement", "named"),
    [
        ("UPDATE sample SET value = value + 1 WHERE repetition = 1", "sample"),
        ("UPDATE run SET duration_s = 99 WHERE kind = 'timed' AND run_index = 0", "run"),
        ("UPDATE session SET seed = 99", "session"),
        ("UPDATE cell SET depth = 7", "cell"),
        ("UPDATE planned_run SET seed = 99", "planned_run"),
        ("UPDATE score SET kld_max = 99", "score"),
        ("UPDATE environment_package SET version = 'x'", "environment_package"),
        ("UPDATE trace SET data = x'0000000000000000' WHERE name = 'token_ns'", "trace"),
    ],
)
def test_a_contradiction_is_refused_named_and_adds_nothing(
    source: Path, tmp_path: Path, statement: str, named: str
) -> None:
    other = tmp_path / "other.db"
    shutil.copy(source, other)
    make_database(tmp_path / "more.db", {3: Night(1, 0)})
    merge(tmp_path / "more.db", other)  # something that the target lacks, and must go on lacking
    change(other, statement)
    target = tmp_path / "target.db"
    merge(source, target)
    before = contents(target)
    with pytest.raises(merging.MergeRefused, match="contradicts") as caught:
        merge(other, target)
    assert {one.table for one in caught.value.contradictions} == {named}
    assert caught.value.count >= len(caught.value.contradictions) > 0
    first = caught.value.contradictions[0]
    assert str(first.key[0]) in str(caught.value)
    assert contents(target) == before


def test_the_same_contradiction_is_found_from_both_sides(source: Path, tmp_path: Path) -> None:
    other = tmp_path / "other.db"
    shutil.copy(source, other)
    change(other, "UPDATE run SET duration_s = 99")
    found = []
    for first, second in ((source, other), (other, source)):
        target = tmp_path / f"{first.stem}.target.db"
        merge(first, target)
        with pytest.raises(merging.MergeRefused) as caught:
            merge(second, target)
        found.append(caught.value.contradictions)
    assert found[0] == found[1]


def test_a_description_that_tells_more_stands_and_another_one_is_told(source: Path, tmp_path: Path) -> None:
    less, otherwise = tmp_path / "less.db", tmp_path / "otherwise.db"
    for path in (less, otherwise):
        shutil.copy(source, path)
    change(less, "UPDATE model SET configuration = NULL")
    change(less, "UPDATE lineage SET made_peak_bytes = NULL")
    more = "weight_bytes = weight_bytes + 1, bits_per_weight = (weight_bytes + 1) * 8.0 / parameters"
    change(otherwise, f"UPDATE artifact SET {more}")
    results = []
    for order in ((less, otherwise, source), (source, less, otherwise), (otherwise, source, less)):
        target = tmp_path / f"{order[0].stem}.target.db"
        told = [one for path in order for one in merge(path, target).redescribed]
        assert {one.split()[0] for one in told} == {"artifact"}
        results.append(contents(target))
    assert results[0] == results[1] == results[2]
    assert contents(source)["model"] == results[0]["model"]
    assert contents(source)["lineage"] == results[0]["lineage"]
    assert contents(otherwise)["artifact"] == results[0]["artifact"]


def test_rows_that_claim_the_same_place_in_a_plan_are_refused(source: Path, tmp_path: Path) -> None:
    target = tmp_path / "target.db"
    merge(source, target)
    before = contents(target)
    change(source, "UPDATE planned_run SET position = position + 100")
    with pytest.raises(EdgebenchError, match="a row of planned_run cannot be kept"):
        merge(source, target)
    assert contents(target) == before


class Interrupted(KeyboardInterrupt):
    pass


@pytest.mark.parametrize("at", range(1, 60, 7))
def test_an_interrupted_merge_leaves_whole_sessions_and_is_completed_by_the_same_merge(
    source: Path, tmp_path: Path, at: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    target = tmp_path / "target.db"
    monkeypatch.setattr(merging, "RUNS_PER_TRANSACTION", 1)
    calls = 0
    insert = writing.Writer.insert

    def interrupted(*arguments: object) -> None:
        nonlocal calls
        calls += 1
        if calls == at:
            raise Interrupted
        insert(*arguments)  # type: ignore[arg-type]

    with monkeypatch.context() as patched:
        patched.setattr(writing.Writer, "insert", interrupted)
        try:
            merge(source, target)
        except Interrupted:
            assert calls == at
    expected = contents(source)
    with Store.open(target) as store:
        assert store.check() == []
        there = contents(store)
    sessions = {row[0] for row in there["session"]}
    for shape in SHAPE.of_level("session"):
        at_session = shape.owner or 0
        wanted = [row for row in expected[shape.name] if row[at_session] in sessions]
        assert there[shape.name] == wanted
    runs = {row[0] for row in expected["run"] if row[SHAPE["run"].at("session_id")] in sessions}
    for shape in SHAPE.of_level("run"):
        assert there[shape.name] == [row for row in expected[shape.name] if row[0] in runs]
    merge(source, target)
    assert contents(target) == expected


def test_sessions_that_refer_to_each_other_go_together(source: Path, tmp_path: Path) -> None:
    """Clocks that were set back make an earlier session refer to a later one; a file from elsewhere may do both."""
    change(
        source,
        "UPDATE score SET reference_run_key = (SELECT max(score.run_key) FROM score) WHERE reference_run_key IS NULL",
    )
    merge(source, tmp_path / "target.db")
    assert contents(tmp_path / "target.db") == contents(source)


def test_a_database_is_not_merged_into_itself(source: Path) -> None:
    with pytest.raises(UsageError, match="into itself"):
        merge(source, source)


@pytest.mark.parametrize(
    ("statement", "words"),
    [
        ("UPDATE run SET details = '{not json'", "run.details holds no JSON"),
        ("UPDATE run SET details = '{\"a\": NaN}'", "run.details holds no JSON"),
        (
            "UPDATE run SET details = '[' || replace(hex(zeroblob(60000)), '00', '[')",
            "run.details holds no JSON",
        ),
        ("UPDATE run SET started_at = 'yesterday'", "cannot be read"),
        ("UPDATE run SET threads = 'two'", "run.threads holds str"),
        ("UPDATE run SET id = x'00ff' WHERE \"key\" = 1", "holds bytes"),
        ("UPDATE sample SET value = 'fast'", "sample.value holds str"),
    ],
)
def test_a_value_that_cannot_be_is_said_of_the_source_and_never_stored(
    source: Path, tmp_path: Path, statement: str, words: str
) -> None:
    change(source, statement)
    target = tmp_path / "target.db"
    make_database(target, {3: Night(2, 1)})
    with pytest.raises(EdgebenchError) as caught:
        merge(source, target)
    assert words in str(caught.value)
    assert str(source) in str(caught.value)
    with Store.open(target) as store:
        assert store.check() == []
        assert contents(store)


def test_a_row_that_refers_to_nothing_is_said(source: Path, tmp_path: Path) -> None:
    change(source, "DELETE FROM artifact")
    with pytest.raises(EdgebenchError, match=r"is damaged: a row of .* refers to nothing"):
        merge(source, tmp_path / "target.db")
    assert not (tmp_path / "target.db").exists()


@pytest.mark.parametrize(
    "statements",
    [
        "ALTER TABLE sample RENAME TO real_sample; CREATE VIEW sample AS SELECT * FROM real_sample;",
        "DROP TABLE verdict; CREATE TABLE verdict (run_key INTEGER, artifact_id, verdict, reason);",
        "DROP TABLE trace;",
        "DROP TABLE verdict; CREATE TABLE verdict (run_key INTEGER);",
    ],
)
def test_a_file_whose_tables_are_not_edgebenchs_is_refused(
    source: Path, tmp_path: Path, statements: str
) -> None:
    connection = sqlite3.connect(source)
    connection.executescript(statements)
    connection.close()
    with pytest.raises(EdgebenchError, match=r"newest schema|as edgebench makes them"):
        merge(source, tmp_path / "target.db")


@settings(max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(start=st.integers(0, 400_000), noise=st.binary(min_size=1, max_size=300))
def test_a_damaged_source_gives_an_error_or_merges_but_never_harms_the_target(
    tmp_path: Path, start: int, noise: bytes
) -> None:
    sound = tmp_path / "sound.db"
    if not sound.exists():
        make_database(sound, {0: Night(3, 1), 1: Night(2, 0)})
    content = sound.read_bytes()
    start %= len(content)
    hostile, target = tmp_path / "hostile.db", tmp_path / "target.db"
    hostile.write_bytes(content[:start] + noise + content[start + len(noise) :])
    make_database(target, {3: Night(1, 0)})
    try:
        merge(hostile, target)
    except EdgebenchError as error:
        assert error.next_step  # noqa: PT017 - that it is one with a next step is all that is asked
    with Store.open(target) as store:
        assert store.check() == []
        contents(store)
    for left in [*tmp_path.glob("hostile.db*"), *tmp_path.glob("target.db*")]:
        left.unlink()


def test_the_states_of_a_session_are_in_one_order() -> None:
    shape = SHAPE["session"]
    machine = make.machine()
    record = make.session(machine.id)
    with Store.open("sqlite://") as store:
        store.record_machine(machine)
        store.start_session(record)
        row = contents(store)["session"][0]
    rows = []
    for status, seconds, resumed in STATES:
        values = dict(zip(shape.names, row, strict=True)) | {
            "status": status,
            "resumed": resumed,
            "ended_at": None if seconds is None else replace(record).started_at,
        }
        rows.append(tuple(values[name] for name in shape.names))
    for place, later in enumerate(rows):
        for earlier in rows[:place]:
            assert rules.joined(shape, earlier, later) == later == rules.joined(shape, later, earlier)


def test_a_table_whose_key_is_local_needs_a_name_beside_it() -> None:
    from sqlalchemy import Column, Integer, MetaData, String, Table

    lonely = MetaData()
    Table("note", lonely, Column("key", Integer, primary_key=True), Column("text", String))
    with pytest.raises(TypeError, match="note: its key is local"):
        Shape(lonely)


def artifact_rows(path: Path) -> list[tuple[Any, ...]]:
    connection = sqlite3.connect(path)
    try:
        return connection.execute(
            "SELECT weight_bytes, parameters, bits_per_weight FROM artifact ORDER BY id"
        ).fetchall()
    finally:
        connection.close()


def test_what_either_tells_of_an_artifact_stands(tmp_path: Path) -> None:
    told = {
        "a": "weight_bytes = NULL, bits_per_weight = NULL",
        "b": "parameters = NULL, bits_per_weight = NULL",
    }
    for name, changes in told.items():
        make_database(tmp_path / f"{name}.db", {1: Night(1, 1)})
        connection = sqlite3.connect(tmp_path / f"{name}.db")
        whole = artifact_rows(tmp_path / f"{name}.db")
        with connection:
            connection.execute(f"UPDATE artifact SET {changes}")
        connection.close()
    for order in ("ab", "ba", "aba"):
        for name in order:
            merge(tmp_path / f"{name}.db", tmp_path / f"{order}.db")
        assert artifact_rows(tmp_path / f"{order}.db") == whole
