"""The canonical precision of what other tools call theirs.

Owns the few words of tools that are no recipe of ours. Imports our registry of recipes when called. Contract: what is
not known is `UNKNOWN`, never a guess.
"""

from __future__ import annotations

from harness.importing.result import UNKNOWN

#: Words by which tools mean a type of the weights.
_WORDS = {
    "f32": "fp32", "fp32": "fp32", "float32": "fp32", "f16": "fp16", "fp16": "fp16", "float16": "fp16",
    "half": "fp16", "bf16": "bf16", "bfloat16": "bf16", "int8": "int8", "int4": "int4", "fp8": "fp8", "nf4": "nf4",
    "mxfp4": "mxfp4", "nvfp4": "nvfp4", "8bit": "int8", "4bit": "int4",
}  # fmt: skip


def precision_of_recipe(framework: str, recipe: str) -> str:
    """The precision of a framework's recipe; of a word for a type where the framework has no such recipe."""
    from harness.frameworks import frameworks

    entry = frameworks(include_hidden=True).get(framework)
    if entry is not None and entry.error is None:
        for one in entry.backend.recipes:
            if one.name.lower() == recipe.lower():
                return one.precision
    return precision_of_word(recipe)


def precision_of_word(word: str | None) -> str:
    """The precision that a word such as ``float16`` or ``torch.bfloat16`` means."""
    return _WORDS.get((word or "").rpartition(".")[2].strip().lower(), UNKNOWN)
