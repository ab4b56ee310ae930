"""The report in the repository: made from the results beside it, by this version; and what the front page shows."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from harness.cli import main
from harness.kept_results import kept_results
from harness.report import session_rows
from harness.table import render

ROOT = Path(__file__).resolve().parents[2]
REPORTS = sorted(path.parent for path in (ROOT / "reports").glob("*/results.zip"))
#: Of the front page's table.
ROWS = "framework,precision,recipe"
COLUMNS = "bits_per_weight,peak_rss_bytes,prefill_tps,decode_tps,speedup_decode,memory_reduction,kld_mean"


def test_there_is_one() -> None:
    assert [path.name for path in REPORTS] == ["linux-x86"]


@pytest.mark.parametrize("report", REPORTS, ids=lambda path: path.name)
def test_it_is_what_the_results_beside_it_give(
    report: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    copy = tmp_path / report.name
    copy.mkdir()
    for name in ("text.md", "results.zip"):
        shutil.copyfile(report / name, copy / name)
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("EDGEBENCH_DB", raising=False)
    with pytest.raises(SystemExit) as ended:
        main(["report", "--publish", report.name])
    assert not ended.value.code
    for name in ("README.md", "headline.md"):
        assert (copy / name).read_text(encoding="utf-8") == (report / name).read_text(encoding="utf-8")
    # A picture's letters are laid out by the system's fonts: its bytes are of one machine.
    assert {path.name for path in copy.iterdir()} == {path.name for path in report.iterdir()}


@pytest.mark.parametrize("report", REPORTS, ids=lambda path: path.name)
def test_the_front_page_has_its_main_table_and_a_plot(report: Path) -> None:
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    with kept_results(report) as (store, sessions):
        rows, about = session_rows(store, sessions[0])
    table = render(rows, [about], "markdown", row_keys=ROWS, columns=COLUMNS)
    lines = [line for line in table.splitlines() if line.startswith("|")]
    assert len(lines) > 10
    assert "\n".join(lines) in readme
    assert f"reports/{report.name}/quality-speed.svg" in readme
