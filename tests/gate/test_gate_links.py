"""The address of a published site, and what a gate's outputs look like with links into it: golden files.

To write the golden files anew after a wanted change: ``EDGEBENCH_WRITE_GOLDEN=1 pytest tests/gate``; then read the
diff.
"""

from __future__ import annotations

import json
import os
import re
from pathlib import Path
from typing import Any
from xml.etree import ElementTree as ET

import pytest
from fake_lab import Lab

from harness.errors import UsageError
from harness.gate.alone import alone
from harness.gate.links import sessions_of, site_address
from harness.gate.render import FORMATS, markdown

GOLDEN = Path(__file__).with_name("golden")
FILE = {
    "table": "linked.txt", "markdown": "linked.md", "github": "annotations.txt", "gitlab": "quality.json",
    "junit": "linked.xml", "json": "linked.json",
}  # fmt: skip
ADDRESS = "https://lab.example.org/gates/42"
#: Markup of every format, a link, a mention, an escape sequence and a turn of the direction of reading.
HOSTILE = '](javascript:a) [b](http://x) </td><script>c</script> | `d` @e "f" \x1b[31m\u202e ::error::%0A ]]>'


def page(session: str, at: int = 0, anchor: str = "#decode_tps") -> str:
    return f"{ADDRESS}/sessions/{session}/c{at}.html{anchor}"


def row(verdict: str, at: int = 0, **changes: Any) -> dict[str, Any]:
    return {
        "cell": f"llamacpp smollm2-135m-instruct Q4_K_M cpu/cpu pp512+tg{at}", "metric": "decode_tps",
        "title": "Decode tok/s", "verdict": verdict, "ratio": 0.9, "low": 0.88, "high": 0.92, "pairs": 18, "fresh": 8,
        "detectable": 0.03, "p_value": 0.001, "reason": "beyond the margin of 3.0 %",
        "samples": {"base": [page("20261127T0830-aaaaaa", at)], "head": [page("20261127T0830-bbbbbb", at)]}, **changes,
    }  # fmt: skip


def document(rows: list[dict[str, Any]]) -> dict[str, Any]:
    sessions = {"base": "20261127T0830-aaaaaa", "head": "20261127T0830-bbbbbb"}
    return {
        "kind": "change", "verdict": "fail", "exit_status": 1, "summary": "fail: 1 regression", "suite": "bench",
        "suite_file": "bench.yaml", "machine": "here", "gate": "a1b2c3",
        "sides": {
            name: {"words": [], "text": f"{name} of it", "session": session,
                   "url": f"{ADDRESS}/sessions/{session}/index.html"}
            for name, session in sessions.items()
        },
        "site": {"url": ADDRESS, "sessions": [*sessions.values()]},
        "allow_missing": False, "verdicts": rows, "cells": [], "lonely": [], "advice": [],
    }  # fmt: skip


SHOWN = document(
    [
        row("regression"),
        row("inconclusive", 1, reason="the noise hides it"),
        row("pass", 2, cell=HOSTILE, reason=HOSTILE),
    ]
)  # fmt: skip


@pytest.mark.parametrize("name", sorted(FORMATS))
def test_every_format_shows_the_links_as_its_golden_file_does(name: str) -> None:
    text = FORMATS[name](SHOWN)
    file = GOLDEN / FILE[name]
    if os.environ.get("EDGEBENCH_WRITE_GOLDEN"):
        file.write_text(text, encoding="utf-8")
    assert text == file.read_text(encoding="utf-8")


@pytest.mark.parametrize("name", sorted(FORMATS))
def test_without_a_site_no_format_has_a_link(name: str) -> None:
    plain = {key: value for key, value in SHOWN.items() if key != "site"}
    plain["verdicts"] = [
        {key: one for key, one in each.items() if key != "samples"} for each in SHOWN["verdicts"]
    ]
    plain["sides"] = {
        side: {key: one for key, one in each.items() if key != "url"} for side, each in SHOWN["sides"].items()
    }
    text = FORMATS[name](plain)
    assert "lab.example.org" not in text
    assert "samples" not in text
    assert "edgebench show 20261127T0830-aaaaaa" in text or name not in ("table", "markdown")


def test_a_stored_baselines_sessions_are_numbered() -> None:
    nights = [page(f"2026112{at}T0100-aaaaaa") for at in (7, 6, 5)]
    made = alone(
        "baseline",
        [
            row(
                "regression",
                sessions=9,
                runs=3,
                paired_detectable=0.05,
                samples={"base": nights, "head": [page("x")]},
            )
        ],
        suite="s",
        machine="m",
        sides={"base": {"words": [], "text": "stored, ==1.0", "session": None, "url": None}},
        site={"url": ADDRESS, "sessions": []},
    )
    text = markdown(made)
    assert (
        f"| [base 1]({nights[0]}) [base 2]({nights[1]}) [base 3]({nights[2]}) [head]({page('x')}) |" in text
    )
    assert "- base: stored, ==1.0\n" in text
    cases = ET.fromstring(FORMATS["junit"](made)).iter("property")
    assert [one.get("name") for one in cases] == [
        f"samples of {name}" for name in ("base 1", "base 2", "base 3", "head")
    ]


