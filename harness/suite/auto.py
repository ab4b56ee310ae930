"""The keys of a suite that are a number or a rule: `runs` and `warmups`.

Owns how the rules are written in a file and what they set; what they do is `harness.runner.stopping`'s and
`harness.worker.warmup`'s. Contract: a value that exists is in its range.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated, Any, Literal, Self, TypeVar

from pydantic import (
    BeforeValidator,
    Field,
    SerializerFunctionWrapHandler,
    ValidationError,
    WithJsonSchema,
    model_serializer,
    model_validator,
)
from pydantic_core import PydanticCustomError

from harness.model.checked_yaml import Strict, did_you_mean
from harness.model.quantities import DURATION_PATTERN, SHARE_PATTERN, duration_s, share

Seconds = Annotated[
    float,
    BeforeValidator(duration_s),
    WithJsonSchema(
        {
            "anyOf": [
                {"type": "string", "pattern": DURATION_PATTERN},
                {"type": "number", "exclusiveMinimum": 0},
            ]
        }
    ),
]
Share = Annotated[
    float,
    BeforeValidator(share),
    WithJsonSchema(
        {
            "anyOf": [
                {"type": "string", "pattern": SHARE_PATTERN},
                {"type": "number", "exclusiveMinimum": 0, "maximum": 1},
            ]
        }
    ),
]


class Auto(Strict):
    """A rule in place of a number; in a file it stands under `auto`."""

    @model_serializer(mode="wrap")
    def _under_its_key(self, handler: SerializerFunctionWrapHandler) -> dict[str, Any]:
        return {"auto": handler(self)}


class AutoRuns(Auto):
    """When runs of a cell have been repeated often enough."""

    width: Share = 0.02
    """Half the 95 % interval of the median over runs, relative to it, for prefill and for decode."""
    min: int = Field(default=6, ge=2, le=10_000, strict=True)
    """Runs at least. From six on, the interval holds whatever the distribution."""
    max: int = Field(default=30, ge=2, le=10_000, strict=True)
    """Runs at most, suspect ones included."""

    @model_validator(mode="after")
    def _in_order(self) -> Self:
        if self.min > self.max:
            raise ValueError(f"min is {self.min}, above max, which is {self.max}")
        return self


class AutoWarmups(Auto):
    """When a worker is warm."""

    change: Share = 0.1
    """How far three successive passes may lie apart, for prefill and for decode."""
    max: int = Field(default=10, ge=1, le=1_000, strict=True)
    """Passes at most."""
    max_time_s: Seconds = Field(default=30.0, alias="max_time")
    """No further pass begins after this time."""


AutoT = TypeVar("AutoT", bound=Auto)


def _number_or(kind: type[AutoT], low: int, high: int) -> Callable[[Any], Any]:
    """Reads a number from ``low`` to ``high``, ``auto``, or ``{auto: {...}}``."""

    def read(value: Any) -> Any:
        if isinstance(value, kind):
            return value
        if value == "auto":
            return kind()
        if isinstance(value, dict) and value.keys() == {"auto"}:
            return _validated(kind, value["auto"])
        if not isinstance(value, int) or isinstance(value, bool):
            raise ValueError(f"{value!r} is neither a whole number nor auto nor {{auto: ...}}")
        if not low <= value <= high:
            raise ValueError(f"{value} is not from {low} to {high}")
        return value

    return read


def _validated(kind: type[AutoT], keys: Any) -> AutoT:
    try:
        return kind.model_validate(keys)
    except ValidationError as error:
        first: dict[str, Any] = dict(error.errors(include_url=False)[0])
        context = first.get("ctx") or {}
        at = ".".join(["auto", *map(str, first["loc"])])
        step = (
            did_you_mean(context["key"], context["known"], noun="keys here") if "known" in context else None
        )
        said = str(first["msg"]).removeprefix("Value error, ")
        raise PydanticCustomError("suite", "{said}", {"said": f"{at}: {said}", "next_step": step}) from error


class _RunsRule(Strict):
    auto: AutoRuns
    """A rule in place of a number."""


class _WarmupsRule(Strict):
    auto: AutoWarmups
    """A rule in place of a number."""


_NumberOfRuns = Annotated[int, Field(ge=1, le=10_000)]
_NumberOfWarmups = Annotated[int, Field(ge=0, le=1_000)]
Runs = Annotated[
    int | AutoRuns,
    BeforeValidator(
        _number_or(AutoRuns, 1, 10_000), json_schema_input_type=_NumberOfRuns | Literal["auto"] | _RunsRule
    ),
]
Warmups = Annotated[
    int | AutoWarmups,
    BeforeValidator(
        _number_or(AutoWarmups, 0, 1_000),
        json_schema_input_type=_NumberOfWarmups | Literal["auto"] | _WarmupsRule,
    ),
]


def runs_settings(runs: int | AutoRuns) -> dict[str, Any]:
    """The fields of `RunSettings` that the key `runs` sets."""
    if isinstance(runs, int):
        return {"runs": runs, "runs_width": None, "runs_max": None}
    return {"runs": runs.min, "runs_width": runs.width, "runs_max": runs.max}


def warmups_settings(warmups: int | AutoWarmups) -> dict[str, Any]:
    """The fields of `RunSettings` that the key `warmups` sets."""
    if isinstance(warmups, int):
        return {"warmups": warmups, "warmup_change": None, "warmup_max_s": None}
    return {"warmups": warmups.max, "warmup_change": warmups.change, "warmup_max_s": warmups.max_time_s}
