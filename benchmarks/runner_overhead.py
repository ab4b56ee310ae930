"""How long the runner's own work takes per run: everything that is not import, load, passes, scoring or calibration.

    python benchmarks/runner_overhead.py [--runs N] [--json]

Runs a session of the scripted framework (no model, no real framework) in a folder of its own and reads ``harness_s`` of
every run from its database. The first session makes the framework's environment; it is kept in the user's cache. The
figure to keep is a maximum of at most 1.0 s on an idle machine.
"""

from __future__ import annotations

import argparse
import json
import os
import sqlite3
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

import gguf
import numpy as np

SUITE = """\
name: overhead
model: tiny
framework: fake
precision: [fp16, int4]
workload: pp8+tg4
runs: {runs}
models:
  tiny:
    source: {{path: tiny.gguf}}
    reference: {{framework: fake, recipe: FP32}}
"""


def write_model(path: Path) -> None:
    writer = gguf.GGUFWriter(path, "llama")
    writer.add_embedding_length(64)
    writer.add_tensor("token_embd.weight", np.zeros((256, 64), dtype=np.float32))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


def measure(runs: int) -> list[dict[str, float]]:
    with tempfile.TemporaryDirectory(prefix="edgebench-overhead-") as name:
        folder = Path(name)
        write_model(folder / "tiny.gguf")
        (folder / "suite.yaml").write_text(SUITE.format(runs=runs), encoding="utf-8")
        source = str(Path(__file__).resolve().parents[1])
        environment = {**os.environ, "EDGEBENCH_FAKE": "1", "PYTHONPATH": source}
        words = [sys.executable, "-m", "harness", "run", "suite.yaml", "--quiet", "--db", "overhead.db"]
        subprocess.run(words, cwd=folder, env=environment, check=True, stdout=subprocess.DEVNULL)
        connection = sqlite3.connect(folder / "overhead.db")
        rows = connection.execute(
            "SELECT harness_s, duration_s, phases_s FROM run WHERE status = 'ok'"
        ).fetchall()
        connection.close()
    return [{"harness_s": own, "duration_s": whole, **json.loads(phases)} for own, whole, phases in rows]


def main() -> None:
    parser = argparse.ArgumentParser(description="The runner's own seconds per run.")
    parser.add_argument("--runs", type=int, default=10, help="timed runs of each of two cells")
    parser.add_argument("--json", action="store_true", help="print JSON")
    arguments = parser.parse_args()
    found = measure(arguments.runs)
    summary = {
        name: {"median": statistics.median(values), "max": max(values)}
        for name in ("harness_s", "duration_s", "start", "unload")
        if (values := [one[name] for one in found if name in one])
    }
    if arguments.json:
        print(json.dumps({"runs": len(found), **summary}, indent=2))
        return
    print(f"{len(found)} runs")
    for name, figures in summary.items():
        print(f"{name:<12} median {figures['median']:.3f} s, max {figures['max']:.3f} s")


if __name__ == "__main__":
    main()
