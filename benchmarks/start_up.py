"""How long edgebench takes before it is useful: ``--help``, and the start of a second session until its first run.

Usage: ``python benchmarks/start_up.py [--suite quickstart] [-k "llamacpp and int4"] [--repeat 10] [--json]``

``help_s``: wall seconds of ``edgebench --help``, a whole process, median of the repetitions.
``first_run_s``: wall seconds from the start of ``edgebench run SUITE`` to the beginning of its first timed run, when
the environments and artifacts exist and the artifacts were scored before; one earlier session, not counted, sees to
that.
"""

from __future__ import annotations

import argparse
import json
import sqlite3
import statistics
import subprocess
import sys
import tempfile
import time
from datetime import UTC, datetime
from pathlib import Path


def help_s(repeat: int) -> list[float]:
    """Wall seconds of each ``--help``."""
    taken = []
    for _ in range(repeat):
        begin = time.perf_counter()
        subprocess.run([sys.executable, "-m", "harness", "--help"], check=True, stdout=subprocess.DEVNULL)
        taken.append(time.perf_counter() - begin)
    return taken


def first_run_s(suite: str, expression: str, repeat: int) -> list[float]:
    """Wall seconds from the command to the first timed run, of each session after the first."""
    taken = []
    with tempfile.TemporaryDirectory() as folder:
        database = Path(folder) / "start.db"
        words = [sys.executable, "-m", "harness", "run", suite, "-k", expression, "--runs", "1", "-q"]
        for turn in range(repeat + 1):
            begin = datetime.now(UTC)
            subprocess.run([*words, "--db", str(database)], check=True, stdout=subprocess.DEVNULL)
            with sqlite3.connect(database) as connection:
                (started,) = connection.execute(
                    "SELECT min(started_at) FROM run WHERE kind = 'timed' AND session_id ="
                    " (SELECT id FROM session ORDER BY started_at DESC LIMIT 1)"
                ).fetchone()
            if turn:
                moment = datetime.fromisoformat(started)
                moment = moment if moment.tzinfo else moment.replace(tzinfo=UTC)
                taken.append((moment - begin).total_seconds())
    return taken


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--suite", default="quickstart")
    parser.add_argument("-k", dest="expression", default="")
    parser.add_argument(
        "--repeat", type=int, default=10, help="of --help; sessions are repeated a third as often"
    )
    parser.add_argument("--json", action="store_true")
    arguments = parser.parse_args()
    figures = {
        "help_s": help_s(arguments.repeat),
        "first_run_s": first_run_s(arguments.suite, arguments.expression, max(1, arguments.repeat // 3)),
    }
    if arguments.json:
        print(json.dumps(figures, indent=2))
        return
    for name, values in figures.items():
        print(f"{name:<12} median {statistics.median(values):.3f}  max {max(values):.3f}  of {len(values)}")


if __name__ == "__main__":
    main()
