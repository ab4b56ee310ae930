"""The table as GitHub-flavoured Markdown."""

from __future__ import annotations

import re

from harness.table.view import View


def escape(text: str) -> str:
    """Text that Markdown shows as it is, inside a table cell or a list: no entity and no formula either."""
    flat = " ".join(text.split())
    return re.sub(r"([\\`*_{}\[\]<>#|~&$])", r"\\\1", flat)


def render_markdown(view: View) -> str:
    """Heading, table, and a list for every section."""
    lines = [f"### {escape(view.title)}", ""]
    lines.append("| " + " | ".join(escape(column.title) for column in view.columns) + " |")
    lines.append("|" + "|".join("---:" if column.figures else "---" for column in view.columns) + "|")
    lines += ["| " + " | ".join(escape(text) for text in row) + " |" for row in view.body]
    for section in view.sections:
        lines += ["", f"**{escape(section.title)}**", ""]
        lines += [f"- {escape(line)}" for line in section.lines]
    return "\n".join(lines) + "\n"
