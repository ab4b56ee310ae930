"""The written table of a session."""

from __future__ import annotations

import pytest
from fake_lab import SUITE, Lab

from harness.report import session_rows, write_report
from harness.store import Store

pytestmark = pytest.mark.stocked


def test_a_report_is_written_beside_its_database_and_again_as_the_same_bytes(lab: Lab) -> None:
    lab.suite(SUITE.replace("runs: 2", "runs: 1").replace("[fp16, int4]", "fp16\ndevice: [cpu, npu]"))
    assert lab.run("run", "fake.yaml", "--db", "night/lab.db").status == 0
    database = lab.folder / "night" / "lab.db"
    with Store.open(database, read_only=True) as store:
        session_id = store.newest_session()
        assert session_id is not None
        written = {path.name: path.read_bytes() for path in (database.parent / "reports").iterdir()}
        assert set(written) == {f"{session_id}.md", f"{session_id}.html"}
        report = write_report(store, session_id)
        assert report.path == database.parent / "reports" / f"{session_id}.html"
        assert {path.name: path.read_bytes() for path in report.path.parent.iterdir()} == written
        assert session_rows(store, session_id)[0] == report.rows

    text = written[f"{session_id}.md"].decode()
    assert session_id in text
    assert "no machine has a fake NPU" in text  # a hole comes with its reason
    assert "fake FP32" in text  # and quality with its yardstick
    assert written[f"{session_id}.html"].lstrip().lower().startswith(b"<!doctype html>")
