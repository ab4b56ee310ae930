"""Commands as a user types them: wall time and peak memory of whole processes, on a large database and on a small one.

Owns this measurement. Contract: the peak is the process's own high-water mark, read at its end; a command is bounded
where the large database adds no more than some megabytes to what it takes on the small one.
"""

from __future__ import annotations

import json
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

from harness.store import Store
from scale_tools.figure import Figure

#: Bytes that a command may take more than on a small database: SQLite's cache and the rows that it shows.
_MORE_BYTES = 128e6
_PROGRAM = """
import json, sys, time
began = time.perf_counter()
from harness.cli import main
from harness.worker.memory import MemoryReader
try:
    main(sys.argv[2:])
    status = 0
except SystemExit as error:
    status = error.code or 0
sys.stdout.flush()
peak = MemoryReader().read("end").peak_rss_bytes
with open(sys.argv[1], "w") as file:
    json.dump({"status": status, "seconds": time.perf_counter() - began, "peak_rss_bytes": peak}, file)
"""


def _words(path: Path, copy: Path) -> dict[str, list[str]]:
    """Every command that reads a database, by what it is called in the table."""
    with Store.open(path, read_only=True) as store:
        newest = store.newest_session("nightly")
        assert newest is not None
        facts = store.session_facts(newest)
        cell = next(one for one in facts.cells if one.reason is None and one.artifact is not None)
        run = cell.timed()[0]
    assert cell.artifact is not None
    return {
        "db info": ["db", "info"],
        "db sessions": ["db", "sessions"],
        "db check": ["db", "check"],
        "db backup": ["db", "backup", str(copy)],
        "table": ["table", "--session", newest],
        "table --format json": ["table", "--session", newest, "--format", "json"],
        "show (newest session)": ["show", "--json"],
        "show CELL": ["show", cell.cell.id, "--json"],
        "show RUN": ["show", run.id, "--json"],
        "show ARTIFACT": ["show", cell.artifact.id, "--json"],
        "show MACHINE": ["show", facts.machine.id, "--json"],
        "show ENVIRONMENT": ["show", str(run.environment_id), "--json"],
    }


def _run(words: list[str], path: Path, folder: Path) -> tuple[float, float]:
    """Seconds and peak bytes of a command."""
    answer = folder / "answer.json"
    (folder / "copy.db").unlink(missing_ok=True)
    done = subprocess.run(
        [sys.executable, "-c", _PROGRAM, str(answer), *words, "--db", str(path)],
        stdout=subprocess.DEVNULL,
        check=True,
    )
    del done
    found = json.loads(answer.read_text(encoding="utf-8"))
    if found["status"]:
        raise RuntimeError(f"edgebench {' '.join(words)} ended with status {found['status']}")
    return found["seconds"], float(found["peak_rss_bytes"] or 0)


def commands(large: Path, small: Path, folder: Path, rounds: int) -> list[Figure]:
    """Seconds of every command, and the peak on the large database; ``plain`` is the peak on the small one."""
    figures = []
    with tempfile.TemporaryDirectory(dir=folder) as name:
        scratch = Path(name)
        on_large, on_small = _words(large, scratch / "copy.db"), _words(small, scratch / "copy.db")
        for what, words in on_large.items():
            slow = what in ("db check", "db backup")
            seconds, peaks = zip(
                *(_run(words, large, scratch) for _ in range(1 if slow else rounds)), strict=True
            )
            _, least = _run(on_small[what], small, scratch)
            figures.append(Figure(f"`{what}`", "s", statistics.median(seconds)))
            figures.append(
                Figure(
                    f"`{what}`, peak memory beyond a small database's",
                    "MB",
                    (max(peaks) - least) / 1e6,
                    None,
                    _MORE_BYTES / 1e6,
                    note=f"{max(peaks) / 1e6:.0f} MB of {least / 1e6:.0f} MB",
                )
            )
    return figures
