"""Two sides of a comparison: which rows they are, which cells both have, and their ratios."""

from harness.compare.ratios import Comparison, compare
from harness.compare.sides import Side, find_side

__all__ = ["Comparison", "Side", "compare", "find_side"]
