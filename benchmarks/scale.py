"""Does the store keep ten years in one file and stay fast? Its figures beside plain `sqlite3`, against the targets.

    python benchmarks/scale.py [--db lab.db] [--runs 1000000] [--folder FOLDER] [--only import --only history ...]
        [--rounds 5] [--json]

Without --db the database is made first (`make_database.py`: 2.5 GB and some minutes for a million runs) and removed
at the end; its copy for `db backup` lies beside it, so that 6 GB have to be free. One that was made before is taken as
it is, but for one session that storing single runs adds to it. Both sides have the same schema, indexes, checks and
promises (write-ahead log, `synchronous=FULL`) and work in turn, in random order.

| part | what | target |
|---|---|---|
| import | samples a second in bulk: into a new file, in turn with `executemany`; and of the whole | 50,000 |
| history | one cell on one machine over all years | 50 ms |
| table | the comparison table of the newest session, in process | 0.5 s |
| check | all of SQLite's checks of the whole file | 5 minutes |
| space | a sample on disk | 60 bytes |
| commands | wall time of every command that reads, and its peak memory beyond that on a small database | 128 MB more |
| store | one run until it is on disk, beside two processes that read | 10 ms |

Exit status: 0 all targets are met, 3 one is missed, 2 wrong words, 1 anything else.
"""

from __future__ import annotations

import argparse
import json
import platform
import random
import sqlite3
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from harness.errors import EdgebenchError
from harness.store import Store
from lab_years.world import Size
from make_database import add_size_arguments, fill, size_of
from scale_tools import asking, commands, storing
from scale_tools.figure import Figure, table

#: In the order in which they are done: storing adds to the database, so it comes last.
PARTS = ("import", "history", "table", "check", "space", "commands", "store")
_SMALL = Size(runs=2000, years=1.0)
_MISSED = 3


def _made(path: Path, size: Size, traced_nights: int) -> Figure:
    """Makes the database; what its import took."""
    with Store.open(path) as store:
        found = fill(store, size, traced_nights=traced_nights)
        began = time.perf_counter()
    # What is still in the journal is folded into the file when the last connection ends.
    import_s = found["import_s"] + time.perf_counter() - began
    return Figure(
        f"bulk import of {found['stored_runs']:,} runs into one file",
        "samples/s",
        found["stored_samples"] / import_s,
        None,
        50_000,
        higher_is_better=True,
        note=f"{found['stored_samples']:,} samples in {import_s:.0f} s; making the rows took"
        f" {found['making_s']:.0f} s more",
    )


def measure(options: argparse.Namespace, size: Size, folder: Path) -> Iterator[Figure]:
    """The figures of the parts that were asked for."""
    rng = random.Random(options.seed)
    wanted = options.only or PARTS
    if "import" in wanted:
        yield storing.bulk(folder, size, options.rounds, rng)
    path = options.db or folder / "lab.db"
    if options.db is None:
        yield _made(path, size, options.traced_nights)
    if "history" in wanted:
        yield from asking.history(path, options.rounds, rng)
    if "table" in wanted:
        yield asking.newest_table(path, 4 * options.rounds, rng)
    if "check" in wanted:
        yield asking.check(path, compare=not options.quick)
    if "space" in wanted:
        yield from storing.space(folder, path, size)
    if "commands" in wanted:
        with Store.open(folder / "small.db") as store:
            fill(store, _SMALL)
        yield from commands.commands(path, folder / "small.db", folder, options.rounds)
    if "store" in wanted:
        yield storing.one_run(path, 100 * options.rounds, rng)


def main() -> int:
    parser = argparse.ArgumentParser(description="The store's figures at scale, beside plain sqlite3.")
    parser.add_argument("--db", type=Path, help="SQLite file that make_database.py wrote")
    parser.add_argument("--folder", type=Path, help="where to work; default: the system's temporary folder")
    parser.add_argument("--only", action="append", choices=PARTS, help="only this part (several times)")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--quick", action="store_true", help="do not repeat the check with plain sqlite3")
    parser.add_argument("--json", action="store_true", help="print JSON")
    add_size_arguments(parser)
    options = parser.parse_args()
    try:
        size = size_of(options)
    except ValueError as error:
        parser.error(str(error))
    if options.db is not None and not options.db.exists():
        parser.error(f"there is no {options.db}")
    figures = []
    try:
        with tempfile.TemporaryDirectory(prefix="edgebench-scale-", dir=options.folder) as name:
            for figure in measure(options, size, Path(name)):
                figures.append(figure)
                print(table([figure]).partition("\n")[2], file=sys.stderr, flush=True)
    except EdgebenchError as error:
        print(f"{error.what}\n{error.next_step}", file=sys.stderr)
        return error.status
    about = {
        "sqlite": sqlite3.sqlite_version,
        "python": platform.python_version(),
        "system": platform.platform(),
    }
    if options.json:
        print(json.dumps({**about, "figures": [one.as_json() for one in figures]}, indent=1))
    else:
        print(table(figures))
    return _MISSED if any(one.met is False for one in figures) else 0


if __name__ == "__main__":
    raise SystemExit(main())
