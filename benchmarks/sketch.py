r"""How far is the divergence by a sketch of the reference from the exact one? Over the recipes that were made before.

    python benchmarks/sketch.py --framework openvino [--recipe NAME ...] [--window 512] [--max-windows 2] [--json]

Takes the artifacts that lie in the cache, and makes none. The model's quality reference is scored twice, once keeping
every log-probability and once its sketch; each artifact is then loaded once and scored against both, on the same
windows of the shipped text, the second half of each. A graph of static shape is scored at its own window, every
position of it, against the reference there, as a session does.

Within the promise: 2 % of the exact divergence, or 1e-4 nats. Exit status: 0 all are, 3 one is not, 1 nothing could be
scored, 2 usage.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

import psutil

from harness.artifact import Artifact, ArtifactStore
from harness.errors import EdgebenchError
from harness.frameworks import frameworks
from harness.model import load_models
from harness.paths import cache_dir, data_dir
from harness.runner.process import WorkerProcess
from harness.runner.progress import QuietProgress
from harness.runner.setup import Workshop
from harness.worker.api import LoadSpec
from harness.worker.bodies import to_body

_TIMEOUT_S = 3600.0
#: What is promised of the mean divergence: the larger of the two.
RELATIVE, ABSOLUTE_NATS = 0.02, 1e-4


def within(exact: float, sketch: float) -> bool:
    """Whether a divergence by a sketch is as near to the exact one as it is promised to be."""
    return abs(sketch - exact) <= max(RELATIVE * exact, ABSOLUTE_NATS)


class Scorings:
    """Scores of one model's artifacts, against its reference by either method.

    Args:
        options: of the command line.
        folder: for the references.
    """

    def __init__(self, options: argparse.Namespace, folder: Path) -> None:
        models = load_models()
        self._given, self._folder = options, folder
        self._entries = frameworks()
        self._workshop = Workshop(
            models=models,
            entries=self._entries,
            cache_dir=cache_dir(),
            threads=options.threads,
            progress=QuietProgress(),
        )
        self._made = [one for one in ArtifactStore(cache_dir()).list() if one.model == options.model]
        reference = models[options.model].reference
        self._reference = self._found(reference.framework, reference.recipe)
        self._tokens = self._workshop.tokens(
            options.model, options.corpus or data_dir("suites") / "text" / "scoring.txt"
        )
        self._references: set[int] = set()

    def _found(self, framework: str, recipe: str) -> Artifact:
        for one in self._made:
            if (one.framework, one.recipe) == (framework, recipe):
                return one
        raise EdgebenchError(
            f"the cache has no {framework} {recipe} of {self._given.model}",
            next_step="edgebench model prepare SUITE makes the artifacts of a suite",
        )

    def artifacts(self) -> list[Artifact]:
        """The framework's artifacts that are asked for, one of each recipe, in the order of the recipes."""
        recipes = self._entries[self._given.framework].backend.recipes
        wanted = self._given.recipe or [one.name for one in recipes if not one.intermediate]
        made = {one.recipe: one for one in self._made if one.framework == self._given.framework}
        return [made[name] for name in wanted if name in made]

    def differences(self, artifact: Artifact) -> dict[str, Any]:
        """The mean divergence of an artifact in nats by both methods.

        Raises:
            EdgebenchError: it could not be loaded or scored here.
        """
        static = self._workshop.recipe(artifact.framework, artifact.recipe).static
        window = self._given.window if static is None else static.context_tokens
        spec = self._spec(window, 0 if static is not None else window // 2)
        self._need_reference(window, spec)
        figures: dict[str, Any] = {"window": window}
        with self._worker(artifact, self._given.device, self._given.api, window) as worker:
            for kind in ("exact", "sketch"):
                given = {
                    **spec,
                    "reference_in": str(self._folder / f"{kind}-{window}"),
                    "exact": kind == "exact",
                }
                answer = worker.call("score", given, timeout_s=_TIMEOUT_S)
                positions = sum(one["positions"] for one in answer["windows"])
                figures[kind] = sum(one["kld_sum"] for one in answer["windows"]) / positions
                figures["positions"] = positions
        return figures

    def _spec(self, window: int, score_from: int) -> dict[str, Any]:
        return {
            "tokens_file": str(self._tokens.path), "window": window, "stride": window, "score_from": score_from,
            "max_windows": self._given.max_windows, "bos": self._tokens.bos, "reference_in": None,
            "reference_out": None,
        }  # fmt: skip

    def _need_reference(self, window: int, spec: Mapping[str, Any]) -> None:
        if window in self._references:
            return
        with self._worker(self._reference, "cpu", "cpu", window) as worker:
            for kind in ("exact", "sketch"):
                out = str(self._folder / f"{kind}-{window}")
                given = {**spec, "reference_out": out, "exact": kind == "exact"}
                worker.call("score", given, timeout_s=_TIMEOUT_S)
        self._references.add(window)

    def _worker(self, artifact: Artifact, device: str, api: str, window: int) -> WorkerProcess:
        load = LoadSpec(artifact.entry, device, api, self._given.threads, window)
        launch = self._workshop.launch(artifact.framework, api=api)
        worker = WorkerProcess(launch, log=self._folder / f"{artifact.framework}-{artifact.recipe}.log")
        try:
            worker.call("load", to_body(load), timeout_s=_TIMEOUT_S)
        except BaseException:
            worker.kill()
            raise
        return worker


def measure(options: argparse.Namespace) -> dict[str, Any]:
    """Every artifact's figures, or why it has none."""
    found: dict[str, Any] = {}
    with tempfile.TemporaryDirectory(prefix="edgebench-sketch-") as name:
        scorings = Scorings(options, Path(name))
        for artifact in scorings.artifacts():
            try:
                figures = scorings.differences(artifact)
                figures["within"] = within(figures["exact"], figures["sketch"])
            except EdgebenchError as error:
                figures = {"reason": error.what}
            found[artifact.recipe] = figures
            print(artifact.recipe, figures, file=sys.stderr, flush=True)
    return found


def _print(found: Mapping[str, Mapping[str, Any]]) -> None:
    print("mean divergence in nats: exact, and by the sketch as a share of it and in nats")
    for name, one in found.items():
        if "reason" in one:
            print(f"{name:<28} {one['reason']}")
            continue
        exact, sketch = one["exact"], one["sketch"]
        print(
            f"{name:<28} {exact:<12.5g} {sketch / exact - 1:+.3%} {sketch - exact:+.2g}"
            f"  ({one['positions']} positions, window {one['window']})"
        )


def main() -> int:
    """The command."""
    parser = argparse.ArgumentParser(description="The sketch of the reference against the exact one.")
    parser.add_argument("--framework", required=True, help="whose artifacts are scored")
    parser.add_argument("--model", default="smollm2-135m-instruct", help="of the model list")
    parser.add_argument("--recipe", nargs="+", help="default: every recipe that is in the cache")
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--api", default="cpu", help="of the device, such as qnn-htp-emulator")
    parser.add_argument("--corpus", type=Path, help="UTF-8 text; default: the shipped one")
    parser.add_argument("--window", type=int, default=512, help="of graphs that have none of their own")
    parser.add_argument("--max-windows", type=int, default=2)
    parser.add_argument("--threads", type=int, default=psutil.cpu_count(logical=False) or 1)
    parser.add_argument("--json", action="store_true", help="print JSON instead of a table")
    options = parser.parse_args()
    try:
        found = measure(options)
    except EdgebenchError as error:
        print(f"{error.what}\n{error.next_step}", file=sys.stderr)
        return error.status
    if options.json:
        print(json.dumps(found))
    else:
        _print(found)
    scored = [one for one in found.values() if "reason" not in one]
    if not scored:
        return 1
    return 0 if all(one["within"] for one in scored) else 3


if __name__ == "__main__":
    raise SystemExit(main())
