"""Claims of others, shown beside the measurement.

Owns reading ``claims.yaml``. Contract: a claim is text; nothing is computed from it.
"""

from __future__ import annotations

import functools
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml


@dataclass(frozen=True, slots=True)
class Claim:
    """What is claimed for a framework at some precisions or recipes."""

    framework: str
    precisions: tuple[str, ...]
    recipes: tuple[str, ...]
    memory: str
    speed_up: str
    use: str

    def covers(self, row: Mapping[str, Any]) -> bool:
        """Whether the claim is about this row's framework and precision."""
        return row["framework"] == self.framework and (
            row["precision"] in self.precisions or row["recipe"] in self.recipes
        )


CLAIMS_FILE = Path(__file__).with_name("claims.yaml")


@functools.cache
def load_claims(path: Path = CLAIMS_FILE) -> tuple[Claim, ...]:
    """The claims of a file."""
    listed = yaml.safe_load(path.read_text(encoding="utf-8"))["claims"]
    return tuple(
        Claim(
            framework=each["framework"],
            precisions=tuple(each.get("precisions", ())),
            recipes=tuple(each.get("recipes", ())),
            memory=each["memory"],
            speed_up=each["speed_up"],
            use=each["use"],
        )
        for each in listed
    )


def claim_for(row: Mapping[str, Any]) -> Claim | None:
    """The claim that is about a row, None where nothing is claimed."""
    return next((claim for claim in load_claims() if claim.covers(row)), None)


def stands_for_claim(row: Mapping[str, Any], *, default_recipe: bool) -> bool:
    """Whether a row stands in the headline table: what a claim names, or the recipe that its bare precision means."""
    claim = claim_for(row)
    return claim is not None and (row["recipe"] in claim.recipes or default_recipe)
