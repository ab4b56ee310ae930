"""llama.cpp's recipes, and which of them a model can have.

Owns the declarations alone: planning reads them without llama.cpp. Imports `harness.worker.api`. Contract: a plain
name is what ``llama-quantize`` makes without further files; ``NAME+imatrix`` is the same file type, quantised with the
importance matrix that the recipe ``imatrix`` collects from the calibration text.
"""

from __future__ import annotations

from harness.worker.api import ModelFacts, Recipe

TOOL = "llama-cpp-python"
F32 = "llamacpp:F32"
IMATRIX = "llamacpp:imatrix"
SUFFIX = "+imatrix"

#: Tokens in one chunk of the calibration text and the largest number of chunks that the importance matrix reads.
CHUNK_TOKENS = 512
CHUNKS = 16

#: Types of so few bits that llama.cpp refuses to make them without an importance matrix.
NEEDING_IMATRIX = frozenset({"IQ2_XXS", "IQ1_S"})


def _recipe(name: str, precision: str, *, default: bool = False) -> Recipe:
    """A recipe that llama.cpp quantises from F32 under its own name."""
    parameters = {"ftype": f"MOSTLY_{name}", "allow_requantize": True}
    return Recipe(name, precision, F32, TOOL, parameters, default)


def _weighted(name: str, precision: str, *, default: bool = False) -> Recipe:
    """The same with an importance matrix."""
    parameters = {"ftype": f"MOSTLY_{name}", "allow_requantize": True, "imatrix": True}
    return Recipe(f"{name}{SUFFIX}", precision, F32, TOOL, parameters, default, needs=(IMATRIX,))


RECIPES: tuple[Recipe, ...] = (
    Recipe("F32", "fp32", "model", TOOL, {"ftype": "ALL_F32", "allow_requantize": True}, default=True),
    _recipe("F16", "fp16", default=True),
    _recipe("BF16", "bf16", default=True),
    _recipe("Q8_0", "int8", default=True),
    _recipe("Q6_K", "int6", default=True),
    _recipe("Q5_K_M", "int5", default=True),
    _recipe("Q5_1", "int5"),
    _recipe("Q5_0", "int5"),
    _recipe("Q4_K_M", "int4", default=True),
    _recipe("Q4_K_S", "int4"),
    _recipe("Q4_0", "int4"),
    _recipe("Q4_1", "int4"),
    _recipe("IQ4_XS", "int4"),
    _recipe("IQ4_NL", "int4"),
    _weighted("Q4_K_M", "int4"),
    _weighted("IQ4_XS", "int4"),
    _recipe("Q3_K_M", "int3", default=True),
    _recipe("IQ3_XXS", "int3"),
    _weighted("Q3_K_M", "int3"),
    _weighted("IQ3_XXS", "int3"),
    _recipe("Q2_K", "int2", default=True),
    _recipe("IQ2_XXS", "int2"),
    _weighted("Q2_K", "int2"),
    _weighted("IQ2_XXS", "int2"),
    _recipe("TQ1_0", "ternary", default=True),
    _recipe("TQ2_0", "ternary"),
    _recipe("IQ1_S", "int1"),
    _weighted("IQ1_S", "int1", default=True),
    Recipe(
        "imatrix",
        "fp32",
        F32,
        TOOL,
        {"chunk_tokens": CHUNK_TOKENS, "max_chunks": CHUNKS},
        calibrated=True,
        intermediate=True,
    ),
)


def refusal(recipe: Recipe, model: ModelFacts) -> str | None:
    """Why this recipe cannot be made for this model; None where it may be tried."""
    if recipe.name in NEEDING_IMATRIX:
        return f"llama.cpp makes {recipe.name} with an importance matrix only: name {recipe.name}{SUFFIX}"
    if model.synthetic is not None:
        if recipe.needs or recipe.intermediate:
            return f"{recipe.name} weighs by a model's activations, and those of random weights mean nothing"
        return None
    if recipe.made_from == "model" and model.format != "gguf":
        return f"llama.cpp takes GGUF files here, and {model.id} is {model.format}"
    return None
