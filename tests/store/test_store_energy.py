"""Energy in the database: what is read comes back, and the file itself refuses a joule that nobody measured."""

from __future__ import annotations

import sqlite3
from dataclasses import asdict
from pathlib import Path
from typing import Any

import make_store_records as make
import pytest
from alembic import command
from alembic.config import Config
from sqlalchemy import create_engine, text
from sqlalchemy.exc import IntegrityError
from sqlalchemy.pool import NullPool

from harness.store import Store, records, schema
from harness.store.tables import table

ESTIMATE = records.EnergyRecord(
    "decode", estimate_joules=30.0, estimate_label="TDP 15 W x time", reason="no energy meter"
)


def store_run(store: Store, *energy: records.EnergyRecord) -> None:
    store.record_model(make.model())
    store.record_artifact(make.artifact())
    store.record_environment(make.environment())
    cells = [records.PlannedCellRecord(make.cell(), 0, expected_s=4.0, settings={})]
    plan = [records.PlannedRunRecord(make.cell().id, "timed", 0, 0, seed=7)]
    session = store.start_session(make.session(store.record_machine(make.machine())), cells, plan)
    assert store.record_run(make.run(session, make.cell().id, energy=energy))


def rows(path: Path) -> list[dict[str, Any]]:
    connection = sqlite3.connect(path)
    connection.row_factory = sqlite3.Row
    try:
        return [dict(row) for row in connection.execute("SELECT * FROM energy_reading ORDER BY position")]
    finally:
        connection.close()


def test_a_reading_comes_back_as_it_was_stored(any_database: str) -> None:
    read = make.energy(), make.energy("prefill", net_joules=None, reason="net: no idle window"), ESTIMATE
    with Store.open(any_database) as store:
        store_run(store, *read)
        [session] = store.sessions()
        [run] = [run for cell in store.session_facts(session["id"]).cells for run in cell.runs]
        assert run.energy == read
        with store.reading() as connection:
            first = connection.execute(table("energy_reading").select()).first()
    assert first is not None
    assert first.domain_joules["psys"] == 20.0


WRONG: list[dict[str, Any]] = [
    {"meter": None},
    {"meter": ""},
    {"meter": " "},
    {"domain": " "},
    {"method": None},
    {"method": "estimate"},
    {"domain": None},
    {"domain": ""},
    {"gross_joules": None, "net_joules": None, "reason": None},
    {"gross_joules": None, "reason": "net alone"},
    {"gross_joules": 0.0},
    {"gross_joules": -3.0},
    {"tokens": None},
    {"tokens": 0},
    {"window_s": None},
    {"window_s": 0.0},
    {"estimate_joules": 3.0, "estimate_label": "TDP 15 W x time"},
    {"estimate_label": "TDP 15 W x time"},
]
WRONG_ESTIMATES: list[dict[str, Any]] = [
    {"estimate_label": None},
    {"estimate_label": ""},
    {"gross_joules": 30.0, "tokens": 1, "window_s": 2.0},
    {"net_joules": 30.0},
    {"idle_watts": 3.0},
    {"domain_joules": {"cpu": 30.0}},
    {"reason": None},
]


@pytest.mark.parametrize(
    ("record", "changes"),
    [(make.energy(), each) for each in WRONG] + [(ESTIMATE, each) for each in WRONG_ESTIMATES],
    ids=str,
)
def test_the_database_refuses_a_joule_without_its_source_and_an_estimate_as_a_measurement(
    record: records.EnergyRecord, changes: dict[str, Any], any_database: str
) -> None:
    values = {"run_key": 1, "position": 7, **asdict(record)}
    with Store.open(any_database) as store:
        store_run(store)
        with store.writing() as connection:
            connection.execute(table("energy_reading").insert(), [values])
        with (
            pytest.raises(IntegrityError, match=r"[cC][hH][eE][cC][kK] constraint.*ck_energy_reading_"),
            store.writing() as connection,
        ):
            connection.execute(table("energy_reading").insert(), [{**values, "position": 8, **changes}])
        assert store.info()["rows"]["energy_reading"] == 1


