"""YAML files whose every mistake is told with file, line, key and what was meant.

Owns parsing to plain data with the line of each entry, and turning pydantic's findings into one `UsageError`.
Suites and model lists are read through it. Never imports the suite package. Contract: any text gives either a
`Document` or a `UsageError`; scalars follow YAML 1.2 (``on``, ``no`` and ``10:30`` are text, as editors show
them), a key may stand only once, and no tag makes an object.
"""

from __future__ import annotations

import difflib
import io
import math
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar, Self, TypeVar

import yaml
from pydantic import BaseModel, ConfigDict, ValidationError, ValidatorFunctionWrapHandler, model_validator
from pydantic_core import PydanticCustomError

from harness.errors import UsageError

Location = tuple[str | int, ...]

#: Bytes of a file: a hundred times the longest honest one.
MAX_BYTES = 16 * 2**20

#: Digits of a whole number: more than 64 bits need no file.
MAX_DIGITS = 40

#: Entries a file may have once its aliases are written out: far more than any honest one.
MAX_ENTRIES = 100_000


def meant(word: str, known: Iterable[str]) -> str | None:
    """The known word that was probably meant, None when none is near."""
    by_lower = {name.lower(): name for name in known}
    near = difflib.get_close_matches(word.lower(), by_lower, n=1, cutoff=0.6)
    return by_lower[near[0]] if near else None


def did_you_mean(word: str, known: Iterable[str], *, noun: str) -> str:
    """The next step for an unknown word: what was meant, or all there is."""
    names = sorted(set(known))
    near = meant(word, names)
    if near is not None:
        return f'did you mean "{near}"?'
    return f"known {noun}: {', '.join(names)}" if names else f"there are no {noun}"


@dataclass(frozen=True)
class Document:
    """A parsed file.

    Attributes:
        path: where it came from, None for data made by a program.
        data: plain lists, mappings and scalars.
        lines: line (from 1) of each mapping entry's key and each list item, by its location.
        text: the file as it was read.
    """

    path: Path | None
    data: Any
    lines: Mapping[Location, int] = field(default_factory=dict)
    text: str = ""

    def where(self, location: Location = ()) -> str:
        """``file:line`` of the innermost entry on the way to ``location``; the file alone where none is known."""
        if self.path is None:
            return "/".join(map(str, location)) or "the given data"
        for length in range(len(location), 0, -1):
            line = self.lines.get(location[:length])
            if line is not None:
                return f"{self.path}:{line}"
        return str(self.path)

    def error(self, location: Location, message: str, *, next_step: str) -> UsageError:
        """A `UsageError` about one entry."""
        return UsageError(f"{self.where(location)}: {message}", next_step=next_step)


class Strict(BaseModel):
    """A mapping in a file: unknown keys are refused, with the nearest known one.

    A key that begins with a name in `extra_prefixes` is left alone.
    """

    # `ignore` and not `forbid`: the validator below refuses unknown keys, with better words.
    model_config = ConfigDict(
        extra="ignore",
        frozen=True,
        use_attribute_docstrings=True,
        json_schema_extra={"additionalProperties": False},
    )
    extra_prefixes: ClassVar[tuple[str, ...]] = ()

    @model_validator(mode="wrap")
    @classmethod
    def _no_unknown_keys(cls, value: Any, handler: ValidatorFunctionWrapHandler) -> Self:
        if isinstance(value, dict):
            known = cls.key_names()
            for key in value:
                if key not in known and not str(key).startswith(cls.extra_prefixes or "\0"):
                    raise PydanticCustomError(
                        "unknown_key", 'unknown key "{key}"', {"key": key, "known": sorted(known)}
                    )
        result: Self = handler(value)
        return result

    @classmethod
    def key_names(cls) -> list[str]:
        """The keys as a file writes them."""
        return [info.alias or name for name, info in cls.model_fields.items()]


ModelT = TypeVar("ModelT", bound=BaseModel)


