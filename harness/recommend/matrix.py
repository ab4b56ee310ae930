"""The framework selection matrix: for each platform and need the configuration that was measured as the best.

Owns platforms and needs. Contract: a cell holds a measurement, or what others say of the platform and is marked as
that, or nothing; a claim is never computed with.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from harness.recommend.choice import not_shippable, recommend
from harness.recommend.wishes import OBJECTIVES, Limits, Preference
from harness.table.claims import Claim, load_claims
from harness.table.rows import Row

#: Platforms, by words in the name of a machine's processor; ``cross-platform`` is any machine, by frameworks that run
#: on all of them.
PLATFORMS: Mapping[str, tuple[str, ...]] = {
    "apple": ("apple",),
    "intel": ("intel",),
    "qualcomm": ("qualcomm", "snapdragon"),
    "cross-platform": (),
}
#: Frameworks with builds for Linux, macOS and Windows on x86 and Arm.
PORTABLE = frozenset({"llamacpp", "olive"})


@dataclass(frozen=True, slots=True)
class MatrixCell:
    """One platform and need.

    Attributes:
        platform, need: which.
        column: the figure that the need is about.
        measured: the best measured row; None without one.
        candidates: how many rows it is the best of.
        tried: how many rows there have the figure, and may be ranked.
        claims: what others say of the platform.
    """

    platform: str
    need: str
    column: str
    measured: Row | None
    candidates: int
    tried: int
    claims: tuple[Claim, ...]


def of_platform(rows: Sequence[Row], processors: Mapping[str, str | None], platform: str) -> list[Row]:
    """The rows that were measured on a platform.

    Args:
        rows: of any sessions.
        processors: name of the processor by machine id; None where it was not stored.
        platform: one of `PLATFORMS`.
    """
    words = PLATFORMS[platform]
    if not words:
        return [row for row in rows if row["framework"] in PORTABLE]
    return [
        row for row in rows if any(word in (processors.get(row["machine"]) or "").lower() for word in words)
    ]


def claims_of(platform: str) -> tuple[Claim, ...]:
    """What others say of a platform: a claim's use names it."""
    return tuple(one for one in load_claims() if platform in one.use.lower())


def selection_matrix(
    rows: Sequence[Row],
    processors: Mapping[str, str | None],
    limits: Limits,
    *,
    with_suspect: bool = False,
) -> list[MatrixCell]:
    """Every platform by every need, within the limits."""
    cells = []
    for platform in PLATFORMS:
        there = of_platform(rows, processors, platform)
        ranked = [row for row in there if not_shippable(row, with_suspect=with_suspect) is None]
        claims = claims_of(platform)
        for need, column in OBJECTIVES.items():
            # What is asked for first, and then in its usual order what every row with that figure has: none is unknown
            # for want of what only decides among equals.
            had = [row for row in ranked if row[column] is not None]
            rest = [one for one in OBJECTIVES.values() if all(row[one] is not None for row in had)]
            order = tuple(dict.fromkeys([column, *rest]))
            found = recommend(there, limits, Preference(order, {}), with_suspect=with_suspect, repeated=False)
            known = found.choice is not None and found.choice[column] is not None
            best = found.choice if known else None
            cells.append(MatrixCell(platform, need, column, best, len(found.possible), len(had), claims))
    return cells