OLD = """
INSERT INTO machine (id, name, cpu_model, arch, logical_cores, memory_bytes, accelerators)
    VALUES ('h', 'h', 'c', 'x86_64', 2, 1, '[]');
INSERT INTO energy_reading (run_key, position, phase, gross_joules, net_joules, tokens, window_s, idle_watts_before,
    meter, domain, method, estimate_joules, reason) VALUES
    (1, 0, 'prefill', 12.5, 9.5, 100, 2.0, 1.5, 'powercap', 'package-0', 'counter', NULL, NULL),
    (1, 1, 'decode', NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, 'no energy meter'),
    (1, 2, 'decode', 8.5, NULL, 100, 2.0, NULL, NULL, NULL, NULL, NULL, 'net: no idle window'),
    (1, 3, 'decode', 7.5, NULL, 100, 2.0, NULL, 'nvml', 'gpu:0', 'power-integral', NULL, NULL),
    (1, 4, 'decode', 6.5, 6.0, 100, 2.0, 1.0, 'meter', 'gpu:0', 'guess', NULL, NULL),
    (1, 5, 'decode', NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, 40.0, 'no energy meter'),
    (1, 6, 'decode', 5.5, NULL, 100, 2.0, NULL, 'nvml', 'gpu:0', 'counter', 41.0, NULL),
    (1, 7, 'decode', 0.0, NULL, 100, 2.0, NULL, 'powercap', 'package-0', 'counter', NULL, NULL),
    (1, 8, 'decode', NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL);
"""


def test_an_old_file_keeps_its_measurements_and_says_in_words_what_has_no_source(tmp_path: Path) -> None:
    path = tmp_path / "old.db"
    engine = create_engine(f"sqlite:///{path}", poolclass=NullPool)
    with engine.begin() as connection:
        config = Config()
        config.set_main_option("script_location", str(schema.MIGRATIONS))
        config.attributes["connection"] = connection
        command.upgrade(config, "0002")
    engine.dispose()
    old = sqlite3.connect(path)
    old.executescript(OLD)
    # The readings' run is not what this is about; it only has to exist.
    for name in ("session", "cell"):
        _fill(old, name)
    session, cell = (old.execute(f"SELECT id FROM {name}").fetchone()[0] for name in ("session", "cell"))
    _fill(old, "run", key=1, session_id=session, cell_id=cell, kind="timed", status="ok", validity="ok")
    old.commit()
    old.close()

    with Store.open(path) as store:
        assert store.upgraded is not None
        assert store.check() == []
    kept = rows(path)
    assert [row["gross_joules"] for row in kept] == [12.5, None, None, 7.5, None, None, 5.5, None, None]
    assert (kept[0]["net_joules"], kept[0]["idle_watts_before"], kept[0]["reason"]) == (9.5, 1.5, None)
    assert kept[1]["reason"] == "no energy meter"
    assert kept[2]["reason"] == (
        "net: no idle window; stored by an older version without its source: gross 8.5 J"
    )
    assert (kept[3]["method"], kept[3]["reason"]) == ("power", None)
    assert "gross 6.5 J net 6.0 J" in kept[4]["reason"]
    assert (kept[4]["method"], kept[4]["idle_watts_before"]) == (None, None)
    assert (kept[5]["estimate_joules"], kept[5]["estimate_label"]) == (40.0, "a model that was not named")
    assert (kept[6]["gross_joules"], kept[6]["estimate_joules"]) == (5.5, None)
    assert "41.0 J" in kept[6]["reason"]
    assert "gross 0.0 J" in kept[7]["reason"]
    assert kept[8]["reason"] == "an older version stored no reason"


def _fill(connection: sqlite3.Connection, name: str, **values: Any) -> None:
    """One row: given values, and for every other column that must have one, something of its type."""
    row: dict[str, Any] = {}
    for _, column, kind, needed, _, _ in connection.execute(f"PRAGMA table_info({name})").fetchall():
        if needed:
            text = kind.startswith(("VARCHAR", "TEXT"))
            row[column] = f"{name}" if text else "{}" if kind == "JSON" else 0
            if kind.startswith("DATETIME"):
                row[column] = "2026-11-23 06:12:03.250000"
    row |= values
    if name == "session":
        row |= {"machine_id": "h", "status": "ok"}
    names = ", ".join(row)
    connection.execute(
        f"INSERT INTO {name} ({names}) VALUES ({', '.join('?' * len(row))})", list(row.values())
    )


@pytest.mark.parametrize(
    ("name", "refused"),
    [("decode_joules", True), ("tool:joules_per_token", True), ("tool:cpu_estimated_joules", False)],
)
def test_a_joule_hides_in_no_sample_and_in_no_statistic(any_database: str, name: str, refused: bool) -> None:
    with Store.open(any_database) as store:
        store_run(store)
        [session] = store.sessions()
        [run] = [run for cell in store.session_facts(session["id"]).cells for run in cell.runs]
        statements = (
            (f"INSERT INTO metric (name) VALUES ('{name}')"),
            (
                "INSERT INTO statistic (run_key, position, metric, statistic, value) "
                f"SELECT key, 0, '{name}', 'mean', 1.0 FROM run WHERE id = '{run.id}'"
            ),
        )
        for statement in statements:
            if refused:
                with pytest.raises(IntegrityError, match="joules"), store.writing() as connection:
                    connection.execute(text(statement))
            else:
                with store.writing() as connection:
                    connection.execute(text(statement))
