"""The schema in words: `results/schema.sql`, and diagram, views and tables in `docs/database.md`, made from the models.

Owns these texts. ``python -m harness.store.reference`` in a checkout writes them; tests hold them up to date.
"""

from __future__ import annotations

import inspect
import textwrap

from sqlalchemy import Column, ForeignKey, Index, Table
from sqlalchemy.dialects import sqlite
from sqlalchemy.schema import CreateIndex, CreateTable

from harness.paths import data_dir
from harness.store import schema
from harness.store.tables import models, table
from harness.store.views import VIEWS

BEGIN = "<!-- {part}: made from harness/store/{source} by `python -m harness.store.reference` -->"
END = "<!-- end of {part} -->"


def schema_sql() -> str:
    """The newest schema as SQLite's statements, each table and view under its description."""
    head = (
        f"-- The results database, schema {schema.newest()}. Made from harness/store/tables.py and views/ by\n"
        "-- `python -m harness.store.reference`; edgebench itself makes and upgrades databases.\n"
    )
    parts = [head]
    dialect = sqlite.dialect()
    for name, model in models().items():
        made = table(name)
        lines = [
            line.rstrip() for line in str(CreateTable(made).compile(dialect=dialect)).strip().splitlines()
        ]
        statements = ["\n".join(lines)]
        statements += [str(CreateIndex(one).compile(dialect=dialect)) for one in _indexes(made)]
        parts.append(f"{_comment(about(model))}\n" + "\n".join(f"{one};" for one in statements) + "\n")
    parts += [f"{_comment(view.what)}\n{view.statement()};\n" for view in VIEWS]
    return "\n".join(parts)


def tables_markdown() -> str:
    """A section per table: what it is, and a row per column with type, whether it may be NULL, and meaning."""
    parts = []
    for name, model in models().items():
        made = table(name)
        lines = [f"### {name}", "", about(model), "", "| column | type | NULL | what |", "|---|---|---|---|"]
        for column in made.columns:
            what = model.model_fields[column.name].description or ""
            for reference in sorted(one.target_fullname for one in column.foreign_keys):
                what += f" (→ `{reference}`)"
            mark = " **key**" if column.primary_key else ""
            shown = _type(column)
            lines.append(f"| `{column.name}`{mark} | {shown} | {'yes' if column.nullable else ''} | {what} |")
        parts.append("\n".join(lines))
    return "\n\n".join(parts)


def views_markdown() -> str:
    """A section per view: what it is, and a row per column with its meaning."""
    parts = []
    for view in VIEWS:
        lines = [f"### {view.name}", "", view.what, "", "| column | what |", "|---|---|"]
        lines += [f"| `{column.name}` | {column.what} |" for column in view.columns]
        parts.append("\n".join(lines))
    return "\n\n".join(parts)


def diagram() -> str:
    """The tables with their keys and how they refer to one another, as a Mermaid entity diagram."""
    lines = ["```mermaid", "erDiagram"]
    for name in models():
        keys = [one for one in table(name).columns if one.primary_key or one.foreign_keys]
        lines.append(f"    {name} {{")
        lines += [f"        {_type(one)} {one.name} {_marks(one)}" for one in keys]
        lines.append("    }")
    for name in models():
        references = [one for column in table(name).columns for one in column.foreign_keys]
        lines += sorted(_arrow(name, one) for one in references)
    return "\n".join([*lines, "```"])


def _marks(column: Column[object]) -> str:
    marks = ["PK"] if column.primary_key else []
    return ", ".join(marks + (["FK"] if column.foreign_keys else []))


def _arrow(name: str, reference: ForeignKey) -> str:
    """``machine ||--o{ session : machine_id``: who is referred to, how many on each side, by which column."""
    column, target = reference.parent, reference.column.table.name
    one = "|o" if column.nullable else "||"
    alone = column.primary_key and len(table(name).primary_key.columns) == 1
    return f"    {target} {one}--{'o|' if alone else 'o{'} {name} : {column.name}"


def with_tables(text: str) -> str:
    """A document with the parts between their marks made anew.

    Raises:
        ValueError: the marks are missing.
    """
    for part, source, made in (
        ("diagram", "tables.py", diagram()),
        ("views", "views/", views_markdown()),
        ("tables", "tables.py", tables_markdown()),
    ):
        begin, end = BEGIN.format(part=part, source=source), END.format(part=part)
        before, _, rest = text.partition(begin)
        _, found, after = rest.partition(end)
        if not found:
            raise ValueError(f"the document lacks {begin!r} or {end!r}")
        text = f"{before}{begin}\n\n{made}\n\n{end}{after}"
    return text


def about(model: type) -> str:
    """A table's description: its model's docstring, on one line."""
    return " ".join(inspect.cleandoc(model.__doc__ or "").split())


def _comment(words: str) -> str:
    return textwrap.fill(words, 110, initial_indent="-- ", subsequent_indent="-- ")


def _type(column: Column[object]) -> str:
    return str(column.type.compile(dialect=sqlite.dialect())).lower()


def _indexes(made: Table) -> list[Index]:
    return sorted(made.indexes, key=lambda one: str(one.name))


def main() -> None:
    """Writes the texts into the checkout that this package stands in."""
    results = data_dir("results")
    (results / "schema.sql").write_text(schema_sql(), encoding="utf-8")
    document = results.parent / "docs" / "database.md"
    document.write_text(with_tables(document.read_text(encoding="utf-8")), encoding="utf-8")


if __name__ == "__main__":
    main()
