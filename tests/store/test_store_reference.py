from __future__ import annotations

import re
import sqlite3
from pathlib import Path

import make_store_records as make
import pytest

from harness.store import Store, records, reference
from harness.store.tables import models, table

ROOT = Path(__file__).resolve().parents[2]
DOCUMENT = (ROOT / "docs" / "database.md").read_text(encoding="utf-8")
QUERIES = re.findall(r"```sql\n(.*?)```", DOCUMENT, re.DOTALL)


def test_the_schema_file_is_what_the_models_say() -> None:
    assert (ROOT / "results" / "schema.sql").read_text(encoding="utf-8") == reference.schema_sql()


def test_the_reference_is_what_the_models_say() -> None:
    assert reference.with_tables(DOCUMENT) == DOCUMENT


def test_the_schema_file_makes_the_tables_that_the_program_makes(tmp_path: Path) -> None:
    Store.open(tmp_path / "made.db").close()
    plain, made = sqlite3.connect(":memory:"), sqlite3.connect(tmp_path / "made.db")
    try:
        plain.executescript((ROOT / "results" / "schema.sql").read_text(encoding="utf-8"))
        names = (
            "SELECT name FROM sqlite_master WHERE name <> 'alembic_version' AND sql IS NOT NULL ORDER BY name"
        )
        assert plain.execute(names).fetchall() == made.execute(names).fetchall()
        for name in models():
            columns = f"PRAGMA table_info({name})"
            assert plain.execute(columns).fetchall() == made.execute(columns).fetchall()
    finally:
        plain.close()
        made.close()


@pytest.mark.parametrize("name", models())
def test_every_table_and_column_is_explained(name: str) -> None:
    _, _, section = DOCUMENT.partition(f"\n### {name}\n")
    section = section.partition("\n### ")[0]
    model = models()[name]
    assert (model.__doc__ or "").split()[:3] == section.split()[:3]
    for column in table(name).columns:
        description = model.model_fields[column.name].description
        assert description
        assert re.search(rf"^\| `{column.name}`.*{re.escape(description)}", section, re.MULTILINE), (
            column.name
        )


@pytest.mark.parametrize("query", QUERIES, ids=[text.split("FROM")[0].split()[1] for text in QUERIES])
def test_the_example_queries_find_something(any_database: str, query: str) -> None:
    with Store.open(any_database) as store:
        fill(store)
        with store.reading() as connection:
            assert connection.exec_driver_sql(query).all()


def fill(store: Store) -> None:
    store.record_model(make.model())
    store.record_artifact(make.artifact())
    for version in ("0.3.36", "0.3.37"):
        store.record_environment(make.environment(version))
    cell, skipped = make.cell(), make.cell(device="npu:0")
    planned = [records.PlannedCellRecord(cell, 0), records.PlannedCellRecord(skipped, 1, "no NPU here")]
    session = store.start_session(make.session(store.record_machine(make.machine())), planned)
    store.record_run(make.run(session, cell.id))
    score = make.score(make.artifact().id, (cell.id,))
    store.record_run(make.run(session, cell.id, kind="score", samples=(), score=score))
