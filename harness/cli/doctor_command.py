"""``edgebench doctor``: what this machine has and lacks, what harms measurements on it, and what it can do."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from harness.cli.common import check_cache, db_option, json_option, print_json, tell
from harness.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from harness.frameworks import FrameworkEntry
    from harness.machine.doctor import EnvironmentFacts

EPILOG = """\b
Examples:
  edgebench doctor
  edgebench doctor --json
  edgebench doctor --bench               also measure memory and arithmetic, and store it
  edgebench doctor --bench --no-store    the same without a database
"""

#: How long the background load is watched, and how long before the machine is measured.
_GLANCE_S, _WATCH_S = 0.5, 2.0


@click.command("doctor", epilog=EPILOG)
@click.option(
    "--bench", is_flag=True, help="Measure memory bandwidth, fp32 and int8 throughput: some 15 seconds."
)
@click.option("--no-store", is_flag=True, help="With --bench: print what was measured, store nothing.")
@db_option
@json_option
def command(bench: bool, no_store: bool, db: str, as_json: bool) -> None:
    """Say what this machine has: devices, meters, frameworks; for each thing missing, why and what would bring it.

    And what harms measurements on it, with how to end it.
    """
    if no_store and not bench:
        raise UsageError("--no-store is about --bench", next_step="edgebench doctor --bench --no-store")
    from harness.frameworks import frameworks
    from harness.machine.doctor import doctor
    from harness.paths import cache_dir

    entries = frameworks()
    usable = {name: entry for name, entry in entries.items() if entry.error is None}
    report = doctor(
        {name: entry.backend for name, entry in usable.items()},
        _environments(usable),
        cache=cache_dir(),
        watch_s=_WATCH_S if bench else _GLANCE_S,
    ).to_dict()
    report["broken_backends"] = [
        {"framework": name, "reason": entry.error.what, "next_step": entry.error.next_step}
        for name, entry in entries.items()
        if entry.error is not None
    ]
    report["bench"] = _bench(None if no_store else db) if bench else None
    if as_json:
        print_json(report)
    else:
        from harness.cli.doctor_text import print_report

        print_report(report)


def _bench(db: str | None) -> dict[str, Any]:
    """Measure this machine, and store it where a database is named."""
    from harness.paths import cache_dir
    from harness.runner.benching import bench_json, bench_machine, bench_record

    check_cache()
    if db is None:
        from harness.machine import describe_machine

        record = bench_record(bench_machine(cache_dir(), tell), describe_machine().id)
        return bench_json(record, stored=False)
    from harness.runner.front import record_machine
    from harness.store import Store

    # Opened first: a database that cannot be used is told before anything is measured.
    with Store.open(db) as store:
        if store.upgraded is not None:
            tell(store.upgraded)
        record = bench_record(bench_machine(cache_dir(), tell), record_machine(store))
        store.record_machine_bench(record)
        tell(f"stored in {store.place}")
    return bench_json(record, stored=True)


def _environments(entries: Mapping[str, FrameworkEntry]) -> dict[str, EnvironmentFacts]:
    from harness.environment import EnvironmentManager
    from harness.errors import EdgebenchError
    from harness.machine.doctor import EnvironmentFacts
    from harness.paths import cache_dir

    manager = EnvironmentManager(cache_dir())
    facts = {}
    for name, entry in entries.items():
        try:
            found = manager.find(entry.backend)
        except EdgebenchError as error:
            facts[name] = EnvironmentFacts(False, reason=error.what, next_step=error.next_step)
            continue
        if found is not None:
            wanted = {one.split("=")[0].split("[")[0] for one in entry.backend.requirements.packages}
            versions = {one.name: one.version for one in found.packages if one.name in wanted}
            facts[name] = EnvironmentFacts(True, versions=versions, path=str(found.path))
    return facts
