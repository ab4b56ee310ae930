"""Synthetic models as the graphs that Olive's recipes give."""

from __future__ import annotations

from harness.worker.api import Made, MakeRequest, Recipe, Unsupported
from harness.worker.synthetic import SyntheticModel


def unsupported(recipe: Recipe, model: SyntheticModel) -> str | None:
    """Why this recipe is not written with random weights."""
    del recipe, model
    return "synthetic models are not written by Olive recipes"


def make(request: MakeRequest) -> Made:
    """Refuse."""
    raise Unsupported(f"{request.recipe.name} is not written with random weights")
