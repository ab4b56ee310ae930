"""What a plot is once it is made: its data, its chart, a table of the same figures, and what has no mark.

Owns those types. Imports the table's facts and rows. Contract: plain data; a chart is None only beside the reason; the
table says in words and figures what the chart shows, for who cannot see it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal, Protocol

from harness.errors import UsageError

if TYPE_CHECKING:
    import altair as alt

    from harness.table.facts import SessionFacts

#: How far a mark may be believed; what is not ``measured`` looks different and is never ranked.
Standing = Literal["measured", "suspect", "emulated", "not comparable"]
STANDINGS: tuple[Standing, ...] = ("measured", "suspect", "emulated", "not comparable")


@dataclass(frozen=True, slots=True)
class Subject:
    """What a mark is of.

    Attributes:
        framework: its id.
        cell: for a person, and no other mark's of the plot: ``llamacpp int4 (Q4_K_M) cpu``.
        precision: for a person: ``int4 (Q4_K_M)``.
        version: the framework's.
        runs: timed runs that ended as ok.
        standing: see `Standing`.
        unranked: why the standing is not ``measured``.
    """

    framework: str
    cell: str
    precision: str
    version: str | None
    runs: int
    standing: Standing
    unranked: str | None = None


@dataclass(frozen=True, slots=True)
class Figures:
    """A plot's figures as a table.

    Attributes:
        heads: of the columns.
        lines: of texts.
        summary: the sentence that sums them up.
        of: what the first text of each line is of: a cell's name, as its `Subject` has it, or whatever else whoever
            shows the table knows the samples of; empty where it is nothing of the kind.
        second_of: the same of the second text.
    """

    heads: tuple[str, ...]
    lines: tuple[tuple[str, ...], ...]
    summary: str
    of: tuple[str, ...] = ()
    second_of: tuple[str, ...] = ()


class PlotData(Protocol):
    """What every plot's data has, whatever its marks are."""

    @property
    def title(self) -> str:
        """What is plotted, of which model and workload."""

    @property
    def subtitle(self) -> str:
        """Machine and session."""

    @property
    def missing(self) -> Mapping[str, str]:
        """Why a cell has no mark, by its name."""

    def figures(self) -> Figures:
        """The same as a table."""


@dataclass(frozen=True, slots=True)
class Drawn:
    """One plot of a session, or why there is none.

    Attributes:
        name: as in ``edgebench plot NAME``.
        title: what is plotted.
        chart: None where nothing can be plotted.
        why_not: the reason, then.
        missing: why a cell has no mark, by its name.
        data: the plot's own data; None where ``chart`` is.
        figures: the same as a table; None where ``chart`` is.
    """

    name: str
    title: str
    chart: alt.TopLevelMixin | None
    why_not: str | None = None
    missing: Mapping[str, str] = field(default_factory=dict)
    data: PlotData | None = None
    figures: Figures | None = None


#: Letters of a reason in a chart, whose tooltip is no place for more; the table of the session has all.
_REASON = 160


def flat(mark: Any, **more: Any) -> dict[str, Any]:
    """A mark as a chart holds it: its subject's fields and these."""
    of: Subject = mark.subject
    why = of.unranked or ""
    if len(why) > _REASON:
        why = f"{why[: _REASON - 3]}..."
    return {
        "framework": of.framework,
        "cell": of.cell,
        "precision": of.precision,
        "version": of.version or "not told",
        "runs": of.runs,
        "standing": of.standing,
        "believed": f"{of.standing}: {why}" if why else of.standing,
        **more,
    }


def session_line(facts: SessionFacts) -> str:
    """The line below a title: where the figures come from."""
    return f"{facts.machine_name}; session {facts.id}"


def nothing(what: str, missing: Mapping[str, str]) -> UsageError:
    """That a plot would be empty, with the reasons that most cells have."""
    counted: dict[str, int] = {}
    for reason in missing.values():
        counted[reason] = counted.get(reason, 0) + 1
    often = sorted(counted, key=lambda reason: -counted[reason])
    more = f"; and {len(often) - 3} other reasons" if len(often) > 3 else ""
    return UsageError(
        f"no cell has {what}: {'; '.join(often[:3]) or 'the session has no cell'}{more}",
        next_step="name another session with --session, see edgebench db sessions",
    )


def summed(what: str, subjects: Sequence[Subject]) -> str:
    """``12 configurations ..., of 3 frameworks``, with how many of them are not ranked."""
    count = len(subjects)
    frameworks = len({one.framework for one in subjects})
    apart = [
        f"{number} {standing}"
        for standing in STANDINGS[1:]
        if (number := sum(one.standing == standing for one in subjects))
    ]
    tail = f"; drawn apart and unranked: {', '.join(apart)}" if apart else ""
    return f"{what}: {_count(count, 'mark')} of {_count(frameworks, 'framework')}{tail}."


def _count(number: int, word: str) -> str:
    return f"{number} {word}" + ("" if number == 1 else "s")
