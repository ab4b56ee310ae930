r"""Is our divergence that of llama.cpp, and how fast is it? Ours against llama-perplexity, on the same windows.

    python benchmarks/scoring.py --tool "$(python benchmarks/llama_tools.py --target llama-perplexity)" \
        --reference F32.gguf --artifact Q4_K_M.gguf Q2_K.gguf --corpus text.txt [--max-windows 20] [--json]

Both tools score the second half of disjoint windows of 512 tokens, with the same threads, batch sizes and KV cache
types. Definitions that differ, and what was done about each:

- The reference. llama-perplexity keeps 16-bit logits, so its divergence of a file from itself is some 5e-4 and not 0;
  ours is measured twice, by the exact reference and by its sketch.
- Speed. Fresh processes in random order. Ours: seconds of the worker's scoring (divergence, percentiles and the file of
  positions included), without loading. The tool's: its whole duration less its load time, or its own "prompt eval",
  whichever is faster. Both ratios are ours / tool in tokens per second: against plain perplexity, which does less than
  ours, and against its own divergence.
"""

from __future__ import annotations

import argparse
import json
import math
import random
import re
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

import psutil

from harness.errors import EdgebenchError
from harness.runner.launch import launch_for
from harness.runner.process import WorkerProcess
from parity import environment_python

WINDOW = 512
_TIMEOUT_S = 3600.0
_OPTIONS = {"n_batch": "2048", "n_ubatch": "512", "type_k": "f16", "type_v": "f16"}
_NUMBER = r"\s*[:=]\s*(-?[0-9.]+(?:e-?[0-9]+)?)"