def validated(document: Document, model: type[ModelT], data: Any, at: Location = ()) -> ModelT:
    """``data``, which stands at ``at`` in the document, as a ``model``.

    Raises:
        UsageError: every finding on a line of its own.
    """
    try:
        return model.model_validate(data)
    except ValidationError as error:
        findings = [_finding(document, at, dict(detail)) for detail in error.errors(include_url=False)]
        message = "\n".join(dict.fromkeys(text for text, _ in findings))
        steps = dict.fromkeys(step for _, step in findings if step)
        raise UsageError(
            message, next_step="; ".join(steps) or "docs/suites.md describes every key, with examples"
        ) from error


def _finding(document: Document, at: Location, detail: dict[str, Any]) -> tuple[str, str | None]:
    location: Location = (*at, *detail["loc"])
    context = detail.get("ctx") or {}
    kind = detail["type"]
    step: str | None = None
    if kind == "unknown_key":
        location = (*location, context["key"])
        step = did_you_mean(str(context["key"]), context["known"], noun="keys here")
        text = detail["msg"]
    elif kind == "missing":
        text = f'the key "{detail["loc"][-1]}" is missing'
        step = f'add "{detail["loc"][-1]}:"'
        location = location[:-1]
    elif kind == "string_type":
        text = f"{_label(location)} is {detail['input']!r}, and has to be text"
        step = "put it in quotes"
    else:
        text = f"{_label(location)}: {detail['msg'].removeprefix('Value error, ')}"
        step = context.get("next_step")
        if "known" in context:
            step = did_you_mean(str(detail["input"]), context["known"], noun=context["noun"])
        if kind not in ("value_error", "suite") and not isinstance(detail["input"], dict | list):
            text += f" (it is {detail['input']!r})"
    return f"{document.where(location)}: {text}", step


def _label(location: Location) -> str:
    """``workload[1].depth``."""
    label = ""
    for part in location:
        label += f"[{part}]" if isinstance(part, int) else f".{part}" if label else str(part)
    return f'"{label}"' if label else "the file"


# -- parsing ------------------------------------------------------------------------------------------------------


class _Loader(yaml.SafeLoader):
    """Composes nodes; scalars by YAML 1.2's rules."""