@pytest.mark.parametrize(("changed", "same"), [(3, 100), (3, 2000), (2000, 5)])
def test_a_linked_comment_is_never_longer_than_github_takes_and_what_changed_keeps_its_links(
    changed: int, same: int
) -> None:
    rows = [row("regression", at) for at in range(changed)] + [row("pass", at) for at in range(same)]
    text = markdown(document(rows))
    assert len(text) <= 65_536
    above, _, folded = text.partition("<details>")
    told = above.count("| ✗ regression |")
    assert above.count("[head](") == told == min(changed, told) > 0
    assert folded.count("[samples](") == 2, "of the sessions, below the table"
    if same == 100:
        assert folded.count("[head](") == 100
    if same == 2000:
        assert "[head](" not in folded
        assert folded.count("| ✓ pass |") > 200, "no row gives way to links"


@pytest.mark.parametrize(
    ("text", "address"),
    [
        ("https://lab.example.org/gates/42/", ADDRESS),
        ("http://localhost:8000", "http://localhost:8000"),
        ("https://group.gitlab.io/-/sub/project/-/jobs/7/artifacts/site", None),
        ("HTTPS://x.example/~me/a%20b/", "HTTPS://x.example/~me/a%20b"),
    ],
)
def test_an_address_is_taken_without_its_last_slash(text: str, address: str | None) -> None:
    assert site_address(text) == (address or text)


@pytest.mark.parametrize(
    "text",
    [
        "", "lab.example.org", "ftp://x.example", "javascript:alert(1)", "file:///srv/site", "https://", "https:///x",
        "https://x.example/a b", "https://x.example/a\n", "https://x.example/a)b", 'https://x.example/"', "https://x/'",
        "https://x.example/<b>", "https://x.example/|", "https://x.example/`a`", "https://x.example/&lt;",
        "https://x.example/?a=b", "https://x.example/#a", "https://x.example/ä", "https://x.example\\a",
        "https://x.example:port/", "https://x.example/[a]", "https://x.example/" + 400 * "a",
    ],
)  # fmt: skip
def test_what_is_no_plain_address_is_refused(text: str) -> None:
    with pytest.raises(UsageError, match="not an address") as raised:
        site_address(text)
    assert "such as https://" in raised.value.next_step


def test_a_page_is_no_folder() -> None:
    with pytest.raises(UsageError, match="that is a page") as raised:
        site_address(f"{ADDRESS}/index.html")
    assert raised.value.next_step.endswith(ADDRESS)


@pytest.mark.parametrize("by_variable", [False, True])
def test_a_wrong_address_is_told_before_anything_is_measured_and_without_its_password(
    lab: Lab, monkeypatch: pytest.MonkeyPatch, by_variable: bool
) -> None:
    wrong = "https://me:hunter2@lab.example.org/"
    words: tuple[str, ...] = ("--site-url", wrong)
    if by_variable:
        monkeypatch.setenv("EDGEBENCH_SITE_URL", wrong)
        words = ()
    result = lab.run("gate", "fake.yaml", "--same", *words)
    assert result.status == 2
    assert "--site-url" in result.one_message()
    assert "hunter2" not in result.err
    assert not lab.database.exists()


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("no JSON", "is no gate"),
        (50_000 * "[", "is no gate"),
        ("[]", "no sides"),
        ('{"sides": {"head": {"session": null}}}', "no ids"),
        ('{"sides": {"head": {"session": 7}}}', "no ids"),
        ('{"sides": {"head": {"session": "2"}}, "site": []}', "no sides"),
        ('{"sides": {"head": {"session": "20991231T2359-000000"}}}', "begins with"),
        (None, "cannot be read"),
    ],
)
def test_a_report_of_what_is_no_gate_of_this_database_is_refused(
    lab: Lab, text: str | None, told: str
) -> None:
    lab.database.parent.mkdir()
    assert lab.run("import", str(_some_file(lab))).status == 0
    if text is not None:
        (lab.folder / "gate.json").write_text(text, encoding="utf-8")
    result = lab.run("report", "--gate", "gate.json", "--out", "site")
    assert result.status == 2, result.err
    assert told in result.one_message()
    assert not (lab.folder / "site").exists()


def _some_file(lab: Lab) -> Path:
    file = lab.folder / "bench.json"
    files = Path(__file__).parents[1] / "importing" / "files"
    file.write_bytes(next(files.glob("llama*.json")).read_bytes())
    return file


def test_the_sessions_of_a_gate_are_told_apart_by_what_they_are_to_it() -> None:
    sides = {"base": {"session": None}, "head": {"session": "h"}}
    assert sessions_of({"sides": sides}) == (["h"], [])
    assert sessions_of({"sides": sides, "site": {"sessions": ["h", "b", "a"]}}) == (["h"], ["b", "a"])
    assert sessions_of(json.loads(FORMATS["json"](SHOWN)))[0] == [
        "20261127T0830-bbbbbb",
        "20261127T0830-aaaaaa",
    ]


@pytest.mark.parametrize("name", sorted(FORMATS))
def test_no_format_holds_a_control_character_or_turns_the_direction_of_reading(name: str) -> None:
    assert not set(FORMATS[name](SHOWN)) & {"\x1b", "\u202e"}


def test_a_link_is_plain_whatever_stands_in_the_row() -> None:
    for name in FORMATS:
        found = re.findall(r"https://lab\.example\.org[^\s\"<>|)]*", FORMATS[name](SHOWN))
        assert found
        assert all(re.fullmatch(r"[A-Za-z0-9:/._#-]+", one) for one in found)
