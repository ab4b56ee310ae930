"""Frameworks' own settings: their one word, and one set of them on top of another.

Owns this form (framework -> its option -> value). Pure. Contract: nothing is checked against a framework here.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

#: Framework -> its option -> value.
Options = Mapping[str, Mapping[str, str]]


def options_of(words: Iterable[str]) -> dict[str, dict[str, str]]:
    """``openvino.INFERENCE_PRECISION_HINT=f32`` as framework -> option -> value; of equal ones the last counts.

    Raises:
        ValueError: a word is no such thing; the error's text is the word.
    """
    options: dict[str, dict[str, str]] = {}
    for word in words:
        name, equals, value = word.partition("=")
        framework, _, key = name.partition(".")
        if not (equals and framework and key):
            raise ValueError(word)
        options.setdefault(framework, {})[key] = value
    return options


def merged_options(given: Options, more: Options) -> dict[str, dict[str, str]]:
    """Both; where both set an option, the second holds."""
    merged = {name: dict(options) for name, options in given.items()}
    for name, options in more.items():
        merged.setdefault(name, {}).update(options)
    return merged
