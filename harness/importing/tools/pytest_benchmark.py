"""pytest-benchmark: its JSON of timed test functions.

Owns what its fields mean. Contract: a test function is a benchmark, not a cell of a model: its framework is
``external``, its workload the test's full name; every round is a repetition where the file has them.
"""

from __future__ import annotations

from typing import Any

from harness.importing.document import Document
from harness.importing.fields import Fields, without
from harness.importing.registry import Format
from harness.importing.result import Contents, MachineFacts, Result, Statistic

_DEFINITIONS = {
    "call_s": "seconds of a call in one round: the round's time over its iterations, by the timer in the options; all"
    " rounds are of one process, where edgebench's unit is the process",
}


class PytestBenchmark(Format):
    """``--benchmark-json``, and what ``--benchmark-save`` keeps."""

    tool = "pytest-benchmark"
    files = "JSON"

    def recognise(self, document: Document) -> bool:
        found = document.json_or_none if document.is_json else None
        return isinstance(found, dict) and {"benchmarks", "machine_info", "version"} <= found.keys()

    def read(self, document: Document) -> Contents:
        whole = Fields(document, document.json, "")
        rows = whole.rows("benchmarks")
        if not rows:
            document.refuse("benchmarks", "it holds no benchmark")
        machine, cpu = whole.below("machine_info"), whole.below("machine_info").below("cpu")
        return Contents(
            format="json",
            version=whole.name_or_none("version"),
            results=[_result(row) for row in rows],
            definitions=_DEFINITIONS,
            machine=MachineFacts(
                cpu_model=cpu.name_or_none("brand_raw") or cpu.name_or_none("brand"),
                arch=machine.name_or_none("machine"),
                logical_cores=cpu.whole_or_none("count"),
            ),
            system={
                name: machine.values[name]
                for name in ("system", "release", "python_implementation", "python_version")
                if name in machine.values
            },
            document=without(whole.values, ["benchmarks"]),
            started_at=whole.time_or_none("datetime"),
            commit_sha=whole.below("commit_info").commit_or_none("id"),
        )


def _result(row: Fields) -> Result:
    stats = row.below("stats")
    rounds = stats.positives("data")
    record: dict[str, Any] = {**row.values, "stats": without(stats.values, ["data"])}
    statistics = []
    if not rounds:
        count = stats.whole_or_none("rounds")
        spread = stats.positive_or_none("stddev")
        statistics = [
            Statistic("call_s", "mean", stats.positive("mean"), count, spread),
            Statistic("call_s", "median", stats.positive("median"), count),
            Statistic("call_s", "minimum", stats.positive("min"), count),
            Statistic("call_s", "maximum", stats.positive("max"), count),
        ]
    options = row.below("options")
    return Result(
        framework="external",
        model="none",
        workload=row.name("fullname") if row.has("fullname") else row.name("name"),
        record=record,
        options={"timer": timer} if (timer := options.option("timer")) is not None else {},
        raw={"call_s": list(rounds)} if rounds else {},
        statistics=statistics,
        place=row.place,
        fields={"call_s": "stats.data" if rounds else "stats.mean, median, min, max"},
    )


FORMAT = PytestBenchmark()
