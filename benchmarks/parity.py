"""Does the common runner measure what the framework's own benchmark measures? Ours against llama-bench, in pairs.

    python benchmarks/parity.py --framework llamacpp --tool "$(python benchmarks/llama_tools.py)" --artifact F16.gguf

Each pair is one run of the common runner's worker and one of the tool, each in fresh processes, in random order, on
the same file with the same settings (threads, batch sizes, KV cache types, flash attention, load mode; one table,
`_SETTINGS`, gives both command lines). The figure of a process is the median of its repetitions. A pair gives one log
ratio of tokens per second, ours / tool; the estimate is their 20 % trimmed mean (a shared machine has outliers on
either side), its 95 % interval a bootstrap over pairs. Pairs are added until the interval's half-width is below
``--half-width`` for prefill and for decode, or ``--max-pairs`` are done: then ``conclusive`` is false where it is not.

Definitions that differ, and what was done about each:

- The depth of decoding. Ours decodes after its own prompt, so the tool decodes at depth ``--prompt-tokens``
  (``-p 0 -n N -d P``), in a process apart from its prefill (``-p P -n 0``).
- The span of decoding. Ours is the sum of the synchronised forward passes; the tool's is its whole loop, with drawing a
  random token and filling a batch. That is microseconds a token; left as it is.
- The next token. Ours is the greedy choice, the tool's is random. Both draw random prompts (the tool's begins with BOS
  where the model wants one). A dense model's time does not depend on which token; left as it is. Our argmax is outside
  the timed span, but runs between two passes.
- The context. The tool reserves P for prefill and P + N for decode, ours P + N for both; attention covers the cells in
  use, rounded up to 256, so this changes memory and not time.
- Warm-up. Both process the whole prompt once untimed. Before decoding the tool computes one token at depth 0 and then
  fills the cache, ours decodes N tokens once.
- Repetitions. Ours fills the cache anew each time, the tool restores a copy of its state from the first one on.
- Counters. Ours keeps llama.cpp's own counters on (two clock readings a pass), the tool keeps them off.
- Threads. Both attach a ggml thread pool with polling level 50 and use one thread count for both phases.
- The process. Ours is Python calling the same C functions; that is what is on trial.
"""

from __future__ import annotations

import argparse
import json
import math
import random
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

import numpy as np
import numpy.typing as npt
import psutil

from harness.errors import EdgebenchError
from harness.runner.launch import launch_for
from harness.runner.process import WorkerProcess

#: Load option of the backend, the tool's flag, the value on both sides.
_SETTINGS = (
    ("n_batch", "--batch-size", "2048"),
    ("n_ubatch", "--ubatch-size", "512"),
    ("type_k", "--cache-type-k", "f16"),
    ("type_v", "--cache-type-v", "f16"),
    ("flash_attn", "--flash-attn", "auto"),
    ("load_mode", "--load-mode", "auto"),
    ("poll", "--poll", "50"),
)
_PHASES = ("prefill", "decode")
_TRIM = 0.2
_RESAMPLES = 2000
_TIMEOUT_S = 1800.0

#: Seconds of prefill and of decode, each the median over a process's repetitions.
Seconds = dict[str, float]


def ours(python: Path, options: argparse.Namespace, seed: int, log: Path) -> Seconds:
    """One run of the common runner's worker."""
    load = {
        "artifact": str(options.artifact),
        "device": "cpu",
        "api": "cpu",
        "threads": options.threads,
        "context_tokens": options.prompt_tokens + options.decode_tokens,
        "options": {name: value for name, _, value in _SETTINGS},
    }
    timed = {
        "prompt_tokens": options.prompt_tokens,
        "decode_tokens": options.decode_tokens,
        "depth": 0,
        "repetitions": options.repetitions,
        "warmups": 1,
        "seed": seed,
    }
    with WorkerProcess(launch_for("llamacpp", python), log=log) as worker:
        worker.call("load", load, timeout_s=_TIMEOUT_S)
        samples = worker.call("timed", timed, timeout_s=_TIMEOUT_S)["samples"]
    values = [sample["values"] for sample in samples if not sample["warmup"]]
    return {phase: statistics.median(value[f"{phase}_s"] for value in values) for phase in _PHASES}


