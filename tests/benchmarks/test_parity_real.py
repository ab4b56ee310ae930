"""The frameworks' own benchmarks themselves, through the whole parity check, on a small model of random weights.

Run with ``--framework openvino``, ``mlx`` or ``olive``. What is checked is that both sides run the same artifact and
give figures: how near they are to each other is no test's business, and this model is too small to tell.
"""

from __future__ import annotations

import importlib
import json
import sys
from pathlib import Path

import pytest

from harness.environment import EnvironmentManager
from harness.frameworks import framework
from harness.paths import cache_dir
from harness.runner.launch import launch_for
from harness.runner.process import WorkerProcess
from harness.worker.api import MakeRequest
from harness.worker.bodies import to_body
from harness.worker.synthetic import SyntheticModel

TIMEOUT_S = 300.0
SMALL = SyntheticModel("llama", 128, 256, 2, 4, 2, 32, 512, 256, 10_000.0, 1e-5, False, seed=3)
#: A recipe of each framework that its backend writes for a synthetic model.
RECIPES = {"openvino": "FP16", "mlx": "FP16", "olive": "RTN_INT4_g32"}


@pytest.mark.parametrize("name", [pytest.param(name, marks=pytest.mark.framework(name)) for name in RECIPES])
def test_both_sides_of_a_pair_run_on_the_real_framework(
    name: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    backend = framework(name).backend
    converter = EnvironmentManager(cache_dir()).ensure(backend, role="converter")
    recipe = next(recipe for recipe in backend.recipes if recipe.name == RECIPES[name])
    config, out = tmp_path / "config.json", tmp_path / "artifact"
    config.write_text(json.dumps(SMALL.hf_config()), encoding="utf-8")
    out.mkdir()
    request = MakeRequest(recipe, config, out, 1, synthetic=SMALL)
    with WorkerProcess(launch_for(name, converter.python), log=tmp_path / "make.log") as worker:
        worker.call("make", to_body(request), timeout_s=TIMEOUT_S)

    before = list(sys.path)
    parity = importlib.import_module("parity")
    sys.path[:] = before
    words = ["--framework", name, "--artifact", str(out), "--threads", "1", "--json"]
    words += ["--prompt-tokens", "64", "--decode-tokens", "8", "--repetitions", "1"]
    status = parity.main([*words, "--min-pairs", "2", "--max-pairs", "2"])
    captured = capsys.readouterr()
    assert status in (0, parity.BEYOND), captured.err
    result = json.loads(captured.out)
    for phase in ("prefill", "decode"):
        assert result[phase]["pairs"] == 2
        assert 0 < result[phase]["low"] <= result[phase]["ratio"] <= result[phase]["high"]
