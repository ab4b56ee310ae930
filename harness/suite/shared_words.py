"""Whether two texts are so alike that what is calibrated on one has seen the other.

Owns the rule; ``docs/suites.md`` has it for readers. Imports only the standard library. Contract: pure; memory
grows with the number of words of both texts, time too.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

#: Words in a row that strangers seldom share.
RUN_WORDS = 8
#: Share of a text's runs that may be in the other: names, headings and licences are in many texts.
LIMIT = 0.05

_WORD = re.compile(r"[^\W_]+(?:['’][^\W_]+)*")


@dataclass(frozen=True, slots=True)
class Shared:
    """What two texts have in common beyond the limit.

    Attributes:
        share: of the runs of one of the texts that are in the other as well; of the text with the larger share.
        words: one such run, in lower case.
    """

    share: float
    words: str


def shared_words(one: str, other: str) -> Shared | None:
    """What two texts share; None where it is no more than strangers do.

    Case, white space and punctuation make no difference. Texts of fewer than eight words are compared as a whole.
    """
    found_words: list[list[str]] = [_WORD.findall(text.casefold()) for text in (one, other)]
    small, large = sorted(found_words, key=lambda words: (len(words), words))
    if len(small) < RUN_WORDS:
        words = one.split()
        return Shared(1.0, " ".join(words[:RUN_WORDS])) if words and words == other.split() else None
    # Hashes: a run itself takes twenty times the memory.
    known = {hash(run) for run in _runs(small)}
    found: set[int] = set()
    hits = 0
    first: int | None = None
    for at, run in enumerate(_runs(large)):
        key = hash(run)
        if key in known:
            found.add(key)
            hits += 1
            first = at if first is None else first
    share = max(hits / (len(large) - RUN_WORDS + 1), len(found) / len(known))
    if first is None or share <= LIMIT:
        return None
    return Shared(share, " ".join(large[first : first + RUN_WORDS]))


def _runs(words: Sequence[str]) -> Iterator[tuple[str, ...]]:
    return zip(*(words[begin:] for begin in range(RUN_WORDS)), strict=False)
