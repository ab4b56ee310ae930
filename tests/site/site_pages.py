"""Reading a written site: what stands in its pages, as a browser takes it."""

from __future__ import annotations

import base64
import hashlib
import re
from dataclasses import dataclass, field
from html.parser import HTMLParser
from pathlib import Path


@dataclass
class Page:
    """One page.

    Attributes:
        policy: its content-security policy.
        inline: texts of styles and scripts that a browser would apply, by tag.
        links: every ``href``.
        anchors: every ``id``.
        attributes: names of all attributes.
        tags: names of all elements.
        figures: links of cells that hold a number; None where a cell leads nowhere.
        text: all text that is shown.
    """

    policy: str = ""
    inline: dict[str, list[str]] = field(default_factory=lambda: {"style": [], "script": []})
    links: list[str] = field(default_factory=list)
    anchors: set[str] = field(default_factory=set)
    attributes: set[str] = field(default_factory=set)
    tags: set[str] = field(default_factory=set)
    text: str = ""


class _Reader(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.page = Page()
        self.open: str | None = None

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        named = {name: value or "" for name, value in attrs}
        self.page.tags.add(tag)
        self.page.attributes |= named.keys()
        if tag == "meta" and named.get("http-equiv") == "Content-Security-Policy":
            self.page.policy = named["content"]
        if "href" in named:
            self.page.links.append(named["href"])
        if "id" in named:
            assert named["id"] not in self.page.anchors, f"two elements have the id {named['id']}"
            self.page.anchors.add(named["id"])
        data = tag == "script" and named.get("type") == "application/json"
        self.open = tag if tag in self.page.inline and not data else None
        if self.open:
            self.page.inline[tag].append("")

    def handle_endtag(self, tag: str) -> None:
        self.open = None

    def handle_data(self, data: str) -> None:
        if self.open:
            self.page.inline[self.open][-1] += data
        else:
            self.page.text += data


def read_site(folder: Path) -> dict[str, Page]:
    """Every page by its path."""
    found = {}
    for path in sorted(folder.rglob("*.html")):
        reader = _Reader()
        reader.feed(path.read_text(encoding="utf-8"))
        reader.close()
        found[path.relative_to(folder).as_posix()] = reader.page
    return found


def hash_of(text: str) -> str:
    """A style or script as a policy names it."""
    return f"'sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}'"


def directive(policy: str, name: str) -> list[str]:
    """The words of one part of a policy."""
    found = re.search(rf"(?:^|; ){name} ([^;]*)", policy)
    return found[1].split() if found else []