_Loader.yaml_implicit_resolvers = {}
for _tag, _pattern, _first in (
    ("null", r"~|null|Null|NULL|", ["~", "n", "N", ""]),
    ("bool", r"true|True|TRUE|false|False|FALSE", list("tTfF")),
    ("int", r"[-+]?[0-9]+", list("-+0123456789")),
    ("float", r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?", list("-+.0123456789")),
    ("merge", r"<<", ["<"]),
):
    _Loader.add_implicit_resolver(f"tag:yaml.org,2002:{_tag}", re.compile(rf"^(?:{_pattern})$"), _first)

_STANDARD = "tag:yaml.org,2002:"


def read_yaml(path: Path) -> Document:
    """Parse a file.

    Raises:
        UsageError: missing, unreadable, not UTF-8, or malformed (with line and column).
    """
    try:
        with path.open("rb") as file:
            raw = file.read(MAX_BYTES + 1)  # it may be a device without an end
        if len(raw) > MAX_BYTES:
            raise UsageError(
                f"{path} is longer than {MAX_BYTES // 2**20} MiB", next_step="name a suite or a model list"
            )
        text = io.TextIOWrapper(io.BytesIO(raw), encoding="utf-8").read()
    except UnicodeDecodeError as error:
        raise UsageError(f"{path} is not UTF-8 text", next_step="save the file as UTF-8") from error
    except FileNotFoundError as error:
        raise UsageError(f"there is no file {path}", next_step="check the path") from error
    except OSError as error:
        raise UsageError(
            f"{path} cannot be read: {error.strerror}", next_step="name a YAML file that you may read"
        ) from error
    return parse_yaml(text, path)


def parse_yaml(text: str, path: Path) -> Document:
    """Parse a text that came from ``path``; see `read_yaml`."""
    try:
        loader = _Loader(text)
        try:
            root = loader.get_single_node()
            if root is None:
                raise UsageError(f"{path} is empty", next_step="docs/suites.md shows what stands in it")
            lines: dict[Location, int] = {}
            data = _Walk(loader, lines, path).value(root, ())
        finally:
            loader.dispose()
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        at = f":{mark.line + 1}:{mark.column + 1}" if mark else ""
        said = ", ".join(part for part in (error.context, error.problem) if part)
        raise UsageError(f"{path}{at}: not YAML: {said}", next_step="correct that line") from error
    except yaml.YAMLError as error:
        raise UsageError(
            f"{path}: not YAML: {str(error).splitlines()[0]}", next_step="save it as plain UTF-8 text"
        ) from error
    except RecursionError as error:
        raise UsageError(
            f"{path}: nested too deep, or an alias that contains itself",
            next_step="write the entries out instead",
        ) from error
    return Document(path, data, lines, text)


class _Walk:
    """Nodes to plain data, noting lines."""

    def __init__(self, loader: _Loader, lines: dict[Location, int], path: Path) -> None:
        self._loader = loader
        self._lines = lines
        self._path = path
        self._entries = 0

    def value(self, node: yaml.Node, at: Location) -> Any:
        self._entries += 1
        if self._entries > MAX_ENTRIES:
            raise UsageError(
                f"{self._path}: more than {MAX_ENTRIES:,} entries once its aliases are written out",
                next_step="use fewer aliases",
            )
        if isinstance(node, yaml.MappingNode) and node.tag == _STANDARD + "map":
            return self._mapping(node, at)
        if isinstance(node, yaml.SequenceNode) and node.tag == _STANDARD + "seq":
            items = []
            for index, item in enumerate(node.value):
                self._lines[(*at, index)] = item.start_mark.line + 1
                items.append(self.value(item, (*at, index)))
            return items
        if isinstance(node, yaml.ScalarNode):
            return _scalar(node)
        raise _unknown_tag(node)

    def _mapping(self, node: yaml.MappingNode, at: Location) -> dict[str, Any]:
        own: dict[str, int] = {}
        for key_node, _ in node.value:
            key = _key(key_node)
            if key_node.tag != _STANDARD + "merge" and key in own:
                raise yaml.constructor.ConstructorError(
                    None,
                    None,
                    f'the key "{key}" stands here twice, first in line {own[key]}',
                    key_node.start_mark,
                )
            own.setdefault(key, key_node.start_mark.line + 1)
        self._loader.flatten_mapping(node)
        # Merged entries come first, so the mapping's own win. Kept short, or merges of merges would multiply.
        node.value = list({_key(key_node): (key_node, value) for key_node, value in node.value}.values())
        result: dict[str, Any] = {}
        for key_node, value_node in node.value:
            here = (*at, key_node.value)
            self._lines[here] = key_node.start_mark.line + 1
            result[key_node.value] = self.value(value_node, here)
        return result


def _key(node: yaml.Node) -> str:
    """A key is its text: 2024 or true as the name of something is nothing else."""
    if not isinstance(node, yaml.ScalarNode):
        raise yaml.constructor.ConstructorError(
            None, None, "a key that is a list or a mapping", node.start_mark
        )
    text: str = node.value
    return text


def _scalar(node: yaml.ScalarNode) -> str | int | float | bool | None:
    text: str = node.value
    match node.tag.removeprefix(_STANDARD):
        case "str":
            return text
        case "null":
            return None
        case "bool":
            return text.lower() == "true"
        case "int" | "float" as kind:
            # An explicit tag (!!int x) may stand on any text; 1e999 is no number that anything can be made of.
            try:
                if len(text) > MAX_DIGITS:
                    raise ValueError
                number = int(text) if kind == "int" else float(text)
                if not math.isfinite(number):
                    raise ValueError
                return number
            except ValueError:
                raise yaml.constructor.ConstructorError(
                    None, None, f"{text[:40]!r} is no number", node.start_mark
                ) from None
    raise _unknown_tag(node)


def _unknown_tag(node: yaml.Node) -> yaml.MarkedYAMLError:
    return yaml.constructor.ConstructorError(
        None, None, f"the tag {node.tag} means nothing here", node.start_mark
    )