def tool(options: argparse.Namespace) -> Seconds:
    """One run of llama-bench for each phase."""
    shapes = {
        "prefill": ("-p", str(options.prompt_tokens), "-n", "0", "-d", "0"),
        "decode": ("-p", "0", "-n", str(options.decode_tokens), "-d", str(options.prompt_tokens)),
    }
    return {phase: _tool_seconds(options, shape) for phase, shape in shapes.items()}


def _tool_seconds(options: argparse.Namespace, shape: tuple[str, ...]) -> float:
    settings = [word for _, flag, value in _SETTINGS for word in (flag, value)]
    command = [str(options.tool), "-m", str(options.artifact), "-t", str(options.threads), *settings, *shape]
    command += ["-ngl", "0", "-dev", "none", "-r", str(options.repetitions), "-o", "json"]
    try:
        result = subprocess.run(
            command, capture_output=True, encoding="utf-8", timeout=_TIMEOUT_S, check=False
        )
        if result.returncode != 0:
            raise ValueError(f"status {result.returncode}: {result.stderr.strip()[-400:]}")
        (test,) = json.loads(result.stdout)
        return float(statistics.median(test["samples_ns"])) / 1e9
    except (OSError, ValueError, KeyError, subprocess.TimeoutExpired) as error:
        raise EdgebenchError(
            f"{options.tool} gave no figure: {error}",
            next_step="give a llama-bench of the pinned version with --tool; benchmarks/llama_tools.py builds one",
        ) from error


