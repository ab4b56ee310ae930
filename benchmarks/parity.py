"""Does the common runner measure what the framework's own benchmark measures? Ours against the tool, in pairs.

    python benchmarks/parity.py --framework llamacpp --artifact F16.gguf
    python benchmarks/parity.py --framework openvino --artifact FOLDER
    python benchmarks/parity.py --framework mlx --artifact FOLDER
    python benchmarks/parity.py --framework olive --artifact FOLDER --json

Each pair is one run of the common runner's worker and one of the tool, each in fresh processes, in an order that is
drawn and turned round in every second pair, on the same artifact with the same settings and threads. The figure of a
process is the median of its repetitions. Pairs are added until the half-width of the 95 % interval of the ratio of
tokens per second (ours / tool) is below ``--half-width`` for prefill and for decode, or ``--max-pairs`` are done: then
the answer of a phase is ``inconclusive`` where its interval is too wide. `parity_tools/pairing.py` has the statistics.

What each tool is, and every definition that differs with what was done about it: the docstrings of
`parity_tools/llamacpp.py`, `openvino.py`, `mlx.py` and `olive.py`. Common to all: ours is ``prefill_s`` and
``decode_s`` of a timed run without depth, one warm-up before it (docs/method.md).

Exit status: 0 the ratios were measured and none is conclusively beyond the tolerance (read ``answer``: it may be
``inconclusive``), 3 a phase is conclusively beyond it, 2 the words were wrong, 1 anything else.
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
import tempfile
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

import psutil

from harness.environment import EnvironmentManager
from harness.errors import EdgebenchError
from harness.frameworks import framework
from harness.paths import cache_dir
from harness.runner.launch import launch_for
from harness.runner.process import WorkerProcess
from parity_tools import TOOLS
from parity_tools.pairing import compare
from parity_tools.tool import PHASES, TIMEOUT_S, Case, Seconds, Shape, Tool

BEYOND = 3


class Ours:
    """The common runner's worker.

    Args:
        tool: the other side; it says which options make the two comparable.
        python: of the framework's environment.
        artifact: what is loaded.
        threads: of the computation.
        shape: the work.
        log: file for the workers' output.
    """

    def __init__(
        self, tool: Tool, python: Path, artifact: Path, threads: int, shape: Shape, log: Path
    ) -> None:
        self._launch = launch_for(tool.framework, python)
        self._shape = shape
        self._log = log
        device, api = tool.device
        self._load = {
            "artifact": str(artifact),
            "device": device,
            "api": api,
            "threads": threads,
            "context_tokens": shape.prompt_tokens + shape.decode_tokens,
            "options": dict(tool.load_options),
        }

    def loaded(self) -> dict[str, Any]:
        """What the backend says about the loaded artifact: settings in force, size of the vocabulary."""
        with WorkerProcess(self._launch, log=self._log) as worker:
            return worker.call("load", self._load, timeout_s=TIMEOUT_S)

    def seconds(self, seed: int) -> Seconds:
        """One timed run in a fresh process."""
        timed = {
            "prompt_tokens": self._shape.prompt_tokens,
            "decode_tokens": self._shape.decode_tokens,
            "depth": 0,
            "repetitions": self._shape.repetitions,
            "warmups": 1,
            "seed": seed,
        }
        with WorkerProcess(self._launch, log=self._log) as worker:
            worker.call("load", self._load, timeout_s=TIMEOUT_S)
            samples = worker.call("timed", timed, timeout_s=TIMEOUT_S)["samples"]
        values = [sample["values"] for sample in samples if not sample["warmup"]]
        return {phase: statistics.median(value[f"{phase}_s"] for value in values) for phase in PHASES}


def environment_python(framework_id: str) -> Path:
    """The Python of the framework's environment, which is made if it is missing."""
    manager = EnvironmentManager(cache_dir())
    return manager.ensure(framework(framework_id).backend, "cpu", progress=_say).python


def _say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


