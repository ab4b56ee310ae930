"""Presets: what a configuration has to be for a purpose, as data.

Owns the files' form, their schema and the shipped file. Imports the reader of checked YAML and the figures' names.
Contract: every mistake in a file is told with its line; a rule names one figure and at least one limit.

`python -m harness.gate.presets` writes ``presets.schema.json`` anew.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated, Any, Self

from pydantic import AfterValidator, Field, model_validator
from pydantic_core import PydanticCustomError

from harness.errors import UsageError
from harness.files import write_atomically
from harness.gate.figures import FIGURES, RELATIVE
from harness.model.checked_yaml import Strict, did_you_mean, read_yaml, validated

SHIPPED = Path(__file__).with_name("presets.yaml")
SCHEMA = Path(__file__).with_name("presets.schema.json")


def _known(name: str) -> str:
    if name not in FIGURES:
        raise PydanticCustomError(
            "unknown_figure", "no such figure", {"known": sorted(FIGURES), "noun": "figures"}
        )
    return name


Limit = Annotated[float, Field(allow_inf_nan=False, ge=0)]


class Rule(Strict):
    """One figure and its limits."""

    figure: Annotated[str, AfterValidator(_known), Field(json_schema_extra={"enum": sorted(FIGURES)})]
    """What is judged: a figure of the comparison table, or one that a preset alone knows."""
    at_least: Limit | None = None
    """The figure has to be this or more; shares and ratios as numbers: 0.95."""
    at_most: Limit | None = None
    """The figure has to be this or less."""
    below: Limit | None = None
    """The figure has to be less than this."""

    @model_validator(mode="after")
    def _has_a_limit(self) -> Self:
        given = [one for one in (self.at_least, self.at_most, self.below) if one is not None]
        if len(given) != 1:
            raise ValueError("a rule has exactly one of at_least, at_most and below")
        return self

    @property
    def limit(self) -> float:
        """The one that is given."""
        return next(one for one in (self.at_least, self.at_most, self.below) if one is not None)

    @property
    def text(self) -> str:
        """For people: ``at least 2.00×``."""
        word = "at least" if self.at_least is not None else "at most" if self.at_most is not None else "below"
        return f"{word} {FIGURES[self.figure].format(self.limit)}"

    def holds(self, value: float) -> bool:
        """Whether a figure of exactly this value satisfies the rule."""
        if self.at_least is not None:
            return value >= self.at_least
        return value <= self.limit if self.at_most is not None else value < self.limit


class Preset(Strict):
    """What a configuration has to be."""

    title: str
    """For people."""
    rules: Annotated[list[Rule], Field(min_length=1)]
    """All of them have to hold."""

    @property
    def relative(self) -> bool:
        """Whether a rule is about a ratio to the speed baseline, which therefore cannot be judged itself."""
        return any(rule.figure in RELATIVE for rule in self.rules)


class PresetFile(Strict):
    """A file of presets."""

    extra_prefixes = ("x-",)

    presets: Annotated[dict[str, Preset], Field(min_length=1)]
    """By name."""


def load_preset(name: str, path: Path | None = None) -> Preset:
    """A preset by its name.

    Args:
        name: its key in the file.
        path: a file of one's own in place of the shipped one.

    Raises:
        UsageError: there is none of this name, or the file is wrong.
    """
    document = read_yaml(path or SHIPPED)
    presets = validated(document, PresetFile, document.data).presets
    if name not in presets:
        raise UsageError(
            f"{'the shipped file' if path is None else path} has no preset {name!r}",
            next_step=did_you_mean(name, presets, noun="presets"),
        )
    return presets[name]


def presets_json_schema() -> dict[str, Any]:
    """The JSON Schema of presets files, as published in ``presets.schema.json``."""
    schema = PresetFile.model_json_schema(mode="validation")
    schema["patternProperties"] = {"^x-": {"description": "Ignored: a place for YAML anchors."}}
    limits = [{"required": [name]} for name in ("at_least", "at_most", "below")]
    schema["$defs"]["Rule"]["oneOf"] = limits
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", **schema, "title": "edgebench presets"}


if __name__ == "__main__":
    write_atomically(SCHEMA, json.dumps(presets_json_schema(), indent=2) + "\n")
