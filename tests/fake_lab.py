"""A lab with the scripted framework: a suite, a tiny model, a cache and a database, in a folder of its own.

A plugin of the test suite (see `conftest.py`). The scripted framework's environment is real: pip installs numpy into
it, from wherever the user's pip is configured to, once per test session; every lab then shares it by a link. Whatever
is made once is made by one of the processes side by side (`pytest -n`), for all.
"""

from __future__ import annotations

import json
import os
import shutil
import signal
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import gguf
import numpy as np
import pytest

import harness
from harness.backends.fake import Fake
from harness.cli import main
from harness.environment import EnvironmentManager
from harness.files import exclusive
from harness.runner import calibrate
from harness.runner.front import usable_frameworks
from harness.runner.progress import QuietProgress
from harness.runner.setup import Workshop
from harness.suite import load_suite, suite_models

#: How long a subprocess may take on a busy machine before a test calls it stuck.
PATIENCE_S = 120.0

SUITE = """\
name: fake
model: tiny
framework: fake
precision: [fp16, int4]
workload: pp8+tg4
runs: 2
scoring: {window: 64, stride: 64, score_from: 32, max_windows: 2}
models:
  tiny:
    source: {path: tiny.gguf}
    reference: {framework: fake, recipe: FP32}
"""


def write_gguf(path: Path) -> None:
    """A model file with one tensor, which the scripted framework looks no deeper into, and a token for each byte."""
    writer = gguf.GGUFWriter(path, "llama")
    writer.add_embedding_length(64)
    writer.add_eos_token_id(3)
    writer.add_tokenizer_model("llama")
    writer.add_token_list([f"<0x{byte:02X}>" for byte in range(256)])
    writer.add_token_types([gguf.TokenType.BYTE] * 256)
    writer.add_tensor("token_embd.weight", np.zeros((256, 64), dtype=np.float32))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


@dataclass(frozen=True)
class Result:
    """What a command gave."""

    status: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        """Standard output as JSON."""
        return json.loads(self.out)

    def one_message(self) -> str:
        """The one error message: two lines, no stack trace."""
        assert "Traceback" not in self.err + self.out
        lines = self.err.splitlines()
        assert sum(line.startswith("error: ") for line in lines) == 1, self.err
        assert sum(line.startswith(" next: ") for line in lines) == 1, self.err
        return self.err


class Lab:
    """The folder and the commands in it."""

    def __init__(
        self, folder: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
    ) -> None:
        self.folder = folder
        self.cache = folder / "cache"
        self.database = folder / "results" / "edgebench.db"
        self._monkeypatch = monkeypatch
        self._capfd = capfd

    def suite(self, text: str = SUITE, name: str = "fake.yaml") -> Path:
        """Write a suite file."""
        path = self.folder / name
        path.write_text(text, encoding="utf-8")
        return path

    def script(self, script: dict[str, Any] | None) -> None:
        """What every worker from now on does."""
        self._monkeypatch.setenv("EDGEBENCH_FAKE_SCRIPT", json.dumps(script or {}))

    def run(self, *words: str) -> Result:
        """``edgebench WORDS``, in this process: starting Python and importing takes longer than most commands."""
        self._capfd.readouterr()
        handlers = {number: signal.getsignal(number) for number in _signals()}
        try:
            with pytest.raises(SystemExit) as ended:
                main(words)
        finally:
            for number, handler in handlers.items():
                signal.signal(number, handler)
        captured = self._capfd.readouterr()
        assert isinstance(ended.value.code, int)
        return Result(ended.value.code, captured.out, captured.err)

    def say(self, text: str) -> None:
        """A measured figure, for whoever runs the tests with ``-s``."""
        with self._capfd.disabled():
            print(text)

    def start(self, *words: str, **environment: str) -> subprocess.Popen[str]:
        """``edgebench WORDS`` in a process of its own."""
        return subprocess.Popen(
            [sys.executable, "-m", "harness", *words],
            cwd=self.folder,
            env={**os.environ, "PYTHONPATH": str(Path(harness.__file__).parents[1]), **environment},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            encoding="utf-8",
        )

    def query(self, sql: str, *values: Any) -> list[tuple[Any, ...]]:
        """Rows of the database."""
        with sqlite3.connect(f"{self.database.as_uri()}?mode=ro", uri=True, timeout=30) as connection:
            rows = connection.execute(sql, values).fetchall()
        connection.close()
        return rows

    def runs(self) -> list[tuple[str, str, int, int, str]]:
        """(cell, kind, index, attempt, status) of every run that is stored, in order."""
        if not self.database.exists():
            return []
        try:
            return self.query("SELECT cell_id, kind, run_index, attempt, status FROM run ORDER BY key")
        except sqlite3.OperationalError:  # the file is there, its tables are not yet
            return []

    def rows(self) -> list[dict[str, Any]]:
        """The rows of ``edgebench table --format json``."""
        result = self.run("table", "--format", "json")
        assert result.status == 0, result.err
        rows: list[dict[str, Any]] = result.json["rows"]
        return rows


def _signals() -> list[int]:
    return [getattr(signal, name) for name in ("SIGTERM", "SIGHUP", "SIGINT") if hasattr(signal, name)]