def parse(arguments: list[str] | None) -> argparse.Namespace:
    """The options; the shape's defaults are the framework's."""
    parser = argparse.ArgumentParser(
        description="Compare the common runner with the framework's own benchmark.",
        epilog="Exit status: 0 measured, nothing conclusively beyond the tolerance; 3 a phase is; 2 usage; 1 else.",
    )
    parser.add_argument("--framework", choices=tuple(TOOLS), required=True)
    helps = "; ".join(f"{name}: {tool.help}" for name, tool in TOOLS.items())
    parser.add_argument("--tool", type=Path, help=helps)
    parser.add_argument("--artifact", type=Path, required=True, help="the file or folder of an artifact")
    parser.add_argument("--json", action="store_true", help="print JSON instead of a table")
    cores = psutil.cpu_count(logical=False) or psutil.cpu_count() or 1
    parser.add_argument("--threads", type=int, default=cores, help="default: the physical cores")
    for name, what in (
        ("prompt-tokens", "tokens of the prompt"),
        ("decode-tokens", "tokens decoded behind it"),
        ("repetitions", "in each process, its median counts"),
    ):
        field = name.replace("-", "_")
        each = ", ".join(f"{key} {getattr(tool.default_shape, field)}" for key, tool in TOOLS.items())
        parser.add_argument(f"--{name}", type=int, help=f"{what}; default: {each}")
    parser.add_argument("--min-pairs", type=int, default=6)
    parser.add_argument("--max-pairs", type=int, default=40)
    parser.add_argument(
        "--half-width", type=float, default=0.02, help="of the interval; a share of the ratio"
    )
    parser.add_argument("--tolerance", type=float, default=0.03, help="how far a ratio may be from 1")
    parser.add_argument("--seed", type=int, default=0, help="of the order within pairs")
    parser.add_argument(
        "--python", type=Path, help="of the framework's environment; default: edgebench's own"
    )
    options = parser.parse_args(arguments)
    for name in ("prompt_tokens", "decode_tokens", "repetitions"):
        if getattr(options, name) is None:
            setattr(options, name, getattr(TOOLS[options.framework].default_shape, name))
    for name in ("threads", "prompt_tokens", "decode_tokens", "repetitions"):
        if getattr(options, name) < 1:
            parser.error(f"--{name.replace('_', '-')} must be at least 1")
    if not 2 <= options.min_pairs <= options.max_pairs:
        parser.error("--min-pairs must be at least 2 and at most --max-pairs")
    return options


def measure(options: argparse.Namespace) -> dict[str, Any]:
    """The summary of each phase, and under ``run`` what was compared.

    Raises:
        EdgebenchError: one side cannot be run.
    """
    tool = TOOLS[options.framework]
    shape = Shape(options.prompt_tokens, options.decode_tokens, options.repetitions)
    artifact = tool.artifact(options.artifact.resolve())
    python = options.python or environment_python(tool.framework)
    command = tool.command(options.tool, python)
    with tempfile.TemporaryDirectory(prefix="edgebench-parity-") as folder:
        ours = Ours(tool, python, artifact, options.threads, shape, Path(folder) / "worker.log")
        loaded = ours.loaded()
        case = Case(artifact, options.threads, shape, loaded["vocab_size"], loaded["hints"])

        def progress(pairs: int, result: dict[str, dict[str, Any]]) -> None:
            figures = "  ".join(f"{phase} {_interval(each)}" for phase, each in result.items())
            _say(f"pair {pairs} of at most {options.max_pairs}  {figures}".rstrip())

        result: dict[str, Any] = compare(
            ours.seconds,
            lambda pair: tool.seconds(command, case, pair),
            min_pairs=options.min_pairs,
            max_pairs=options.max_pairs,
            half_width=options.half_width,
            tolerance=options.tolerance,
            seed=options.seed,
            progress=progress,
        )
    result["run"] = {
        "framework": tool.framework,
        "tool": command,
        "artifact": str(artifact),
        "threads": options.threads,
        "prompt_tokens": shape.prompt_tokens,
        "decode_tokens": shape.decode_tokens,
        "repetitions": shape.repetitions,
        "hints": loaded["hints"],
    }
    return result


def _interval(each: dict[str, Any]) -> str:
    return f"{each['ratio']:.4f} [{each['low']:.4f}, {each['high']:.4f}]"


def main(arguments: list[str] | None = None) -> int:
    options = parse(arguments)
    try:
        result = measure(options)
    except EdgebenchError as error:
        print(f"{error.what}\n{error.next_step}", file=sys.stderr)
        return error.status
    if options.json:
        print(json.dumps(result))
    else:
        print(f"{'phase':<8} {'ours / tool':>11} {'95 % interval':>18} {'pairs':>6}  answer")
        for phase in PHASES:
            each = result[phase]
            interval = f"[{each['low']:.4f}, {each['high']:.4f}]"
            print(f"{phase:<8} {each['ratio']:>11.4f} {interval:>18} {each['pairs']:>6}  {each['answer']}")
    return BEYOND if any(result[phase]["answer"] == "beyond" for phase in PHASES) else 0


if __name__ == "__main__":
    raise SystemExit(main())
