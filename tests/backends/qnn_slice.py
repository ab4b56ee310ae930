"""A slice of the real model for tests on the emulator: the first layers and the first rows of the vocabulary.

Every pass of the whole model takes the emulator half a minute; a slice computes the same kinds of node in a second.
Made as a session makes artifacts, by worker processes in the converter's environment.
"""

from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np

from harness.backends.qnn import QNN
from harness.runner.launch import Launch
from harness.runner.process import WorkerProcess
from harness.worker.api import Calibration, Made, MakeRequest, Recipe
from harness.worker.bodies import from_body, to_body

LAYERS = 2
VOCAB = 1024
TIMEOUT_S = 600.0


def recipe(name: str) -> Recipe:
    """A declared recipe by its name."""
    return next(recipe for recipe in QNN.recipes if recipe.name == name)


def calibration(folder: Path, seed: int = 7) -> Calibration:
    """Seeded tokens below `VOCAB`: enough for ranges, and of no text that is scored."""
    folder.mkdir(parents=True, exist_ok=True)
    tokens = folder / "calibration.i32"
    np.random.default_rng(seed).integers(0, VOCAB, 512, dtype="<i4").tofile(tokens)
    text = folder / "calibration.txt"
    text.write_text("tokens only\n", encoding="utf-8")
    return Calibration(text, tokens, None)


def make(launch: Launch, wanted: Recipe, source: Path, out: Path) -> Made:
    """Run one recipe in a worker of its own."""
    out.mkdir(parents=True)
    given = calibration(out.parent / f"{out.name}-calibration") if wanted.calibrated else None
    request = MakeRequest(wanted, source, out, threads=2, calibration=given)
    with WorkerProcess(launch, log=out.parent / f"{out.name}.log") as worker:
        answer = worker.call("make", to_body(request), timeout_s=TIMEOUT_S)
    answer.pop("seconds")
    return from_body(Made, answer)


def make_float(launch: Launch, gguf: Path, out: Path) -> Made:
    """The float slice of a float32 GGUF."""
    whole = recipe("FP32_STATIC")
    cut = {**whole.parameters, "layers": LAYERS, "vocab": VOCAB}
    return make(launch, dataclasses.replace(whole, parameters=cut), gguf, out)
