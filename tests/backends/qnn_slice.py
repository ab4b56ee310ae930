"""A slice of the real model for tests on the emulator: the first layers and the first rows of the vocabulary.

Every pass of the whole model takes the emulator half a minute; a slice computes the same kinds of node in a second.
Made as a session makes artifacts, by worker processes in the converter's environment.
"""

from __future__ import annotations

import dataclasses
import json
import subprocess
from pathlib import Path

import numpy as np

import harness
from harness.backends.qnn import QNN
from harness.frameworks import frameworks
from harness.model import load_models
from harness.paths import cache_dir
from harness.runner.launch import Launch
from harness.runner.process import WorkerProcess
from harness.runner.progress import QuietProgress
from harness.runner.setup import Workshop
from harness.worker.api import Calibration, Made, MakeRequest, Recipe
from harness.worker.bodies import from_body, to_body

MODEL = "smollm2-135m-instruct"
LAYERS = 2
VOCAB = 1024
TIMEOUT_S = 600.0


def workshop() -> Workshop:
    """Environments and the GGUF as a session has them, from the shared cache."""
    return Workshop(
        models=load_models(), entries=frameworks(), cache_dir=cache_dir(), threads=2, progress=QuietProgress()
    )


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
    known = {field.name for field in dataclasses.fields(Made)}
    return from_body(Made, {name: value for name, value in answer.items() if name in known})


def make_float(launch: Launch, gguf: Path, out: Path) -> Made:
    """The float slice of a float32 GGUF."""
    whole = recipe("FP32_STATIC")
    cut = {**whole.parameters, "layers": LAYERS, "vocab": VOCAB}
    return make(launch, dataclasses.replace(whole, parameters=cut), gguf, out)


def made_by(workshop: Workshop, out: Path) -> tuple[Launch, Path]:
    """The converter's launch of a workshop, and the float slice that it made."""
    launch = workshop.launch("qnn", "converter")
    folder = out / "FP32_STATIC"
    make_float(launch, workshop.artifact(MODEL, "llamacpp", "F32").entry, folder)
    return launch, folder


_CPU = """
import json, sys
from pathlib import Path
import numpy as np
sys.path.insert(0, sys.argv[1])
from harness.backends import _qnn_artifact as artifact, _qnn_quantise as quantise
from harness.backends._qnn_host import StaticModel
folder = Path(sys.argv[2])
manifest = artifact.read_manifest(folder)
run = quantise.cpu_run(artifact.graph_file(folder, "block", None))
model = StaticModel(manifest.shape, manifest.context, artifact.read_embedding(folder), {manifest.block: run})
tokens = np.asarray(json.loads(sys.argv[3]), np.int32)
print(json.dumps([int(row.argmax()) for _, rows in model.feed(tokens) for row in rows]))
"""


def cpu_choices(launch: Launch, artifact: Path, tokens: list[int]) -> list[int]:
    """Greedy choices of an artifact's block graph on ONNX Runtime's own CPU provider."""
    root = str(Path(harness.__file__).parent.parent)
    command = [str(launch.python), "-I", "-c", _CPU, root, str(artifact), json.dumps(tokens)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=TIMEOUT_S, check=False)
    assert done.returncode == 0, done.stderr
    chosen: list[int] = json.loads(done.stdout)
    return chosen
