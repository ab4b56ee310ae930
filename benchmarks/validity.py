"""Are disturbed runs marked, and quiet ones not?

Usage: ``python benchmarks/validity.py [--part both] [-k "llamacpp and int8"] [--runs 20] [--hog cpu] [--json]``

Real runs of real cells, through the command line, into a database of their own: one session on the machine as it is
(``quiet``), one with a hog beside it for as long as it lasts (``disturbed``). A hog is a process that computes without
end (``cpu``) or copies 64 MiB without end (``memory``). Of the timed runs of each session the share is printed that
is marked as suspect, every kind of flag with the number of runs that have it, and the median of decode tokens per
second, which shows whether the hog disturbed anything at all.

At least 95 % of the disturbed runs must be marked, and at most 5 % of the quiet ones: status 1 otherwise. The quiet
part needs a machine that is quiet: no other program, and no neighbours behind a hypervisor. ``--part disturbed`` does
not. A session before them, not counted, makes what is missing.
"""

from __future__ import annotations

import argparse
import json
import re
import sqlite3
import statistics
import subprocess
import sys
import tempfile
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path

HOGS = {
    "cpu": "while True: pass",
    "memory": "import itertools\na = bytearray(64 << 20)\nfor _ in itertools.repeat(0): bytes(a)",
}
MARKED_AT_LEAST = 0.95
QUIET_AT_MOST = 0.05


@dataclass(frozen=True)
class Run:
    """One timed run, as it was stored."""

    suspect: bool
    flags: tuple[str, ...]
    decode_tps: float | None


@dataclass(frozen=True)
class Part:
    """What became of one session's runs."""

    name: str
    runs: int
    marked: int
    flags: dict[str, int]
    decode_tps: float | None

    @property
    def share(self) -> float:
        """Of the runs that are marked."""
        return self.marked / self.runs

    @property
    def passed(self) -> bool:
        """Whether that is what it should be."""
        return self.share >= MARKED_AT_LEAST if self.name == "disturbed" else self.share <= QUIET_AT_MOST


def kind_of(flag: str) -> str:
    """A flag without its figures: ``foreign CPU load``."""
    return re.split(r" [+-]?\d|:", flag, maxsplit=1)[0]


def judge(name: str, runs: Sequence[Run]) -> Part:
    """Counts; raises ValueError where there is no run to judge."""
    if not runs:
        raise ValueError(f"the {name} session has no timed run that ended as ok")
    kinds = Counter(kind for run in runs for kind in {kind_of(flag) for flag in run.flags})
    speeds = [run.decode_tps for run in runs if run.decode_tps is not None]
    return Part(
        name,
        len(runs),
        sum(run.suspect for run in runs),
        dict(kinds.most_common()),
        statistics.median(speeds) if speeds else None,
    )


@contextmanager
def hog(kind: str | None) -> Iterator[None]:
    """A hog beside whatever happens here."""
    if kind is None:
        yield
        return
    with subprocess.Popen([sys.executable, "-c", HOGS[kind]]) as process:
        try:
            yield
        finally:
            process.kill()


def measure(database: Path, suite: str, expression: str, runs: int) -> list[Run]:
    """One session; its timed runs."""
    words = [sys.executable, "-m", "harness", "run", suite, "-k", expression, "--runs", str(runs), "-q"]
    subprocess.run([*words, "--db", str(database)], check=True, stdout=subprocess.DEVNULL)
    with sqlite3.connect(database) as connection:
        rows = connection.execute(
            "SELECT key, validity, flags FROM run WHERE kind = 'timed' AND status = 'ok' AND session_id ="
            " (SELECT id FROM session ORDER BY started_at DESC LIMIT 1)"
        ).fetchall()
        speeds = dict(
            connection.execute(
                "SELECT sample.run_key, avg(sample.value) FROM sample JOIN metric ON metric.key = metric_key"
                " WHERE metric.name = 'decode_s' AND NOT warmup GROUP BY sample.run_key"
            ).fetchall()
        )
        tokens = connection.execute("SELECT max(decode_tokens) FROM cell").fetchone()[0]
    return [
        Run(validity == "suspect", tuple(json.loads(flags)), tokens / speeds[key] if key in speeds else None)
        for key, validity, flags in rows
    ]


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--part", choices=["quiet", "disturbed", "both"], default="both")
    parser.add_argument("--suite", default="quickstart")
    parser.add_argument("-k", dest="expression", default="llamacpp and int8")
    parser.add_argument("--runs", type=int, default=20)
    parser.add_argument("--hog", choices=sorted(HOGS), default="cpu")
    parser.add_argument("--json", action="store_true")
    arguments = parser.parse_args()
    names = ["quiet", "disturbed"] if arguments.part == "both" else [arguments.part]
    with tempfile.TemporaryDirectory() as folder:
        database = Path(folder) / "validity.db"
        measure(database, arguments.suite, arguments.expression, 1)
        parts = []
        for name in names:
            with hog(arguments.hog if name == "disturbed" else None):
                found = measure(database, arguments.suite, arguments.expression, arguments.runs)
            parts.append(judge(name, found))
    if arguments.json:
        print(
            json.dumps(
                [{**asdict(part), "share": part.share, "passed": part.passed} for part in parts], indent=2
            )
        )
    else:
        for part in parts:
            print(_text(part))
    return 0 if all(part.passed for part in parts) else 1


def _text(part: Part) -> str:
    speed = "" if part.decode_tps is None else f", decode {part.decode_tps:.4g} t/s"
    limit = f"at least {MARKED_AT_LEAST:.0%}" if part.name == "disturbed" else f"at most {QUIET_AT_MOST:.0%}"
    lines = [f"{part.name}: {part.marked} of {part.runs} runs marked ({part.share:.0%}; {limit}){speed}"]
    return "\n".join([*lines, *(f"  {count:4} {kind}" for kind, count in part.flags.items())])


if __name__ == "__main__":
    sys.exit(main())
