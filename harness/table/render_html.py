"""The table as one HTML page that needs nothing beside it, and lets nothing run or load, whatever stands in it."""

from __future__ import annotations

from pathlib import Path

import jinja2
from markupsafe import Markup

from harness.page_policy import page_policy
from harness.table.view import View


def render_html(view: View) -> str:
    """A whole page, style included, light or dark as the reader's system is."""
    environment = jinja2.Environment(
        autoescape=True, undefined=jinja2.StrictUndefined, keep_trailing_newline=True
    )
    template = Path(__file__).with_name("table.html.j2").read_text(encoding="utf-8")
    style = Path(__file__).with_name("table.css").read_text(encoding="utf-8").strip()
    return environment.from_string(template).render(
        view=view,
        style=Markup(style),  # ours, and hashed
        policy=page_policy([style]),
    )