class Ours:
    """The common runner's worker, asked to score. Every method raises what the worker does: `EdgebenchError`."""

    def __init__(self, python: Path, options: argparse.Namespace, folder: Path) -> None:
        self._python, self._given, self._folder = python, options, folder
        self._tokens = folder / "tokens.i32"
        with self._worker() as worker:
            text = {
                "model": str(options.reference),
                "text_file": str(options.corpus),
                "out": str(self._tokens),
            }
            told = worker.call("tokenize", text, timeout_s=_TIMEOUT_S)
        self._bos = told["bos"]
        self.windows = min(int(told["tokens"]) // WINDOW, options.max_windows)

    def _worker(self) -> WorkerProcess:
        return WorkerProcess(launch_for("llamacpp", self._python), log=self._folder / "worker.log")

    def score(self, artifact: Path, *, reference: str | None, out: str | None, exact: bool) -> dict[str, Any]:
        """One scoring in a fresh process."""
        load = {
            "artifact": str(artifact), "device": "cpu", "api": "cpu", "threads": self._given.threads,
            "context_tokens": WINDOW, "options": _OPTIONS,
        }  # fmt: skip
        spec = {
            "tokens_file": str(self._tokens), "window": WINDOW, "stride": WINDOW, "score_from": WINDOW // 2,
            "max_windows": self.windows, "bos": self._bos, "exact": exact,
            "reference_in": None if reference is None else str(self._folder / reference),
            "reference_out": None if out is None else str(self._folder / out),
            "positions_out": str(self._folder / "positions"),
        }  # fmt: skip
        with self._worker() as worker:
            worker.call("load", load, timeout_s=_TIMEOUT_S)
            answer = worker.call("score", spec, timeout_s=_TIMEOUT_S)
        positions = sum(one["positions"] for one in answer["windows"])
        answer["nll"] = sum(one["nll_sum"] for one in answer["windows"]) / positions
        if reference is not None:
            answer["kld_mean"] = sum(one["kld_sum"] for one in answer["windows"]) / positions
            answer["same_top"] = sum(one["same_top"] for one in answer["windows"]) / positions
        answer["tps"] = self.windows * WINDOW / answer["score_s"]
        return answer


class Tool:
    """llama-perplexity."""

    def __init__(self, options: argparse.Namespace, folder: Path, windows: int) -> None:
        self._given, self._folder, self._windows = options, folder, windows

    def run(self, artifact: Path, *more: str) -> tuple[str, float]:
        """Its output, and tokens per second over the windows."""
        command = [
            str(self._given.tool),
            "-m",
            str(artifact),
            "-t",
            str(self._given.threads),
            "-c",
            str(WINDOW),
        ]
        command += ["-f", str(self._given.corpus), "--chunks", str(self._windows), "-b", "2048", "-ub", "512"]
        command += ["-ctk", "f16", "-ctv", "f16", "-ngl", "0", "-dev", "none", *more]
        begin = time.monotonic()
        done = subprocess.run(command, capture_output=True, encoding="utf-8", timeout=_TIMEOUT_S, check=False)
        wall_s = time.monotonic() - begin
        text = done.stdout + done.stderr
        if done.returncode != 0:
            raise EdgebenchError(
                f"{self._given.tool} ended with status {done.returncode}: {text[-400:]}",
                next_step="build it with benchmarks/llama_tools.py --target llama-perplexity",
            )
        load = re.search(r"load time\s*=\s*([0-9.]+) ms", text)
        told = re.search(r"prompt eval time\s*=\s*([0-9.]+) ms /\s*([0-9]+) tokens", text)
        tokens = self._windows * WINDOW
        speeds = [tokens / (wall_s - (float(load.group(1)) / 1e3 if load else 0.0))]
        if told is not None:
            speeds.append(float(told.group(2)) / (float(told.group(1)) / 1e3))
        return text, max(speeds)

    def perplexity(self, artifact: Path, base: Path | None = None) -> tuple[float, float]:
        """Perplexity and tokens per second; with ``base`` the logits are kept there."""
        text, tps = self.run(artifact, *(("--kl-divergence-base", str(base)) if base else ()))
        return _figure(text, r"Final estimate: PPL" + _NUMBER), tps

    def divergence(self, artifact: Path, base: Path) -> dict[str, float]:
        """Its figures of divergence from the kept logits."""
        text, tps = self.run(artifact, "--kl-divergence-base", str(base), "--kl-divergence")
        return {
            "perplexity": _figure(text, r"Mean PPL\(Q\)" + _NUMBER),
            "kld_mean": _figure(text, r"Mean\s+KLD" + _NUMBER),
            "kld_median": _figure(text, r"Median\s+KLD" + _NUMBER),
            "kld_p99": _figure(text, r"99\.0%\s+KLD" + _NUMBER),
            "same_top": _figure(text, r"Same top p" + _NUMBER) / 100,
            "tps": tps,
        }


def _figure(text: str, pattern: str) -> float:
    found = re.search(pattern, text)
    if found is None:
        raise EdgebenchError(f"the tool's output has no {pattern}", next_step=text[-1500:])
    return float(found.group(1))


def measure(options: argparse.Namespace) -> dict[str, Any]:
    """The reference once, and what both sides say of each artifact.

    Raises:
        EdgebenchError: one side could not be run.
    """
    python = options.python or environment_python("llamacpp")
    with tempfile.TemporaryDirectory(prefix="edgebench-scoring-") as name:
        folder = Path(name)
        ours = Ours(python, options, folder)
        tool = Tool(options, folder, ours.windows)
        base = folder / "base.kld"
        reference_ppl, _ = tool.perplexity(options.reference, base)
        own = ours.score(options.reference, reference=None, out="exact", exact=True)
        ours.score(options.reference, reference=None, out="sketch", exact=False)
        itself = ours.score(options.reference, reference="exact", out=None, exact=True)
        artifacts = {}
        for artifact in options.artifact:
            artifacts[artifact.stem] = figures = agreement(ours, tool, artifact, base)
            if options.pairs:
                figures |= speed(ours, tool, artifact, base, options.pairs)
            print(artifact.stem, figures, file=sys.stderr, flush=True)
        return {
            "windows": ours.windows,
            "threads": options.threads,
            "reference_perplexity": [math.exp(own["nll"]), reference_ppl],
            "self_kld": itself["kld_mean"],
            "reference_bytes": {kind: (folder / kind).stat().st_size for kind in ("exact", "sketch")},
            "artifacts": artifacts,
        }


def agreement(ours: Ours, tool: Tool, artifact: Path, base: Path) -> dict[str, Any]:
    """Figures of one artifact; lists: ours by the exact reference, ours by its sketch, the tool's."""
    theirs = tool.divergence(artifact, base)
    exact, sketch = (
        ours.score(artifact, reference=kind, out=None, exact=kind == "exact") for kind in ("exact", "sketch")
    )
    return {
        "perplexity": [math.exp(exact["nll"]), math.exp(sketch["nll"]), theirs["perplexity"]],
        "kld_mean": [exact["kld_mean"], sketch["kld_mean"], theirs["kld_mean"]],
        "kld_median": [exact["kld"]["median"], sketch["kld"]["median"], theirs["kld_median"]],
        "kld_p99": [exact["kld"]["p99"], sketch["kld"]["p99"], theirs["kld_p99"]],
        "same_top": [exact["same_top"], sketch["same_top"], theirs["same_top"]],
    }


def speed(ours: Ours, tool: Tool, artifact: Path, base: Path, count: int) -> dict[str, Any]:
    """Tokens per second, ours / tool: the median over pairs in random order."""
    order, pairs = random.Random(0), []
    for _ in range(count):
        sides = {"ours": 0.0, "tool": 0.0, "tool with divergence": 0.0}
        for side in order.sample(sorted(sides), len(sides)):
            if side == "ours":
                sides[side] = ours.score(artifact, reference="sketch", out=None, exact=False)["tps"]
            elif side == "tool":
                sides[side] = tool.perplexity(artifact)[1]
            else:
                sides[side] = tool.divergence(artifact, base)["tps"]
        pairs.append(sides)
        print(sides, file=sys.stderr, flush=True)
    return {
        "pairs": count,
        "tps": statistics.median(one["ours"] for one in pairs),
        "tps_ratio": statistics.median(one["ours"] / one["tool"] for one in pairs),
        "tps_ratio_with_divergence": statistics.median(
            one["ours"] / one["tool with divergence"] for one in pairs
        ),
    }


def _print(found: dict[str, Any]) -> None:
    ours, theirs = found["reference_perplexity"]
    print(f"{found['windows']} windows of {WINDOW}, {found['threads']} threads")
    print(
        f"reference: perplexity {ours:.6g}, the tool's {theirs:.6g}; from itself {found['self_kld']:.2g} nats"
    )
    print("divergence in nats: exact, by the sketch as a share of it, the tool's as a share of it")
    for name, one in found["artifacts"].items():
        exact, sketch, tool = one["kld_mean"]
        line = f"{name:<18} kld {exact:<10.5g} {sketch / exact - 1:+.3%} {tool / exact - 1:+.3%}"
        line += f"  perplexity {one['perplexity'][0]:.6g}, the tool's {one['perplexity'][2]:.6g}"
        if "tps_ratio" in one:
            line += f"  {one['tps']:.0f} t/s, {one['tps_ratio']:.3f} of the tool's"
            line += f", {one['tps_ratio_with_divergence']:.3f} of its divergence's"
        print(line)


def main() -> int:
    parser = argparse.ArgumentParser(description="Our scoring against llama-perplexity.")
    parser.add_argument("--tool", type=Path, required=True, help="llama-perplexity of the same source")
    parser.add_argument("--reference", type=Path, required=True, help="GGUF file of the reference")
    parser.add_argument("--artifact", type=Path, required=True, nargs="+", help="GGUF files that are scored")
    parser.add_argument("--corpus", type=Path, required=True, help="UTF-8 text")
    parser.add_argument("--max-windows", type=int, default=20)
    parser.add_argument("--pairs", type=int, default=5, help="of speed; 0: none")
    parser.add_argument("--threads", type=int, default=psutil.cpu_count(logical=False) or 1)
    parser.add_argument(
        "--python", type=Path, help="of the framework's environment; default: edgebench's own"
    )
    parser.add_argument("--json", action="store_true", help="print JSON instead of a table")
    options = parser.parse_args()
    try:
        found = measure(options)
    except EdgebenchError as error:
        print(f"{error.what}\n{error.next_step}", file=sys.stderr)
        return error.status
    if options.json:
        print(json.dumps(found))
        return 0
    _print(found)
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
