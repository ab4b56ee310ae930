"""The files of other tools that the tests read, and small ones made on the spot."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from harness.importing.document import Document
from harness.importing.registry import formats
from harness.importing.result import Contents

FILES = Path(__file__).parent / "files"


def document(folder: Path, content: Any, name: str = "bench.json") -> Document:
    """A file with this text, these bytes, or this as JSON."""
    path = folder / name
    if isinstance(content, bytes):
        path.write_bytes(content)
    else:
        path.write_text(content if isinstance(content, str) else json.dumps(content), encoding="utf-8")
    return Document(path)


def read(tool: str, document: Document) -> Contents:
    """What a tool's module reads."""
    return formats()[tool].read(document)


def llama_bench_test(**changes: Any) -> dict[str, Any]:
    """One test as llama-bench's JSON has it, with round figures: three repetitions of 512 tokens."""
    return {
        "build_commit": "0c1e57098",
        "build_number": 1,
        "cpu_info": "Example CPU @ 2.50GHz",
        "gpu_info": "",
        "backends": "CPU",
        "model_filename": "models/smollm2-135m-instruct-Q4_K_M.gguf",
        "model_type": "llama 135M Q4_K - Medium",
        "model_size": 101_000_000,
        "model_n_params": 134_515_008,
        "n_batch": 2048,
        "n_threads": 2,
        "type_k": "f16",
        "cpu_strict": False,
        "n_gpu_layers": 99,
        "flash_attn": -1,
        "devices": "auto",
        "n_prompt": 512,
        "n_gen": 0,
        "n_depth": 0,
        "test_time": "2026-11-26T18:00:00Z",
        "avg_ns": 1_000_000_000,
        "stddev_ns": 250_000_000,
        "avg_ts": 540.0,
        "stddev_ts": 12.5,
        "samples_ns": [1_000_000_000, 800_000_000, 1_250_000_000],
        "samples_ts": [512.0, 640.0, 409.6],
        **changes,
    }
