"""A recommendation for people and for programs.

Owns what stands where. Contract: the choice never stands without its evidence: figures with intervals, what decided,
how often noise would have chosen otherwise, what was excluded and what nobody measured.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict
from typing import Any

from harness.recommend.choice import CLOSE, DRAWS, Excluded, Recommendation
from harness.recommend.matrix import MatrixCell, claims_of
from harness.safe_text import json_text
from harness.table.claims import Claim
from harness.table.metrics import METRICS
from harness.table.rows import Row
from harness.table.uncertainty import uncertain_text
from harness.table.view import Column, Section, View, precision_text, row_name, shown, some_of

#: Heads what others say.
CLAIMED = "What others say (claims, not measurements)"
_IDENTITY = ("framework", "model", "precision", "recipe", "device", "workload", "options")

Namer = Callable[[Row], str]


def view_of(
    found: Recommendation, *, machines: Mapping[str, str] | None = None, nowhere: str | None = None
) -> View:
    """The frontier as a table, the choice first, with the evidence below it.

    Args:
        found: the answer.
        machines: names by id; they stand beside the rows where these are of several.
        nowhere: the platform that was asked for and that no row is of.
    """
    name = _namer(found, machines or {})
    listed = list(found.frontier)
    if found.choice is not None:
        listed = [found.choice, *(row for row in listed if row is not found.choice)]
    keys = list(dict.fromkeys([*found.columns, "decode_tps", "peak_rss_bytes", "kld_mean"]))
    heads = (
        Column("choice", "", False),
        Column("configuration", "Configuration", False),
        *(Column(key, METRICS[key].title, True) for key in keys),
        Column("runs", "Runs", True),
    )
    body = tuple(
        (
            "choice" if row is found.choice else "",
            name(row),
            *(_figure(row, key) for key in keys),
            str(row["runs"]),
        )
        for row in listed
    )
    title = "Recommended: " + (name(found.choice) if found.choice is not None else "nothing")
    beyond, ill = ([one for one in found.excluded if one.by_limit is limit] for limit in (True, False))
    unknown = [*([nothing_there(nowhere)] if nowhere else []), *_grouped(found.unknown, name)]
    sections = (
        Section("Why", tuple(_why(found, machines or {}))),
        Section("Close", tuple(f"{name(row)}: {100 * share:.0f} %" for row, share in found.close)),
        Section("Unknown: nobody measured it", tuple(unknown)),
        Section(CLAIMED, tuple(map(claim_text, claims_of(nowhere) if nowhere else ()))),
        Section("Beyond a limit", tuple(_grouped(beyond, name))),
        Section("Not to be shipped", tuple(_grouped(ill, name))),
        Section("Evidence", tuple(_evidence(listed))),
    )
    return shown(View(title, heads, body, sections))


def nothing_there(platform: str) -> str:
    """That no row is of a platform."""
    return f"{platform}: nothing of these sessions was measured there"


def claim_text(claim: Claim) -> str:
    """A claim in a line."""
    of = ", ".join(claim.precisions or claim.recipes)
    return f"{claim.framework} {of}: memory {claim.memory}, speed-up {claim.speed_up} ({claim.use})"


def _namer(found: Recommendation, machines: Mapping[str, str]) -> Namer:
    """The name of a row; with its machine's where the rows are of several."""
    of_all = [*found.possible, *(one.row for one in (*found.excluded, *found.unknown))]
    several = len({row["machine"] for row in of_all}) > 1

    def name(row: Row) -> str:
        where = f" on {machines.get(row['machine'], row['machine'])}" if several else ""
        return row_name(row, _IDENTITY) + where

    return name


def _figure(row: Row, key: str) -> str:
    return "" if row[key] is None else uncertain_text(row, key)


def _why(found: Recommendation, machines: Mapping[str, str]) -> Iterator[str]:
    yield f"Decided by: {found.decided}."
    if found.share is not None:
        yield f"Chosen in {100 * found.share:.0f} % of {DRAWS} repetitions drawn from the measurement's own spread."
    elif found.choice is not None:
        yield "How sure it is cannot be said: no figure has a spread."
    if found.none_share is not None and found.none_share >= CLOSE:
        yield f"In {100 * found.none_share:.0f} % of them nothing keeps the limits."
    for key, reason in found.uncounted.items():
        yield f"{METRICS[key].title} did not count: {reason}."
    workloads = sorted({str(row["workload"]) for row in found.possible})
    if len(workloads) > 1:
        yield f"Several workloads are compared: {', '.join(workloads)}. --where workload=... takes one."
    ids = sorted({str(row["machine"]) for row in found.possible})
    if len(ids) > 1:
        names = "; ".join(f"{one} ({machines.get(one, 'no name')})" for one in ids)
        yield f"Several machines are compared: {names}. --where machine=ID takes one."
    yield f"{len(found.possible)} configurations keep the limits; {len(found.frontier)} of them are beaten by none."


