"""How long does the published site take, how much memory, and how large is its largest page?

    python benchmarks/site_scale.py [--db lab.db] [--runs 1000000] [--folder FOLDER] [--json]

Without --db the database is made first (`make_database.py`: 2.5 GB and some minutes for a million runs) and removed at
the end. The site is written by the command itself, in a process of its own, whose peak memory is its own high-water
mark.

| what | target |
|---|---|
| seconds of the command, from its start to its end | 60 |
| peak memory of the process | 1 GB |
| largest page before compression | 1.5 MB |

Exit status: 0 all targets are met, 3 one is missed, 1 the command failed.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
#: Seconds, bytes, bytes.
TARGETS = {"seconds": 60.0, "peak_bytes": 1e9, "largest_bytes": 1.5e6}
#: The command, and then what it took: the peak is the process's own, and not that of whoever started it.
_PROGRAM = """
import json, sys, time
began = time.perf_counter()
from harness.cli import main
from harness.worker.memory import MemoryReader
try:
    status = main(sys.argv[1:]) or 0
except SystemExit as error:
    status = error.code or 0
peak = MemoryReader().read("end").peak_rss_bytes
sys.stderr.write(json.dumps({"status": status, "seconds": time.perf_counter() - began, "peak_bytes": peak}))
"""


def measured(db: str, out: Path) -> dict[str, Any]:
    """One site: seconds, peak memory, and what the command told of it."""
    done = subprocess.run(
        [sys.executable, "-c", _PROGRAM, "report", "--db", db, "--out", str(out), "--json"],
        cwd=ROOT,
        capture_output=True,
        encoding="utf-8",
        check=True,
    )
    took = json.loads(done.stderr.splitlines()[-1])
    if took.pop("status"):
        raise RuntimeError(f"edgebench report failed: {done.stderr}")
    told = json.loads(done.stdout)
    largest = {"largest_bytes": told["largest"]["bytes"], "largest_page": told["largest"]["page"]}
    return {**took, **largest, "pages": told["pages"], "bytes": told["bytes"]}


def main() -> int:
    parser = argparse.ArgumentParser(description="Seconds, memory and page size of the published site.")
    parser.add_argument("--db", help="a database that is there; default: one is made")
    parser.add_argument("--runs", type=int, default=1_000_000, help="of the database that is made")
    parser.add_argument("--folder", type=Path, help="for database and site; default: a temporary one")
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(dir=options.folder) as home:
        db = options.db
        if db is None:
            db = str(Path(home) / "lab.db")
            maker = ROOT / "benchmarks" / "make_database.py"
            subprocess.run([sys.executable, maker, "--out", db, "--runs", str(options.runs)], check=True)
        found = measured(db, Path(home) / "site")
    missed = [name for name, limit in TARGETS.items() if found[name] > limit]
    if options.json:
        print(json.dumps({**found, "missed": missed}, indent=1))
    else:
        print(f"seconds       {found['seconds']:.1f} (target {TARGETS['seconds']:.0f})")
        print(f"peak memory   {found['peak_bytes'] / 1e6:.0f} MB (target {TARGETS['peak_bytes'] / 1e6:.0f})")
        print(f"largest page  {found['largest_bytes'] / 1e6:.2f} MB: {found['largest_page']} (target 1.5)")
        print(f"all           {found['pages']:,} pages, {found['bytes'] / 1e6:.0f} MB")
    return 3 if missed else 0


if __name__ == "__main__":
    raise SystemExit(main())
