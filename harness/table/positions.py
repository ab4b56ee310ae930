"""What the quality of a row rests on, and which rows rest on something else than most.

Owns the rule: divergences compare at equal text, window and scored positions. Imports only the standard library.
Contract: pure functions; of each model by itself, because another tokenizer cuts a text into other positions, and no
figure against one model's reference compares with another's anyway.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Scored:
    """What was scored.

    Attributes:
        corpus_sha256: of the text; None where it is not known.
        window: tokens of a window; None where it is not known.
        positions: scored ones.
    """

    corpus_sha256: str | None
    window: int | None
    positions: int

    def __str__(self) -> str:
        windows = "" if self.window is None else f" in windows of {self.window}"
        return f"{self.positions:,} positions{windows}"


def elsewhere(rows: Sequence[tuple[str, Scored | None]]) -> list[str | None]:
    """What each row's quality rests on, where that of most rows of its model rests on something else.

    Args:
        rows: model, and what was scored; None where nothing was.
    """
    counts: defaultdict[str, Counter[Scored]] = defaultdict(Counter)
    for model, scored in rows:
        if scored is not None:
            counts[model][scored] += 1
    usual = {
        # Of equally many the one with more positions.
        model: max(of, key=lambda one: (of[one], one.positions, one.window or 0, one.corpus_sha256 or ""))
        for model, of in counts.items()
    }
    return [
        None if scored is None or scored == usual[model] else _told(scored, usual[model])
        for model, scored in rows
    ]


def _told(own: Scored, usual: Scored) -> str:
    if own.corpus_sha256 != usual.corpus_sha256:
        return f"another text than that of most rows: {own}, of most rows {usual}"
    return f"{own}, of most rows {usual}"
