"""The schema in words: `results/schema.sql` and the table reference in `docs/database.md`, made from the models.

Owns these two texts. ``python -m harness.store.reference`` in a checkout writes them; tests hold them up to date.
"""

from __future__ import annotations

import inspect
import textwrap

from sqlalchemy import Index, Table
from sqlalchemy.dialects import sqlite
from sqlalchemy.schema import CreateIndex, CreateTable

from harness.paths import data_dir
from harness.store import schema
from harness.store.tables import models, table

BEGIN = "<!-- made from harness/store/tables.py by `python -m harness.store.reference` -->"
END = "<!-- end of what is made from the models -->"


def schema_sql() -> str:
    """The newest schema as SQLite's statements, each table under its description."""
    head = (
        f"-- The results database, schema {schema.newest()}. Made from harness/store/tables.py by\n"
        "-- `python -m harness.store.reference`; edgebench itself makes and upgrades databases.\n"
    )
    parts = [head]
    dialect = sqlite.dialect()
    for name, model in models().items():
        made = table(name)
        about = textwrap.fill(_about(model), 110, initial_indent="-- ", subsequent_indent="-- ")
        lines = [
            line.rstrip() for line in str(CreateTable(made).compile(dialect=dialect)).strip().splitlines()
        ]
        statements = ["\n".join(lines)]
        statements += [str(CreateIndex(one).compile(dialect=dialect)) for one in _indexes(made)]
        parts.append(f"{about}\n" + "\n".join(f"{one};" for one in statements) + "\n")
    return "\n".join(parts)


def tables_markdown() -> str:
    """A section per table: what it is, and a row per column with type, whether it may be NULL, and meaning."""
    parts = []
    for name, model in models().items():
        made = table(name)
        lines = [f"### {name}", "", _about(model), "", "| column | type | NULL | what |", "|---|---|---|---|"]
        for column in made.columns:
            what = model.model_fields[column.name].description or ""
            for reference in sorted(one.target_fullname for one in column.foreign_keys):
                what += f" (→ `{reference}`)"
            mark = " **key**" if column.primary_key else ""
            shown = str(column.type.compile(dialect=sqlite.dialect())).lower()
            lines.append(f"| `{column.name}`{mark} | {shown} | {'yes' if column.nullable else ''} | {what} |")
        parts.append("\n".join(lines))
    return "\n\n".join(parts)


def with_tables(text: str) -> str:
    """A document with the part between the two marks made anew.

    Raises:
        ValueError: the marks are missing.
    """
    before, _, rest = text.partition(BEGIN)
    _, _, after = rest.partition(END)
    if not after:
        raise ValueError(f"the document lacks {BEGIN!r} or {END!r}")
    return f"{before}{BEGIN}\n\n{tables_markdown()}\n\n{END}{after}"


def _about(model: type) -> str:
    return " ".join(inspect.cleandoc(model.__doc__ or "").split())


def _indexes(made: Table) -> list[Index]:
    return sorted(made.indexes, key=lambda one: str(one.name))


def main() -> None:
    """Writes both texts into the checkout that this package stands in."""
    results = data_dir("results")
    (results / "schema.sql").write_text(schema_sql(), encoding="utf-8")
    document = results.parent / "docs" / "database.md"
    document.write_text(with_tables(document.read_text(encoding="utf-8")), encoding="utf-8")


if __name__ == "__main__":
    main()
