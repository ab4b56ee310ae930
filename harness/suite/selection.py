"""Choosing cells with ``-k``, by pytest's own rules.

Owns `select`. pytest's evaluator is imported when called: it takes a tenth of a second. Contract: the same
expression chooses the same cells here and in ``pytest suite.yaml -k ...``.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from harness.errors import UsageError
from harness.suite.cell import PlannedCell


def select(cells: Sequence[PlannedCell], expression: str) -> list[PlannedCell]:
    """The cells whose name or parts match: ``"openvino and int4"``, ``"not (mlx or fp16)"``.

    A word matches where it stands anywhere in the cell's name, in one of its parts (framework, model, precision,
    recipe, device, API, workload, id) or in an option, whatever its case. An empty expression chooses all.

    Raises:
        UsageError: the expression is wrong, or no cell matches.
    """
    if not expression.strip():
        return list(cells)
    from _pytest.mark import expression as pytest_expression

    # Older pytest has an exception of its own for what is a SyntaxError now.
    wrong: tuple[type[Exception], ...] = (
        SyntaxError, RecursionError, MemoryError, getattr(pytest_expression, "ParseError", SyntaxError),
    )  # fmt: skip
    try:
        # A workload can be pasted as tables show it: in names, @ is written +.
        compiled = pytest_expression.Expression.compile(expression.replace("@", "+"))
        chosen = [planned for planned in cells if compiled.evaluate(_Matcher(planned))]
    except wrong as error:
        at = getattr(error, "offset", None) or getattr(error, "column", None)
        said = getattr(error, "msg", None) or getattr(error, "message", None) or "nested too deep"
        raise UsageError(
            f"-k {expression!r} is no expression: {said}" + (f" (at character {at})" if at else ""),
            next_step='write words joined by and, or, not and parentheses: -k "openvino and int4"',
        ) from error
    if not chosen:
        some = ", ".join(planned.cell.name for planned in cells[:3])
        raise UsageError(
            f"-k {expression!r} chooses none of the {len(cells)} cells",
            next_step=f"see all with --dry-run; their names are like {some}" if some else "see --dry-run",
        )
    return chosen


class _Matcher:
    """What pytest's `KeywordMatcher` does, for a cell."""

    def __init__(self, planned: PlannedCell) -> None:
        self._names = _lower((planned.cell.name, *planned.cell.parts))

    def __call__(self, name: str, /, **kwargs: str | int | bool | None) -> bool:
        if kwargs:
            raise UsageError("-k takes words without arguments", next_step='write: -k "openvino and int4"')
        wanted = name.lower()
        return any(wanted in each for each in self._names)


def _lower(names: Iterable[str]) -> list[str]:
    return [name.lower().replace("@", "+") for name in names]
