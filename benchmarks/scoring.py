r"""Is our divergence that of llama.cpp, and how fast is it? Ours against llama-perplexity, on the same windows.

    python benchmarks/scoring.py --tool "$(python benchmarks/llama_tools.py --target llama-perplexity)" \
        --reference F32.gguf --artifact Q4_K_M.gguf --corpus text.txt [--max-windows 20] [--json]

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
    """The common runner's worker, asked to score."""

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
    python = options.python or environment_python("llamacpp")
    with tempfile.TemporaryDirectory(prefix="edgebench-scoring-") as name:
        folder = Path(name)
        ours = Ours(python, options, folder)
        tool = Tool(options, folder, ours.windows)
        base = folder / "base.kld"
        reference_ppl, _ = tool.perplexity(options.reference, base)
        own = ours.score(options.reference, reference=None, out="exact", exact=True)
        ours.score(options.reference, reference=None, out="sketch", exact=False)
        theirs = tool.divergence(options.artifact, base)
        found = {
            kind: ours.score(options.artifact, reference=kind, out=None, exact=kind == "exact")
            for kind in ("exact", "sketch")
        }
        itself = ours.score(options.reference, reference="exact", out=None, exact=True)
        sizes = {kind: (folder / kind).stat().st_size for kind in ("exact", "sketch")}
        order, pairs = random.Random(0), []
        for _ in range(options.pairs):
            sides = {"ours": 0.0, "tool": 0.0, "tool with divergence": 0.0}
            for side in order.sample(sorted(sides), len(sides)):
                if side == "ours":
                    sides[side] = ours.score(options.artifact, reference="sketch", out=None, exact=False)[
                        "tps"
                    ]
                elif side == "tool":
                    sides[side] = tool.perplexity(options.artifact)[1]
                else:
                    sides[side] = tool.divergence(options.artifact, base)["tps"]
            pairs.append(sides)
            print(sides, file=sys.stderr, flush=True)
    exact, sketch = found["exact"], found["sketch"]
    return {
        "windows": ours.windows,
        "reference_perplexity": [math.exp(own["nll"]), reference_ppl],
        "perplexity": [math.exp(exact["nll"]), theirs["perplexity"]],
        "kld_mean": [exact["kld_mean"], sketch["kld_mean"], theirs["kld_mean"]],
        "kld_median": [exact["kld"]["median"], sketch["kld"]["median"], theirs["kld_median"]],
        "kld_p99": [exact["kld"]["p99"], sketch["kld"]["p99"], theirs["kld_p99"]],
        "same_top": [exact["same_top"], sketch["same_top"], theirs["same_top"]],
        "self_kld": itself["kld_mean"],
        "reference_bytes": sizes,
        "tps_ratio": statistics.median(one["ours"] / one["tool"] for one in pairs) if pairs else None,
        "tps_ratio_with_divergence": (
            statistics.median(one["ours"] / one["tool with divergence"] for one in pairs) if pairs else None
        ),
        "pairs": len(pairs),
    }


def main() -> int:
    parser = argparse.ArgumentParser(description="Our scoring against llama-perplexity.")
    parser.add_argument("--tool", type=Path, required=True, help="llama-perplexity of the same source")
    parser.add_argument("--reference", type=Path, required=True, help="GGUF file of the reference")
    parser.add_argument("--artifact", type=Path, required=True, help="GGUF file that is scored")
    parser.add_argument("--corpus", type=Path, required=True, help="UTF-8 text")
    parser.add_argument("--max-windows", type=int, default=20)
    parser.add_argument("--pairs", type=int, default=5, help="of speed")
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
    for key, value in found.items():
        figures = "  ".join(f"{one:.6g}" for one in value) if isinstance(value, list) else value
        print(f"{key:<26} {figures}")
    print("lists: ours (exact, sketch) and the tool's last")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