def _grouped(left_out: Sequence[Excluded], name: Namer) -> Iterator[str]:
    reasons: dict[str, list[str]] = {}
    for one in left_out:
        reasons.setdefault(one.reason, []).append(name(one.row))
    for reason, names in reasons.items():
        yield f"{reason} ({some_of(names)})"


def _evidence(rows: Sequence[Row]) -> Iterator[str]:
    for session in dict.fromkeys(str(row["session"]) for row in rows):
        versions = sorted(
            {f"{row['framework']} {row['framework_version']}" for row in rows if row["session"] == session}
        )
        yield f"edgebench show {session} ({', '.join(versions)})"


def json_of(found: Recommendation, *, nowhere: str | None = None) -> str:
    """Everything, for a program; ``nowhere`` as of `view_of`."""
    return json_text(
        {
            "choice": _row(found.choice),
            "decided": found.decided,
            "share": found.share,
            "none_share": found.none_share,
            "columns": list(found.columns),
            "uncounted": dict(found.uncounted),
            "frontier": [_row(row) for row in found.frontier],
            "possible": [_row(row) for row in found.possible],
            "close": [{"row": _row(row), "share": share} for row, share in found.close],
            "excluded": [{"row": _row(one.row), "reason": one.reason} for one in found.excluded],
            "unknown": [{"row": _row(one.row), "reason": one.reason} for one in found.unknown],
            "claims": [asdict(claim) for claim in (claims_of(nowhere) if nowhere else ())],
        }
    )


def _row(row: Row | None) -> dict[str, Any] | None:
    if row is None:
        return None
    figures = ("decode_tps", "prefill_tps", "peak_rss_bytes", "kld_mean", "energy_joules_per_decode_token")
    return {
        **{
            key: row[key]
            for key in (*_IDENTITY, "session", "machine", "framework_version", "runs", "validity")
        },
        **{key: row[key] for key in figures},
        "intervals": {key: bounds for key, bounds in (row["intervals"] or {}).items() if key in figures},
    }


def matrix_view(cells: Sequence[MatrixCell], workloads: Sequence[str] = ()) -> View:
    """Platforms by needs; what is a claim says so.

    Args:
        cells: of the matrix.
        workloads: of the rows that it is made of.
    """
    needs = list(dict.fromkeys(cell.need for cell in cells))
    by_platform = of_platforms(cells)
    heads = (
        Column("platform", "Platform", False),
        *(Column(need, need.capitalize(), False) for need in needs),
    )
    body = tuple((name, *(cell_text(row[need]) for need in needs)) for name, row in by_platform.items())
    lines = [
        f"{name}: {claim_text(claim)}"
        for name, row in by_platform.items()
        for claim in next(iter(row.values())).claims
    ]
    reading = ["A cell is the best measured configuration for the need, of those within the limits."]
    if len(workloads) > 1:
        reading.append(
            f"Several workloads are compared: {', '.join(workloads)}. --where workload=... takes one."
        )
    sections = (Section(CLAIMED, tuple(lines)), Section("Reading", tuple(reading)))
    return shown(View("Framework selection matrix", heads, body, sections))


def of_platforms(cells: Sequence[MatrixCell]) -> dict[str, dict[str, MatrixCell]]:
    """The matrix by platform and need."""
    found: dict[str, dict[str, MatrixCell]] = {}
    for cell in cells:
        found.setdefault(cell.platform, {})[cell.need] = cell
    return found


def cell_text(cell: MatrixCell) -> str:
    """What stands in a place of the matrix: the best, why there is none, or what others claim, marked as that."""
    if cell.measured is not None:
        row = cell.measured
        label = f"{row['framework']} {precision_text(row)} {row['device']}"
        return f"{label}: {uncertain_text(row, cell.column)}, best of {cell.candidates}"
    if cell.tried:
        return f"none of {cell.tried} measured is known to keep the limits"
    if cell.claims:
        return "claimed: " + "; ".join(
            f"{claim.framework} {'/'.join(claim.precisions or claim.recipes)}" for claim in cell.claims
        )
    return "nothing measured"


def matrix_json(cells: Sequence[MatrixCell]) -> str:
    """The same, for a program."""
    return json_text(
        {
            "matrix": [
                {
                    "platform": cell.platform,
                    "need": cell.need,
                    "measured": _row(cell.measured),
                    "candidates": cell.candidates,
                    "tried": cell.tried,
                    "claims": [asdict(claim) for claim in cell.claims],
                }
                for cell in cells
            ]
        }
    )
