"""hyperfine: its JSON of timed commands.

Owns what its fields mean. Contract: a command is a benchmark of a program, not a cell of a model: its framework is
``external``, its workload the command; every timed run is a repetition.
"""

from __future__ import annotations

from harness.importing.document import Document
from harness.importing.fields import Fields, without
from harness.importing.registry import Format
from harness.importing.result import Contents, Result, Statistic

_DEFINITIONS = {
    "wall_s": "wall time of one run of the command, its start by a shell subtracted where there was one; the process's"
    " start and end are in it",
    "user_s": "user CPU time of the command and its children, mean over the runs",
    "system_s": "system CPU time of the command and its children, mean over the runs",
    "memory_bytes": "largest resident set of the command as wait4 tells it, which no child of a large parent falls"
    " below; edgebench reads the process's own high-water mark",
}


class Hyperfine(Format):
    """``--export-json``."""

    tool = "hyperfine"
    files = "JSON"

    def recognise(self, document: Document) -> bool:
        found = document.json_or_none if document.is_json else None
        results = found.get("results") if isinstance(found, dict) else None
        return (
            isinstance(results, list)
            and bool(results)
            and isinstance(results[0], dict)
            and {"command", "mean", "user", "system"} <= results[0].keys()
        )

    def read(self, document: Document) -> Contents:
        whole = Fields(document, document.json, "")
        rows = whole.rows("results")
        if not rows:
            document.refuse("results", "it holds no benchmark")
        return Contents(
            format="json",
            version=None,
            results=[_result(row) for row in rows],
            definitions=_DEFINITIONS,
            document=without(whole.values, ["results"]),
        )


def _result(row: Fields) -> Result:
    # Where the shell's start, which is subtracted, takes longer than the command, the tool says 0.
    times = row.positives("times", or_zero=True)
    runs = len(times) or None
    statistics = [
        Statistic(f"{name}_s", "mean", row.number(name), runs) for name in ("user", "system") if row.has(name)
    ]
    if not times:
        statistics.insert(
            0, Statistic("wall_s", "mean", row.positive("mean"), None, row.positive_or_none("stddev"))
        )
    memory = row.list_of("memory_usage_byte")
    raw: dict[str, list[float | None]] = {}
    if times:
        raw["wall_s"] = list(times)
    if memory and any(memory):
        raw["memory_bytes"] = list(row.positives("memory_usage_byte"))
    return Result(
        framework="external",
        model="none",
        workload=row.name("command"),
        record=without(row.values, ["times"]),
        options={
            name: value
            for name, one in row.below("parameters").values.items()
            if (value := Fields(row.document, {name: one}, f"{row.place}.parameters").option(name))
            is not None
        },
        raw=raw,
        statistics=statistics,
        flags=_flags(row),
        place=row.place,
        fields={
            "wall_s": "times" if times else "mean",
            "user_s": "user",
            "system_s": "system",
            "memory_bytes": "memory_usage_byte",
        },
    )


def _flags(row: Fields) -> list[str]:
    codes, times = row.list_of("exit_codes"), row.list_of("times")
    failed, none = sum(1 for code in codes if code != 0), sum(1 for time in times if time == 0)
    flags = [f"{failed} of {len(codes)} runs ended with another exit status than 0"] if failed else []
    if none:
        flags.append(
            f"{none} of {len(times)} times are 0: no longer than the start of the shell that is subtracted"
        )
    return flags


FORMAT = Hyperfine()
