"""MLX's server, started by a command on an MLX artifact, for real: ``pytest --framework server``."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import gguf
import psutil
import pytest

from harness.backends.mlx import MLX
from harness.frameworks import frameworks
from harness.model import load_models
from harness.paths import cache_dir
from harness.precision import default_first
from harness.runner.progress import QuietProgress
from harness.runner.setup import Workshop

pytestmark = [
    pytest.mark.framework("server"),
    pytest.mark.skipif(sys.platform == "win32", reason="MLX has no packages for Windows"),
]

MODEL = "smollm2-135m-instruct"
#: Its quantised kernels are too slow on a CPU: a 4-bit model gave no token within two minutes on two busy cores.
RECIPE = default_first(MLX.recipes, "fp32")[0].name
SUITE = f"""\
name: served
model: {MODEL}
framework: server
recipe: as-served-fp32
workload: [pp16+tg8, pp16+tg8@c2]
runs: 1
repetitions: 2
warmups: 1
options:
  server: {{command_env: EDGEBENCH_SERVER_OF_TEST}}
"""


@pytest.fixture(scope="module")
def command(tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    """The command of the documentation, with this machine's paths."""
    workshop = Workshop(
        models=load_models(), entries=frameworks(), cache_dir=cache_dir(), threads=2, progress=QuietProgress()
    )
    artifact = workshop.artifact(MODEL, "mlx", RECIPE).entry
    model = tmp_path_factory.mktemp("model")
    for file in (artifact if artifact.is_dir() else artifact.parent).iterdir():
        (model / file.name).symlink_to(file)
    _write_tokenizer(workshop.model_file(MODEL).path, model)
    # It lists what lies in the hub's cache, and fails where there is none.
    hub = tmp_path_factory.mktemp("hub")
    python = str(workshop.environment("mlx").python)
    words = ["env", f"HF_HUB_CACHE={hub}", python, "-m", "mlx_lm", "server"]
    return [*words, "--model", str(model), "--host", "127.0.0.1", "--port", "{port}"]


def _write_tokenizer(source: Path, folder: Path) -> None:
    """An MLX artifact is weights alone; the server wants the model's tokenizer too, whose parts the GGUF file has."""
    fields = gguf.GGUFReader(source).fields
    tokens, merges = (fields[f"tokenizer.ggml.{name}"].contents() for name in ("tokens", "merges"))
    kinds = fields["tokenizer.ggml.token_type"].contents()
    control = [index for index, kind in enumerate(kinds) if kind == gguf.TokenType.CONTROL]
    flags = {"single_word": False, "lstrip": False, "rstrip": False, "normalized": False, "special": True}
    byte_level = {"type": "ByteLevel", "add_prefix_space": False, "trim_offsets": True, "use_regex": True}
    whole = {
        "version": "1.0",
        "added_tokens": [{"id": index, "content": tokens[index], **flags} for index in control],
        "pre_tokenizer": byte_level,
        "decoder": byte_level,
        "model": {
            "type": "BPE",
            "vocab": {token: index for index, token in enumerate(tokens)},
            "merges": [merge.split(" ") for merge in merges],
        },
    }
    (folder / "tokenizer.json").write_text(json.dumps(whole), encoding="utf-8")
    ends = tokens[fields["tokenizer.ggml.eos_token_id"].contents()]
    described = {"tokenizer_class": "PreTrainedTokenizerFast", "eos_token": ends}
    (folder / "tokenizer_config.json").write_text(json.dumps(described), encoding="utf-8")


def _edgebench(folder: Path, command: list[str], *words: str) -> Any:
    done = subprocess.run(
        [sys.executable, "-m", "harness", *words],
        cwd=folder,
        env={**os.environ, "EDGEBENCH_SERVER_OF_TEST": json.dumps(command)},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        text=True,
        check=False,
    )
    assert done.returncode == 0
    return done.stdout


def test_it_is_started_streams_alone_and_to_two_and_is_gone(tmp_path: Path, command: list[str]) -> None:
    (tmp_path / "served.yaml").write_text(SUITE, encoding="utf-8")
    _edgebench(tmp_path, command, "run", "served.yaml")
    rows = json.loads(_edgebench(tmp_path, command, "table", "--format", "json"))["rows"]
    by_workload = {row["workload"]: row for row in rows}
    assert set(by_workload) == {"pp16+tg8", "pp16+tg8@c2"}
    for row in rows:
        assert row["status"] == "ok", row["reason"]
        for figure in ("ttft_s", "itl_s_p50", "stream_tps", "throughput_tps", "peak_rss_bytes"):
            assert row[figure] is not None, (figure, row["notes"].get(figure))
            assert row[figure] > 0, figure
        assert row["precision"] == "fp32"
        if sys.platform == "linux":
            # The server with the model's weights, not the client.
            assert row["peak_rss_bytes"] > 400e6
    one, two = by_workload["pp16+tg8"], by_workload["pp16+tg8@c2"]
    assert two["stream_tps"] < 2 * one["stream_tps"]
    model = command[command.index("--model") + 1]
    left = [
        process for process in psutil.process_iter(["cmdline"]) if model in (process.info["cmdline"] or [])
    ]
    assert left == []
