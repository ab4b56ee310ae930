"""The one registry of precisions: canonical name -> class -> each framework's recipes, its default first.

Owns nothing of its own: names and classes are declared in `harness.worker.api`, recipes by the backends; this module is
where lists, tables and their order read them together. Imports the worker's declarations when called, because
they bring numpy along, which most commands need not pay for. Contract: the same order everywhere, widest first.
"""

from __future__ import annotations

import functools
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from harness.worker.api import Backend, Recipe


@dataclass(frozen=True, slots=True)
class Precision:
    """A canonical precision.

    Attributes:
        name: ``int4``.
        class_name: ``low``.
        recipes: framework -> its recipes of this precision that can be a cell, the one that the bare precision means
            first. Frameworks without any are left out.
    """

    name: str
    class_name: str
    recipes: Mapping[str, tuple[str, ...]]


@functools.cache
def _places() -> dict[str, tuple[int, str]]:
    from harness.worker.api import PRECISIONS, precision_class

    return {name: (place, precision_class(name)) for place, name in enumerate(PRECISIONS)}


@functools.cache
def classes() -> tuple[str, ...]:
    """The classes, widest first."""
    from harness.worker.api import PRECISION_CLASSES

    return tuple(PRECISION_CLASSES)


def class_of(precision: str) -> str | None:
    """The class of a canonical precision, None where it is none."""
    found = _places().get(precision)
    return None if found is None else found[1]


def precision_rank(precision: str) -> int | None:
    """Place among the canonical precisions, widest first; None where it is none."""
    found = _places().get(precision)
    return None if found is None else found[0]


def class_rank(class_name: str | None) -> int:
    """Place of a class, widest first; what is no class comes last."""
    return classes().index(class_name) if class_name in classes() else len(classes())


def default_first(recipes: tuple[Recipe, ...], precision: str) -> tuple[Recipe, ...]:
    """A framework's recipes of one precision without intermediate ones: the default, then in declared order."""
    own = [recipe for recipe in recipes if recipe.precision == precision and not recipe.intermediate]
    return tuple(sorted(own, key=lambda recipe: not recipe.default))


def registry(backends: Mapping[str, type[Backend]]) -> tuple[Precision, ...]:
    """Every canonical precision, widest first, with what each framework has of it."""
    found = []
    for name, (_place, class_name) in _places().items():
        own = {
            framework: tuple(one.name for one in default_first(backend.recipes, name))
            for framework, backend in backends.items()
        }
        found.append(Precision(name, class_name, {key: value for key, value in own.items() if value}))
    return tuple(found)