def finish(process: subprocess.Popen[str]) -> Result:
    """Wait for a command's end."""
    try:
        out, err = process.communicate(timeout=PATIENCE_S)
    except subprocess.TimeoutExpired:
        process.kill()
        process.communicate()
        raise
    return Result(process.returncode, out, err)


def wait_until(holds: Callable[[], Any], what: str, patience_s: float = PATIENCE_S) -> Any:
    """Look until something holds; gives what it gave.

    Raises:
        AssertionError: it never did.
    """
    end = time.monotonic() + patience_s
    while time.monotonic() < end:
        found = holds()
        if found:
            return found
        time.sleep(0.02)
    raise AssertionError(f"not within {patience_s} s: {what}")


@pytest.fixture(scope="session")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder that the processes of this test session have in common."""
    base = tmp_path_factory.getbasetemp()
    folder = (base.parent if "PYTEST_XDIST_WORKER" in os.environ else base) / "shared"
    folder.mkdir(exist_ok=True)
    return folder


@pytest.fixture(scope="session")
def fake_environments(shared: Path) -> Path:
    """The ``environments`` folder of a cache, with the scripted framework's."""
    cache = shared / "cache"
    EnvironmentManager(cache).ensure(Fake)
    return cache / "environments"


@pytest.fixture
def bare_lab(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]) -> Lab:
    """A lab whose cache is empty: whoever runs something in it makes the environment too."""
    monkeypatch.chdir(tmp_path)
    for name in ("EDGEBENCH_DB", "EDGEBENCH_FAKE_SCRIPT"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("EDGEBENCH_FAKE", "1")
    monkeypatch.setenv("EDGEBENCH_CACHE_DIR", str(tmp_path / "cache"))
    monkeypatch.setenv("EDGEBENCH_STATE_DIR", str(tmp_path / "state"))
    monkeypatch.setenv("NO_COLOR", "1")
    # What is measured around a run does not matter here, and takes longer than a scripted one.
    for name, value in {"_PASSES": 1, "_TRIES": 2, "_MEMORY_BYTES": 2**20}.items():
        monkeypatch.setattr(calibrate, name, value)
    lab = Lab(tmp_path, monkeypatch, capfd)
    write_gguf(tmp_path / "tiny.gguf")
    lab.suite()
    return lab


@pytest.fixture(scope="session")
def stock(shared: Path, fake_environments: Path) -> Path:
    """A cache with the tiny model's usual artifacts and its tokens of the text that is scored."""
    folder = shared / "stock"
    with exclusive(shared / "stock.lock"):
        if not folder.exists():
            _make_stock(folder, fake_environments)
    return folder / "cache"


def _make_stock(folder: Path, environments: Path) -> None:
    cache = folder / "cache"
    cache.mkdir(parents=True)
    (cache / "environments").symlink_to(environments)
    write_gguf(folder / "tiny.gguf")
    (folder / "fake.yaml").write_text(SUITE, encoding="utf-8")
    suite = load_suite(folder / "fake.yaml")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("EDGEBENCH_FAKE", "1")
        entries = usable_frameworks()
    workshop = Workshop(
        models=suite_models(suite), entries=entries, cache_dir=cache, threads=1, progress=QuietProgress()
    )
    for recipe in ("FP16", "INT8", "INT4"):
        workshop.artifact("tiny", "fake", recipe)
    workshop.tokens("tiny", workshop.corpus(suite))


@pytest.fixture
def lab(bare_lab: Lab, fake_environments: Path, request: pytest.FixtureRequest) -> Lab:
    """A lab with the scripted framework's environment. No artifact is made yet, unless the test is marked `stocked`."""
    mark = request.node.get_closest_marker("stocked")
    if mark is not None and mark.args != (False,):
        shutil.copytree(request.getfixturevalue("stock"), bare_lab.cache, symlinks=True)
        return bare_lab
    bare_lab.cache.mkdir()
    (bare_lab.cache / "environments").symlink_to(fake_environments)
    return bare_lab


@pytest.fixture
def measured_lab(lab: Lab, shared: Path) -> Lab:
    """A lab that has measured its suite. Who asks first does it, the others have a copy of that database."""
    kept = shared / "measured.db"
    with exclusive(shared / "measured.lock"):
        if not kept.exists():
            ran = lab.run("run", "fake.yaml")
            assert ran.status == 0, ran.err
            shutil.copyfile(lab.database, kept)
            return lab
    lab.database.parent.mkdir()
    shutil.copyfile(kept, lab.database)
    return lab


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of some megabytes."""
    if sys.platform != "linux" or os.geteuid() != 0 or shutil.which("mount") is None:
        pytest.skip("only root may mount a small file system, and only Linux has tmpfs")
    folder = tmp_path / "small"
    folder.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=8m", "tmpfs", folder],
        capture_output=True,
        check=False,
        encoding="utf-8",
    )
    if mounted.returncode != 0:
        pytest.skip(f"no tmpfs may be mounted here: {mounted.stderr.strip()}")
    try:
        yield folder
    finally:
        subprocess.run(["umount", folder], check=True)
