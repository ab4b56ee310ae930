"""Some at a time: what is asked of a database, and given to it, in lists that it can take.

Owns that and how many ids one question may hold. Imports only the standard library. Contract: every item once, in
order.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import islice
from typing import TypeVar

#: Ids that one question may hold; SQLite takes 32,766 parameters.
ASKED_AT_ONCE = 1000

T = TypeVar("T")


def batches(items: Iterable[T], size: int = ASKED_AT_ONCE) -> Iterator[list[T]]:
    """Lists of at most so many."""
    remaining = iter(items)
    while some := list(islice(remaining, size)):
        yield some
