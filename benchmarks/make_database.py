"""Write a database as a laboratory has it after years of nights: to measure the store, and to test what reads it.

    python benchmarks/make_database.py --out lab.db --runs 100000 [--samples-per-run 10] [--machines 4] [--years 10] \
        [--seed 0] [--traced-nights 1]

Machines, nightly sessions, frameworks whose versions change, system updates, slow drift, steps, outliers, suspect runs,
failures, time-outs, killed and resumed nights, cells that cannot run, scores with windows, memory, energy, artifacts
with lineage: all of it made up, seeded (the same arguments give the same rows), and written through the same schema as
measured results. Every step that was put into a series stands in FILE.steps.json: the truth for tests of whatever looks
for steps.

The number of runs comes out within one night of what was asked for. Traces and memory timelines, which take some two
kilobytes a run, are kept for the newest nights only unless --traced-nights says more.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from harness.errors import EdgebenchError
from harness.store import Store
from lab_years.nights import Nights
from lab_years.world import Size, labels, make_world


def fill(
    store: Store, size: Size, *, traced_nights: int = 1, progress: Callable[[int, int], None] | None = None
) -> dict[str, Any]:
    """Adds a laboratory's years to a store.

    Args:
        store: open for writing.
        size: how much.
        traced_nights: see `Nights`.
        progress: called with the runs and samples stored so far, after every batch.

    Returns:
        What was put in (`lab_years.world.labels`), with ``stored_runs``, ``stored_samples``, and ``making_s`` and
        ``import_s``: seconds of making the rows and of storing them.
    """
    world = make_world(size)
    nights = Nights(world, traced_nights)
    runs = samples = 0
    spent = {"making_s": 0.0, "import_s": 0.0}
    batches = nights.batches()
    while True:
        began = time.perf_counter()
        batch = next(batches, None)
        made = time.perf_counter()
        spent["making_s"] += made - began
        if batch is None:
            break
        runs += store.import_rows(batch)
        spent["import_s"] += time.perf_counter() - made
        samples += len(batch["sample"]["value"]) if "sample" in batch else 0
        if progress is not None:
            progress(runs, samples)
    return {**labels(world, nights.sessions), "stored_runs": runs, "stored_samples": samples, **spent}


def add_size_arguments(parser: argparse.ArgumentParser) -> None:
    size = Size()
    parser.add_argument("--runs", type=int, default=size.runs, help="about how many")
    parser.add_argument("--samples-per-run", type=int, default=size.samples_per_run)
    parser.add_argument("--machines", type=int, default=size.machines)
    parser.add_argument("--years", type=float, default=size.years, help="from the first night to the last")
    parser.add_argument("--seed", type=int, default=size.seed)
    parser.add_argument(
        "--traced-nights", type=int, default=1, help="newest nights that keep traces and timelines"
    )


def size_of(options: argparse.Namespace) -> Size:
    return Size(options.runs, options.samples_per_run, options.machines, options.years, options.seed)


def main() -> int:
    parser = argparse.ArgumentParser(description="A database as after years of nights.")
    where = parser.add_mutually_exclusive_group(required=True)
    where.add_argument("--out", type=Path, help="a new SQLite file")
    where.add_argument("--db", help="SQLAlchemy URL of a database that is there, such as a PostgreSQL")
    parser.add_argument("--steps", type=Path, help="where the steps are written; default: FILE.steps.json")
    add_size_arguments(parser)
    options = parser.parse_args()
    if options.out is not None and options.out.exists():
        parser.error(f"{options.out} exists already")
    if options.out is None and options.steps is None:
        parser.error("--db needs --steps")
    try:
        size = size_of(options)
    except ValueError as error:
        parser.error(str(error))
    began = time.monotonic()

    def progress(runs: int, samples: int) -> None:
        print(
            f"\r{runs:,} runs, {samples:,} samples, {time.monotonic() - began:.0f} s",
            end="",
            file=sys.stderr,
            flush=True,
        )

    try:
        with Store.open(options.out or options.db) as store:
            found = fill(store, size, traced_nights=options.traced_nights, progress=progress)
            closing = time.perf_counter()
        found["import_s"] += time.perf_counter() - closing  # SQLite's journal is folded into the file
    except EdgebenchError as error:
        print(f"{error.what}\n{error.next_step}", file=sys.stderr)
        return error.status
    print(file=sys.stderr)
    steps = options.steps or options.out.with_name(f"{options.out.name}.steps.json")
    spent = {name: found.pop(name) for name in ("making_s", "import_s")}
    steps.write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")
    speed = found["stored_samples"] / spent["import_s"]
    print(
        f"{found['stored_runs']:,} runs, {found['stored_samples']:,} samples: rows made in"
        f" {spent['making_s']:.1f} s, stored in {spent['import_s']:.1f} s ({speed:,.0f} samples/s)"
    )
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
