"""Two evaluations of the same items, compared item by item.

Owns the arithmetic of flips and of McNemar's test. Imports the standard library only. Contract: pure functions of two
sequences of the same items in the same order.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction


@dataclass(frozen=True, slots=True)
class Flips:
    """Items whose correctness differs.

    Attributes:
        n: items.
        lost: right in the reference, wrong here.
        won: wrong in the reference, right here.
    """

    n: int
    lost: int
    won: int

    @property
    def share(self) -> float:
        """Share of the items whose correctness changed, in either direction."""
        return (self.lost + self.won) / self.n

    @property
    def p_value(self) -> float:
        """McNemar's exact test: how likely a difference at least as large were, if neither were better."""
        return mcnemar_exact(self.lost, self.won)


def flips(items: Sequence[float], reference: Sequence[float]) -> Flips | None:
    """The flips of items against the same items of the reference.

    Args:
        items: 1 where the item is right, 0 where it is wrong.
        reference: the same of the reference.

    Returns:
        None: there are none to compare, or not every value is right or wrong.
    """
    if not items or len(items) != len(reference) or not {*items, *reference} <= {0.0, 1.0}:
        return None
    pairs = list(zip(items, reference, strict=True))
    return Flips(
        len(pairs), sum(own < other for own, other in pairs), sum(own > other for own, other in pairs)
    )


def mcnemar_exact(lost: int, won: int) -> float:
    """Two-sided p-value of McNemar's exact test, from the discordant items alone.

    Under the hypothesis that neither is better each of them is a fair coin: twice the smaller tail of the binomial
    distribution, 1 at most (McNemar 1947; in its exact form Sheskin 2011, test 20).

    Args:
        lost: items that only the reference has right.
        won: items that only the other has right.
    """
    n, fewer = lost + won, min(lost, won)
    tail, ways = 0, 1
    for k in range(fewer + 1):
        tail += ways
        ways = ways * (n - k) // (k + 1)  # exact: k + 1 of n from k of n
    return float(min(Fraction(1), Fraction(2 * tail, 2**n)))
