"""The tutorial's backend, as its reader would have it: against the contract, and installed beside edgebench.

Nothing is fetched: the wheel of numpy that its environment wants is packed from the numpy that runs these tests.
"""

from __future__ import annotations

import base64
import hashlib
import importlib.metadata
import json
import os
import shutil
import subprocess
import sys
import tomllib
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import gguf
import numpy as np
import numpy.typing as npt
import pytest
from contract import TIMEOUT_S, BackendContract, Subject

import harness
from harness.paths import data_dir
from harness.runner.launch import Launch
from harness.runner.process import WorkerProcess

ROOT = Path(__file__).resolve().parents[2]
EXAMPLE = ROOT / "tests" / "examples" / "edgebench_example"
MODULE = EXAMPLE / "edgebench_example.py"
BACKEND = "edgebench_example:Bigram"
CAPABILITIES = frozenset({"prefill", "decode", "score", "tokenize", "make"})

SUITE = (EXAMPLE / "tutorial.yaml").read_text(encoding="utf-8")


def bigram_logits() -> npt.NDArray[np.float32]:
    """``float32[256, 256]``: log-probabilities of pairs of bytes in the shipped calibration text."""
    text = np.frombuffer((data_dir("suites") / "text" / "calibration.txt").read_bytes(), dtype=np.uint8)
    counts = np.full((256, 256), 0.01)
    np.add.at(counts, (text[:-1], text[1:]), 1.0)
    logits: npt.NDArray[np.float64] = np.log(counts / counts.sum(axis=1, keepdims=True))
    return logits.astype(np.float32)


def write_model(path: Path, architecture: str = "bigram") -> None:
    """A model file as the example reads it."""
    writer = gguf.GGUFWriter(path, architecture)
    writer.add_tensor("bigram", bigram_logits())
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


# -- the contract -----------------------------------------------------------------------------------------------------


