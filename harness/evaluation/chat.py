"""A model's chat template, rendered as Hugging Face's tokenizers render it.

Owns the Jinja environment that templates expect. Runs in lm-eval's environment. Contract: a template comes with a
model, so it is data: it runs in Jinja's sandbox and cannot change what it is given.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any


def render(
    template: str,
    messages: Sequence[Mapping[str, str]],
    *,
    bos_text: str,
    eos_text: str,
    add_generation_prompt: bool,
) -> str:
    """The conversation as one text.

    Args:
        template: the model's own.
        messages: ``role`` and ``content`` each.
        bos_text: what the template knows as ``bos_token``.
        eos_text: what it knows as ``eos_token``.
        add_generation_prompt: end with the beginning of the model's answer; else the last message stays open, to be
            continued.

    Raises:
        ValueError: the template refuses this conversation, or changes what was said last.
    """
    from jinja2 import TemplateError
    from jinja2.ext import loopcontrols
    from jinja2.sandbox import ImmutableSandboxedEnvironment

    def refuse(message: str) -> None:
        raise TemplateError(message)

    def tojson(value: Any, ensure_ascii: bool = False, indent: int | None = None) -> str:
        return json.dumps(value, ensure_ascii=ensure_ascii, indent=indent)

    environment = ImmutableSandboxedEnvironment(
        trim_blocks=True, lstrip_blocks=True, extensions=[loopcontrols]
    )
    environment.filters["tojson"] = tojson
    environment.globals["raise_exception"] = refuse
    environment.globals["strftime_now"] = lambda form: datetime.now().astimezone().strftime(form)
    try:
        text = environment.from_string(template).render(
            messages=list(messages),
            bos_token=bos_text,
            eos_token=eos_text,
            add_generation_prompt=add_generation_prompt,
        )
    except TemplateError as error:
        raise ValueError(f"the model's chat template refuses the question: {error}") from error
    if add_generation_prompt:
        return text
    last = messages[-1]["content"]
    end = text.rfind(last.strip())
    if end < 0:
        raise ValueError("the model's chat template changes the last message, so it cannot be continued")
    return text[: end + len(last.strip())] + last[len(last.rstrip()) :]
