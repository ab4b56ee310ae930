"""From a gate's document to the pages of a published site that hold its samples.

Owns the address that a user gives, and which page each verdict leads to. Imports the store and the site's own rule of
names, so that a link is right by construction. Contract: every link is the address and a path of ASCII letters, digits,
dots, dashes and underscores, whatever cells and sessions are called; it leads to a page that `edgebench report --gate`
of the same document writes, and to an anchor of that page.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any
from urllib.parse import urlsplit

from harness.errors import UsageError
from harness.gate.against import LOOK_BACK
from harness.gate.metrics import DEFAULTS
from harness.gate.stored import Baseline, StoredRuns
from harness.site.places import RUNS, cell_page, figure_place, session_page
from harness.store import Store
from harness.table.metrics import METRICS

#: Of an address: what no format takes for markup and no shell for a command. Everything else can be percent-encoded.
_ADDRESS = re.compile(r"https?://[A-Za-z0-9.-]+(:[0-9]{1,5})?(/[A-Za-z0-9._~%+,=:-]*)*", re.IGNORECASE)

#: Characters of an address; every line of a comment has it twice.
_LONGEST = 400


def site_address(text: str) -> str:
    """The address of a site's folder, checked, without a slash at its end.

    Raises:
        UsageError: it is none, or holds what has no place in a link that others read.
    """
    if len(text) > _LONGEST or _ADDRESS.fullmatch(text) is None:
        raise UsageError(
            f"--site-url {text[:_LONGEST]!r}: not an address of http or https in {_LONGEST} plain letters",
            next_step="write the folder's address, such as https://lab.example.org/gates/42: no name and password, "
            "no ? and no #, everything but letters, digits and . _ ~ + , = : - percent-encoded",
        )
    if urlsplit(text).path.lower().endswith((".html", ".htm")):
        raise UsageError(
            f"--site-url {text}: that is a page",
            next_step="write the address of the folder that it is in: " + text.rpartition("/")[0],
        )
    return text.rstrip("/")


def with_links(document: Mapping[str, Any], store: Store, address: str) -> dict[str, Any]:
    """The document with links to a site's pages.

    Each side has its session's page as ``url``, None where it is no single one; each verdict has ``samples``: side ->
    pages of its cell, of the second look first, and of a condition on stored sessions those of the `LOOK_BACK` newest.
    ``site`` has the address and the ids of the sessions that have to be on the site.

    Args:
        document: of any kind of gate.
        store: where its sessions are.
        address: from `site_address`.
    """
    pages = _Pages(store, address)
    sides = document["sides"]
    stored = _Stored(document, store)
    verdicts = []
    for row in document["verdicts"]:
        samples = {}
        for name, side in sides.items():
            cell_id = row.get(f"{name}_cell", row.get("cell_id"))
            sessions = [side["session"]] if side["session"] else stored.sessions(cell_id)
            again = _again(side, row, document["kind"])
            if again is not None and pages.has(again, cell_id):
                sessions = [again, *sessions]  # what the verdict rests on comes first
            samples[name] = [pages.of(session, cell_id, row["metric"]) for session in sessions]
        verdicts.append({**row, "samples": samples})
    return {
        **document,
        "site": {"url": address, "sessions": sorted(pages.sessions, reverse=True)},
        "sides": {
            name: {**side, "url": pages.of_session(side["session"]) if side["session"] else None}
            for name, side in sides.items()
        },
        "verdicts": verdicts,
    }


def sessions_of(document: Any) -> tuple[list[str], list[str]]:
    """The sessions that a gate measured or named, and those that it compared with besides, newest first.

    Args:
        document: what somebody says is one, read from JSON.

    Raises:
        ValueError: it is none.
    """
    try:
        named = [
            side.get(name)
            for side in document["sides"].values()
            for name in ("session", "again")
            if side.get(name) is not None
        ]
        others = document["site"]["sessions"] if "site" in document else []
    except (AttributeError, KeyError, TypeError) as error:
        raise ValueError("it has no sides with their sessions") from error
    if not named or not all(isinstance(one, str) and one for one in [*named, *others]):
        raise ValueError("its sessions are no ids")
    about = sorted(set(named), reverse=True)
    return about, [one for one in others if one not in about]


class _Pages:
    """Addresses of pages; remembers which sessions they are of."""

    def __init__(self, store: Store, address: str) -> None:
        self._store = store
        self._address = address
        self._cells: dict[str, dict[str, str | None]] = {}

    @property
    def sessions(self) -> list[str]:
        return [*self._cells]

    def of_session(self, session_id: str) -> str:
        self._pages(session_id)
        return f"{self._address}/{session_page(session_id)}"

    def has(self, session_id: str, cell_id: str | None) -> bool:
        """Whether a session has a page of a cell."""
        return self._pages(session_id).get(cell_id or "") is not None

    def of(self, session_id: str, cell_id: str | None, metric: str) -> str:
        """The samples of a cell's metric; the session's page where it has none of the cell."""
        page = None if cell_id is None else self._pages(session_id).get(cell_id)
        return self.of_session(session_id) if page is None else f"{self._address}/{_place(page, metric)}"

    def _pages(self, session_id: str) -> dict[str, str | None]:
        if session_id not in self._cells:
            cells = self._store.session_facts(session_id).cells
            self._cells[session_id] = {one.cell.id: cell_page(session_id, one) for one in cells}
        return self._cells[session_id]


class _Stored:
    """The sessions behind a base that is a condition on stored ones."""

    def __init__(self, document: Mapping[str, Any], store: Store) -> None:
        base = document["sides"].get("base")
        head = document["sides"]["head"]
        self._heads = [head["session"], head.get("again")]
        self._runs: StoredRuns | None = None
        self._found: dict[str, list[str]] = {}
        if base is not None and base["session"] is None:
            condition = Baseline.condition(base["words"][0])
            assert condition is not None, "a side without a session is a condition"
            machine = store.session_facts(head["session"]).machine.id
            self._runs = StoredRuns(store, machine, condition, DEFAULTS)

    def sessions(self, cell_id: str) -> list[str]:
        """The newest of those that a cell was compared with, newest first; its score is of one of them."""
        if self._runs is None:
            return []
        if cell_id not in self._found:
            points = self._runs.points(cell_id, self._heads)
            self._found[cell_id] = list(dict.fromkeys(one.session_id for one in reversed(points)))[:LOOK_BACK]
        return self._found[cell_id]


def _again(side: Mapping[str, Any], row: Mapping[str, Any], kind: str) -> str | None:
    """The session of the second look that a verdict rests on; None: of processes there are fresh pairs instead."""
    metric = DEFAULTS.get(row["metric"])
    paired = kind == "change" and metric is not None and metric.unit == "process"
    return None if paired else side.get("again")


def _place(page: str, metric: str) -> str:
    """Where in a cell's page a judged figure stands."""
    if metric == "artifact":
        return page  # what is said of an artifact stands on all of it
    return figure_place(page, RUNS if metric == "cell" else _column(metric))


def _column(metric: str) -> str:
    """The table's figure that a judged one is made of; of a task there is one for all."""
    name, _, about = metric.partition(" ")
    if name == "accuracy_ratio":
        return "same_top" if about == "same top-1" else "tasks"
    if name == "memory_ratio":
        return "memory_reduction"
    name = name.removesuffix("_cv")
    return name if not about and name in METRICS else "tasks"