@pytest.fixture(scope="class", params=["INT8_ROW"])
def subject(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Subject:
    folder = tmp_path_factory.mktemp("bigram")
    write_model(folder / "letters.gguf")
    launch = Launch(Path(sys.executable), BACKEND, {**_harness(), "edgebench_example": MODULE})
    source, made = folder / "letters.gguf", folder
    with WorkerProcess(launch, log=folder / "make.log") as worker:
        for name in dict.fromkeys(["F32", request.param]):
            made = folder / name
            made.mkdir()
            recipe = _recipe(name)
            body = {"recipe": recipe, "source": str(source), "out": str(made), "threads": 1}
            source = made / worker.call("make", body, timeout_s=TIMEOUT_S)["entry"]
    return Subject(launch, source, CAPABILITIES)


def _harness() -> dict[str, Path]:
    return {"harness": Path(harness.__file__).resolve().parent}


def _recipe(name: str) -> dict[str, Any]:
    precision, made_from = {
        "F32": ("fp32", "model"),
        "F16": ("fp16", "bigram:F32"),
        "INT8_ROW": ("int8", "bigram:F32"),
    }[name]
    parameters = {"scale": "row"} if precision == "int8" else {}
    return {
        "name": name,
        "precision": precision,
        "made_from": made_from,
        "tool": "numpy",
        "parameters": parameters,
        "default": True,
    }


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
    """The contract, for each recipe of the example."""


# -- installed beside edgebench ---------------------------------------------------------------------------------------


def packed(distribution: str, folder: Path) -> None:
    """Write a wheel of an installed distribution: what a package index would serve, without one."""
    found = importlib.metadata.distribution(distribution)
    wheel_text = found.read_text("WHEEL") or ""
    tag = next(line.split(": ")[1] for line in wheel_text.splitlines() if line.startswith("Tag: "))
    stem = f"{distribution}-{found.version}"
    rows = []
    with zipfile.ZipFile(folder / f"{stem}-{tag}.whl", "w") as wheel:
        for file in found.files or ():
            if ".." in file.parts or "__pycache__" in file.parts or "tests" in file.parts:
                continue  # scripts, caches, and what is of no use to a worker
            if file.parent.name.endswith(".dist-info") and file.name not in ("METADATA", "WHEEL"):
                continue
            content = Path(str(found.locate_file(file))).read_bytes()
            digest = base64.urlsafe_b64encode(hashlib.sha256(content).digest()).rstrip(b"=").decode()
            rows.append(f"{file.as_posix()},sha256={digest},{len(content)}")
            wheel.writestr(file.as_posix(), content)
        record = f"{stem}.dist-info/RECORD"
        wheel.writestr(record, "\n".join([*rows, f"{record},,"]) + "\n")


def installed(folder: Path) -> None:
    """Install the example as pip would: its module, and the metadata of its project file."""
    project = tomllib.loads((EXAMPLE / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    shutil.copy(MODULE, folder)
    info = folder / f"{project['name'].replace('-', '_')}-{project['version']}.dist-info"
    info.mkdir()
    (info / "METADATA").write_text(
        f"Metadata-Version: 2.1\nName: {project['name']}\nVersion: {project['version']}\n", encoding="utf-8"
    )
    lines = []
    for group, points in project["entry-points"].items():
        lines += [f"[{group}]", *(f"{name} = {value}" for name, value in points.items())]
    (info / "entry_points.txt").write_text("\n".join(lines) + "\n", encoding="utf-8")


class Bench:
    """A folder with the example installed, a model, a suite, and a cache of its own."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        for name in ("site", "index", "work"):
            (folder / name).mkdir()
        installed(folder / "site")
        packed("numpy", folder / "index")
        write_model(folder / "work" / "letters.gguf")
        shutil.copy(EXAMPLE / "tutorial.yaml", folder / "work")

    def edgebench(self, *words: str) -> subprocess.CompletedProcess[str]:
        """Run the command line in the work folder."""
        variables = {
            "PYTHONPATH": os.pathsep.join([str(self.folder / "site"), str(_harness()["harness"].parent)]),
            "EDGEBENCH_CACHE_DIR": str(self.folder / "cache"),
            "PIP_NO_INDEX": "1",
            "PIP_FIND_LINKS": str(self.folder / "index"),
            "PIP_CONFIG_FILE": os.devnull,
        }
        return subprocess.run(
            [sys.executable, "-m", "harness", *words],
            cwd=self.folder / "work",
            env={**os.environ, **variables},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            encoding="utf-8",
            timeout=TIMEOUT_S,
            check=False,
        )


@pytest.fixture(scope="module")
def bench(tmp_path_factory: pytest.TempPathFactory) -> Bench:
    return Bench(tmp_path_factory.mktemp("bench"))


@pytest.fixture(scope="module")
def measured(bench: Bench) -> list[dict[str, Any]]:
    done = bench.edgebench("run", "tutorial.yaml", "--json")
    assert done.returncode == 0, done.stderr
    rows: list[dict[str, Any]] = json.loads(done.stdout)["rows"]
    return rows


def test_an_installed_example_is_listed_with_its_distribution(bench: Bench) -> None:
    listed = json.loads(bench.edgebench("list", "frameworks", "--json").stdout)["frameworks"]
    (example,) = [one for one in listed if one["framework"] == "bigram"]
    assert example["from"] == "edgebench-example"
    assert example["title"] == "Bigram"
    assert example["why_not_here"] is None


def test_its_cells_are_planned_and_a_model_that_it_cannot_run_is_refused_with_the_reason(
    bench: Bench,
) -> None:
    done = bench.edgebench("run", "tutorial.yaml", "--dry-run", "--json")
    cells = json.loads(done.stdout)["cells"]
    assert [cell["recipe"] for cell in cells] == ["F32", "F16", "INT8_ROW"]
    assert {cell["reason"] for cell in cells} == {None}
    other = bench.folder / "work" / "other.yaml"
    other.write_text(SUITE.replace("model: letters", "model: smollm2-135m-instruct"), encoding="utf-8")
    cells = json.loads(bench.edgebench("run", "other.yaml", "--dry-run", "--json").stdout)["cells"]
    assert {cell["reason"] for cell in cells} == {"Bigram runs models of architecture bigram, not llama"}


def test_it_runs_like_a_framework_of_the_projects_own(measured: list[dict[str, Any]]) -> None:
    assert [row["recipe"] for row in measured] == ["F32", "F16", "INT8_ROW"]
    for row in measured:
        assert (row["status"], row["reason"], row["artifact_verdict"]) == ("ok", None, "ok")
        assert row["runs"] == 2
        assert row["framework_version"] == "1.0"
        assert row["quality_reference"]
        for figure in ("prefill_tps", "decode_tps", "ttft_s", "peak_rss_bytes", "perplexity"):
            assert row[figure] > 0, figure
    assert [round(row["bits_per_weight"], 3) for row in measured] == [32, 16, 8.125]


def test_its_quality_falls_with_its_bits(measured: list[dict[str, Any]]) -> None:
    full, half, byte = (row["kld_mean"] for row in measured)
    assert full == pytest.approx(0, abs=1e-9)
    assert full <= half < 1e-4
    assert half < byte < 0.05
    assert measured[0]["perplexity_ratio"] == pytest.approx(1, abs=1e-9)


def test_its_environment_holds_numpy_alone(bench: Bench, measured: list[dict[str, Any]]) -> None:
    assert measured
    environments = json.loads(bench.edgebench("env", "list", "--json").stdout)["environments"]
    assert [[package["name"] for package in one["packages"]] for one in environments] == [["numpy"]]
    assert environments[0]["framework"] == "bigram"
