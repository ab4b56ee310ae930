"""A report for a repository: the same bytes each time, the publisher's words kept, a database's words only shown."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
from site_labs import HOSTILE, fill_hostile, fill_winner

from harness.cli import main
from harness.kept_results import RESULTS, without_places
from harness.publish import HEADLINE, MARK
from harness.store import Store


@pytest.fixture(scope="module")
def database(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("lab") / "lab.db"
    with Store.open(path) as store:
        fill_hostile(store)
        fill_winner(store)
    return path


def publish(database: Path, folder: Path, *words: str) -> int:
    with pytest.raises(SystemExit) as ended:
        main(["report", "--db", str(database), "--publish", str(folder), *words])
    return int(ended.value.code or 0)


def contents(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def test_the_command_makes_a_report_and_makes_it_again(
    database: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = tmp_path / "reports" / "lab"
    folder.mkdir(parents=True)
    text = "Words of a person, *as they are*.\n\n## What surprised\n\n<b>Nothing.</b>\n"
    (folder / "text.md").write_text(text, encoding="utf-8")
    (folder / "energy-7.svg").write_text("an earlier report's", encoding="utf-8")
    (folder / "photo.svg").write_text("mine", encoding="utf-8")
    assert publish(database, folder, "--title", "Night of [the] lab", "--json") == 0
    told = json.loads(capsys.readouterr().out)
    first = contents(folder)
    assert set(told["files"]) == first.keys() - {"text.md", "photo.svg"}
    assert told["text"] is True
    assert "energy-7.svg" not in first
    readme = first["README.md"].decode()
    assert readme.startswith(f"{MARK}\n\n# Night of \\[the\\] lab\n\n{text}")
    pictures = re.findall(r"!\[[^\n]*\]\(([a-z0-9-]+\.svg)\)", readme)
    assert set(pictures) == first.keys() - {"README.md", HEADLINE, "text.md", "photo.svg"}
    assert pictures
    assert all(first[name].startswith(b"<svg") for name in pictures)
    # Of each machine's newest session the machine and its table.
    assert readme.count("\n## ") - 1 == 2
    assert {"itl.svg", "itl-2.svg"} <= set(pictures)
    assert "### What was not measured" in readme
    assert publish(database, folder, "--title", "Night of [the] lab") == 0
    assert contents(folder) == first


def test_what_a_database_says_is_text_in_markdown_and_in_pictures(database: Path, tmp_path: Path) -> None:
    assert publish(database, tmp_path / "r") == 0
    for name, written in contents(tmp_path / "r").items():
        text = written.decode().replace(MARK, "")
        # Markdown lets HTML through: an angle bracket is there behind a backslash alone.
        if name.endswith(".md"):
            assert not re.search(r"(?<!\\)<", text), name
            assert not re.search(r"(?<![\\!])\[[^\n]*?(?<!\\)\]\(", text), name
        else:
            assert "<script" not in text
            assert "<img" not in text
        assert not re.search("[\x00-\x08\x0b-\x1f\u202e]", text), name
    readme = (tmp_path / "r" / "README.md").read_text(encoding="utf-8")
    assert "window.stolen" in readme
    assert HOSTILE[-1] in readme


def test_another_readme_is_not_overwritten_and_what_is_of_the_site_is_refused(
    database: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "README.md").write_text("mine", encoding="utf-8")
    assert publish(database, tmp_path) != 0
    assert contents(tmp_path) == {"README.md": b"mine"}
    assert "was not written by edgebench report --publish" in capsys.readouterr().err
    assert publish(database, tmp_path / "r", "--all-sessions") != 0
    assert not (tmp_path / "r").exists()


def test_without_words_the_command_says_where_they_go(
    database: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert publish(database, tmp_path / "r") == 0
    told = capsys.readouterr()
    assert told.out.strip() == str(tmp_path / "r" / "README.md")
    assert "text.md" in told.err


def test_the_template_has_headings_and_no_figures() -> None:
    text = (Path(__file__).parents[2] / "reports" / "text.template.md").read_text(encoding="utf-8")
    assert "## What surprised" in text
    assert not re.search(r"\d", text)


def test_the_report_is_made_again_from_the_results_beside_it(
    database: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = tmp_path / "r"
    folder.mkdir()
    (folder / "text.md").write_text("# My own title\n\nWords.\n", encoding="utf-8")
    assert publish(database, folder, "--keep-results") == 0
    first = contents(folder)
    assert first["README.md"].decode().startswith(f"{MARK}\n\n# My own title\n\nWords.\n\n## ")
    assert RESULTS in first
    next(folder.glob("*.svg")).unlink()
    (folder / "README.md").write_text(f"{MARK}\n", encoding="utf-8")
    monkeypatch.chdir(tmp_path)  # where there is no database
    monkeypatch.delenv("EDGEBENCH_DB", raising=False)
    capsys.readouterr()
    with pytest.raises(SystemExit) as ended:
        main(["report", "--publish", "r"])
    assert not ended.value.code
    assert f"from {Path('r') / RESULTS}" in capsys.readouterr().err
    assert contents(folder) == first


def test_keeping_results_needs_a_report_to_lie_beside(
    database: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["report", "--db", str(database), "--keep-results"])
    assert ended.value.code == 2
    assert "--publish" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ('["/home/me/lab/bin/edgebench","run"]', '[".../bin/edgebench","run"]'),
        ('File "/home/me/harness/worker/main.py", line 3', 'File ".../worker/main.py", line 3'),
        (r'"C:\\Users\\me\\lab\\full.db"', r'".../lab\\full.db"'),
        ("--db=/home/me/lab/full.db", "--db=.../lab/full.db"),
        ("no zone under /sys/class/powercap", "no zone under /sys/class/powercap"),
        ("see https://example.org/a/b/c/d", "see https://example.org/a/b/c/d"),
        ("12/30/2026 and a/b/c", "12/30/2026 and a/b/c"),
        ("/tmp/x", "/tmp/x"),
    ],
)
def test_what_is_kept_says_no_more_of_the_machine_than_it_must(text: str, told: str) -> None:
    assert without_places(text) == told
