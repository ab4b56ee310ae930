"""Every backend against the contract: the scripted one always, a real one with ``--framework NAME``.

``--framework windows`` is the scripted one on a Windows Python under Wine (see `windows_python`).

A real framework gets the environment and the artifact that a session would use; ``--framework-python`` and
``--framework-artifact`` take others instead.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from contract import THREADS, TIMEOUT_S, BackendContract, Subject

from harness.backends.fake import Fake
from harness.frameworks import framework, frameworks
from harness.runner.launch import Launch, launch_for
from harness.runner.process import WorkerProcess

if TYPE_CHECKING:
    from harness.runner.setup import Workshop

MODEL = "smollm2-135m-instruct"
REAL = ("directml", "llamacpp", "mlx", "olive", "openvino", "qnn")
#: The scripted backend: as everywhere here, and as on Windows.
FAKES = ("fake", "fake by standard pipes")


@pytest.fixture(
    scope="class",
    params=[
        *FAKES,
        *(pytest.param(name, marks=pytest.mark.framework(name)) for name in ("windows", *REAL)),
    ],
)
def subject(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Subject:
    if request.param in (*FAKES, "windows"):
        artifact = tmp_path_factory.mktemp("fake") / "fake.json"
        artifact.write_text(json.dumps({"bits": 8, "broken": False}), encoding="utf-8")
        backend = "harness.backends.fake:Fake"
        if request.param == "windows":
            launch = request.getfixturevalue("windows_python").launch(backend)
        else:
            launch = Launch(Path(sys.executable), backend, standard_pipes=request.param == FAKES[1])
        return Subject(launch, artifact, Fake.capabilities)
    return _real(
        str(request.param),
        request.config.getoption("--framework-python"),
        request.config.getoption("--framework-artifact"),
        tmp_path_factory.mktemp("subject"),
    )


def _qnn_slice(workshop: Workshop, launch: Launch, name: str, folder: Path) -> Subject:
    """The emulated NPU takes half a minute for a pass of the whole model: the contract is checked on a slice."""
    import qnn_slice

    recipe = qnn_slice.recipe(name)
    converter, source = qnn_slice.made_by(workshop, folder)
    qnn_slice.make(converter, recipe, source, folder / name)
    assert recipe.static is not None
    return Subject(
        launch,
        folder / name,
        framework("qnn").backend.capabilities,
        device="cpu",
        api="qnn-htp-emulator",
        context_tokens=recipe.static.context_tokens,
    )


def _real(name: str, python: str | None, artifact: str | None, folder: Path) -> Subject:
    # Here: whoever runs no real framework needs none of this.
    from harness.model import load_models
    from harness.paths import cache_dir
    from harness.runner.progress import QuietProgress
    from harness.runner.setup import Workshop

    entry = framework(name)
    workshop = Workshop(
        models=load_models(),
        entries=frameworks(),
        cache_dir=cache_dir(),
        threads=THREADS,
        progress=QuietProgress(),
    )
    launch = launch_for(entry, Path(python)) if python else workshop.launch(name)
    if artifact is None:
        half = entry.backend.baseline_precision or "fp32"
        recipe = next(r.name for r in entry.backend.recipes if r.precision == half and r.default)
        if name == "qnn":
            return _qnn_slice(workshop, launch, recipe, folder)
        made, source = workshop.artifact(MODEL, name, recipe), workshop.model_file(MODEL)
        return Subject(launch, made.entry, entry.backend.capabilities, model=source.path)
    return Subject(launch, Path(artifact), entry.backend.capabilities)


@pytest.fixture(scope="class")
def fresh(subject: Subject, tmp_path_factory: pytest.TempPathFactory) -> Iterator[WorkerProcess]:
    with WorkerProcess(subject.launch, log=tmp_path_factory.mktemp("contract") / "fresh.log") as worker:
        yield worker


@pytest.fixture(scope="class")
def loaded(subject: Subject, tmp_path_factory: pytest.TempPathFactory) -> Iterator[WorkerProcess]:
    with WorkerProcess(subject.launch, log=tmp_path_factory.mktemp("contract") / "loaded.log") as worker:
        worker.call("load", subject.load_body(), timeout_s=TIMEOUT_S)
        yield worker


class TestContract(BackendContract):
    """Collected once for each backend."""