def trimmed_mean(values: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """Mean over the last axis without its lowest and highest fifth."""
    cut = int(values.shape[-1] * _TRIM)
    kept: npt.NDArray[np.float64] = np.sort(values, axis=-1)[..., cut : values.shape[-1] - cut]
    mean: npt.NDArray[np.float64] = kept.mean(axis=-1)
    return mean


def summary(log_ratios: Sequence[float], half_width: float) -> dict[str, Any]:
    """Ratio, 95 % interval, pairs, and whether the interval is narrow enough.

    Args:
        log_ratios: one a pair, at least two.
        half_width: limit of the interval's half-width, as a share of the ratio.
    """
    values = np.asarray(log_ratios, dtype=np.float64)
    # Seeded: the same pairs give the same interval.
    drawn = np.random.default_rng(0).integers(0, len(values), size=(_RESAMPLES, len(values)))
    low, high = np.quantile(trimmed_mean(values[drawn]), (0.025, 0.975))
    return {
        "ratio": math.exp(float(trimmed_mean(values))),
        "low": math.exp(float(low)),
        "high": math.exp(float(high)),
        "pairs": len(values),
        "conclusive": bool((high - low) / 2 < half_width),
    }


def compare(
    measure_ours: Callable[[int], Seconds],
    measure_tool: Callable[[], Seconds],
    *,
    min_pairs: int,
    max_pairs: int,
    half_width: float,
    seed: int,
) -> dict[str, dict[str, Any]]:
    """Add pairs until both phases are conclusive, or there are ``max_pairs``; the summary of each phase."""
    order = random.Random(seed)
    log_ratios: dict[str, list[float]] = {phase: [] for phase in _PHASES}
    result: dict[str, dict[str, Any]] = {}
    for pair in range(max_pairs):
        if order.random() < 0.5:
            our_seconds = measure_ours(pair)
            tool_seconds = measure_tool()
        else:
            tool_seconds = measure_tool()
            our_seconds = measure_ours(pair)
        for phase in _PHASES:
            log_ratios[phase].append(math.log(tool_seconds[phase] / our_seconds[phase]))
        if pair + 1 < min_pairs:
            _progress(pair + 1, max_pairs, {})
            continue
        result = {phase: summary(log_ratios[phase], half_width) for phase in _PHASES}
        _progress(pair + 1, max_pairs, result)
        if all(each["conclusive"] for each in result.values()):
            break
    return result


def _progress(pairs: int, most: int, result: dict[str, dict[str, Any]]) -> None:
    figures = "  ".join(f"{phase} {_interval(each)}" for phase, each in result.items())
    print(f"pair {pairs} of at most {most}  {figures}".rstrip(), file=sys.stderr, flush=True)


def _interval(each: dict[str, Any]) -> str:
    return f"{each['ratio']:.4f} [{each['low']:.4f}, {each['high']:.4f}]"


def _environment_python() -> Path:
    """The Python of the framework's environment, which is made if it is missing."""
    # Not at the top: with --python none of this is needed.
    from harness.backends.llamacpp import LlamaCpp
    from harness.environment import EnvironmentManager
    from harness.paths import cache_dir

    def progress(text: str) -> None:
        print(text, file=sys.stderr, flush=True)

    return EnvironmentManager(cache_dir()).ensure(LlamaCpp, "cpu", progress=progress).python


def _options(arguments: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description="Compare the common runner with the framework's own benchmark."
    )
    parser.add_argument("--framework", choices=("llamacpp",), required=True)
    parser.add_argument("--tool", type=Path, required=True, help="llama-bench of the same source")
    parser.add_argument("--artifact", type=Path, required=True, help="GGUF file")
    parser.add_argument("--json", action="store_true", help="print JSON instead of a table")
    parser.add_argument(
        "--threads", type=int, default=psutil.cpu_count(logical=False) or psutil.cpu_count() or 1
    )
    parser.add_argument("--prompt-tokens", type=int, default=512)
    parser.add_argument("--decode-tokens", type=int, default=64)
    parser.add_argument("--repetitions", type=int, default=3, help="in each process, its median counts")
    parser.add_argument("--min-pairs", type=int, default=6)
    parser.add_argument("--max-pairs", type=int, default=40)
    parser.add_argument("--half-width", type=float, default=0.02)
    parser.add_argument("--seed", type=int, default=0, help="of the order within pairs")
    parser.add_argument(
        "--python", type=Path, help="of the framework's environment; default: edgebench's own"
    )
    options = parser.parse_args(arguments)
    for name in ("threads", "prompt_tokens", "decode_tokens", "repetitions"):
        if getattr(options, name) < 1:
            parser.error(f"--{name.replace('_', '-')} must be at least 1")
    if not 2 <= options.min_pairs <= options.max_pairs:
        parser.error("--min-pairs must be at least 2 and at most --max-pairs")
    for name in ("tool", "artifact"):
        path = getattr(options, name).resolve()
        if not path.is_file():
            parser.error(f"--{name}: there is no file {path}")
        setattr(options, name, path)
    return options


def main(arguments: list[str] | None = None) -> int:
    options = _options(arguments)
    try:
        python = options.python or _environment_python()
        with tempfile.TemporaryDirectory(prefix="edgebench-parity-") as folder:
            log = Path(folder) / "worker.log"
            result = compare(
                lambda pair: ours(python, options, pair, log),
                lambda: tool(options),
                min_pairs=options.min_pairs,
                max_pairs=options.max_pairs,
                half_width=options.half_width,
                seed=options.seed,
            )
    except EdgebenchError as error:
        print(f"{error.what}\n{error.next_step}", file=sys.stderr)
        return error.status
    if options.json:
        print(json.dumps(result))
        return 0
    print(f"{'phase':<8} {'ours / tool':>11} {'95 % interval':>18} {'pairs':>6}  conclusive")
    for phase, each in result.items():
        interval = f"[{each['low']:.4f}, {each['high']:.4f}]"
        print(f"{phase:<8} {each['ratio']:>11.4f} {interval:>18} {each['pairs']:>6}  {each['conclusive']}")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
