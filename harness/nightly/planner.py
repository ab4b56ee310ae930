"""Which cells a night measures: a pure function of what is known of each of them and of the time there is.

Owns the order and the choice. Imports the standard library. Contract: the same candidates give the same choice; what is
chosen is expected to fit into the budget; every cell that is left out has its reason; no cell that fits into a budget
by itself is left out for ever.

Urgency is counted in nights: a night for each day since a cell was last measured, `CHANGED_NIGHTS` more where a version
changed since, and one more for each `NOISE_STEP` of spread between its runs, up to `NOISE_NIGHTS`. The most urgent
cells come first; what does not fit makes room for smaller ones behind it. A cell that is left out is a night more
urgent the next time, and one that was measured starts again, so that all come round.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

#: Of a cell that was never measured: before all others but those that waited for longer.
NEVER_NIGHTS = 30.0
CHANGED_NIGHTS = 7.0
NOISE_STEP = 0.02
NOISE_NIGHTS = 5.0
_DAY_S = 86_400.0


@dataclass(frozen=True, slots=True)
class Candidate:
    """A cell that can run here.

    Attributes:
        cell_id: the cell.
        name: for people.
        expected_s: of all that the night would do for it.
        last_at: when the last session that measured it began, aware; None: never.
        noise: standard deviation between the runs of one session, as a share; None where not known.
        changed: what changed since it was last measured, in words; None: nothing that is known.
    """

    cell_id: str
    name: str
    expected_s: float
    last_at: datetime | None = None
    noise: float | None = None
    changed: str | None = None


@dataclass(frozen=True, slots=True)
class Picked:
    """A cell of the night, with why it is in it."""

    candidate: Candidate
    urgency: float
    why: str


@dataclass(frozen=True, slots=True)
class Choice:
    """What a night measures.

    Attributes:
        picked: the most urgent first.
        left_out: cell id -> the reason.
        expected_s: of all that is picked.
    """

    picked: tuple[Picked, ...]
    left_out: dict[str, str]
    expected_s: float


def urgency(candidate: Candidate, now: datetime) -> tuple[float, str]:
    """How urgent a cell is, in nights, and why in words."""
    words = []
    if candidate.last_at is None:
        nights = NEVER_NIGHTS
        words.append("never measured")
    else:
        # A clock that was set back makes nothing less than fresh.
        nights = max(0.0, (now - candidate.last_at).total_seconds() / _DAY_S)
        words.append(f"measured {nights:.0f} days ago" if nights >= 1.5 else "measured lately")
    if candidate.changed is not None:
        nights += CHANGED_NIGHTS
        words.insert(0, f"changed: {candidate.changed}")
    if candidate.noise is not None and candidate.noise >= NOISE_STEP:
        nights += min(candidate.noise / NOISE_STEP, NOISE_NIGHTS)
        words.append(f"noisy ({100 * candidate.noise:.1f} %)")
    return nights, ", ".join(words)


def choose(candidates: Sequence[Candidate], budget_s: float | None, now: datetime) -> Choice:
    """Choose the cells of a night.

    Args:
        candidates: every cell that can run here.
        budget_s: seconds that there are; None: as long as it takes.
        now: aware.
    """
    ranked = [(*urgency(one, now), one) for one in candidates]
    ranked.sort(key=lambda each: (-each[0], each[2].expected_s, each[2].cell_id))
    picked: list[Picked] = []
    left_out: dict[str, str] = {}
    total = 0.0
    for nights, why, one in ranked:
        if budget_s is None or total + one.expected_s <= budget_s:
            picked.append(Picked(one, nights, why))
            total += one.expected_s
        elif one.expected_s > budget_s:
            left_out[one.cell_id] = (
                f"it takes {one.expected_s:.0f} s by itself, more than the budget of {budget_s:.0f} s"
            )
        else:
            left_out[one.cell_id] = f"no room in the budget: others are more urgent ({why})"
    return Choice(tuple(picked), left_out, total)
