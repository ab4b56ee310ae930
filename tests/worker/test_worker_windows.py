"""The worker half on a Windows Python: imports, memory, streams, and losing the runner."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path

import pytest
from windows_python import WindowsPython

import harness
from harness.runner.process import WorkerProcess
from harness.worker.orphan import ORPHANED

pytestmark = pytest.mark.framework("windows")

ROOT = Path(harness.__file__).resolve().parent
BOOTSTRAP = ROOT / "worker" / "bootstrap.py"
MODULES = [
    ".".join(path.relative_to(ROOT.parent).with_suffix("").parts)
    for folder in ("worker", "backends")
    for path in sorted((ROOT / folder).glob("*.py"))
    if path.name not in ("bootstrap.py", "__init__.py")
]

#: Makes ``harness`` importable as in a worker; the arguments are the bootstrap and the folder of ``harness``.
FINDER = """
import json, os, runpy, sys
from pathlib import Path
finder = runpy.run_path(sys.argv[1])["PackageFinder"]
sys.meta_path.insert(0, finder({"harness": Path(sys.argv[2])}))
"""


def _run(python: WindowsPython, code: str, *arguments: str) -> str:
    done = python.run(FINDER + code, str(BOOTSTRAP), str(ROOT), *arguments)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_every_module_of_the_worker_half_imports(windows_python: WindowsPython) -> None:
    code = """
import importlib
failed = {}
for name in sys.argv[3:]:
    try:
        importlib.import_module(name)
    except Exception as error:
        failed[name] = repr(error)
print(json.dumps([sys.platform, failed, sorted(set(sys.argv[3:]) - set(sys.modules))]))
"""
    assert len(MODULES) > 20
    assert json.loads(_run(windows_python, code, *MODULES)) == ["win32", {}, []]


def test_the_peak_working_set_is_read_from_the_system(windows_python: WindowsPython) -> None:
    code = """
from harness.worker.memory import MemoryReader
reader = MemoryReader()
before = reader.read("load")
block = bytearray(b"x") * (64 * 2**20)
during = reader.read("prefill")
del block
after = reader.read("decode")
print(json.dumps([[r.method, r.peak_rss_bytes, r.rss_bytes] for r in (before, during, after)]))
"""
    before, during, after = json.loads(_run(windows_python, code))
    assert {before[0], during[0], after[0]} == {"PeakWorkingSetSize"}
    assert during[1] >= before[1] + 60 * 2**20, "the block was touched"
    assert during[2] >= before[2] + 60 * 2**20
    assert after[1] >= during[1], "a peak never falls"
    assert after[2] < during[2] - 50 * 2**20, "the block was given back"


def test_what_a_framework_prints_stays_out_of_the_protocol(
    windows_python: WindowsPython, tmp_path: Path
) -> None:
    script = {
        "start": [
            {"do": "print", "text": "by python\n"},
            {"do": "print", "text": "by descriptor\n", "fd": True},
            {"do": "print", "text": "to error\n", "stream": "stderr", "fd": True},
        ]
    }
    launch = windows_python.launch("harness.backends.fake:Fake")
    launch = dataclasses.replace(launch, env={**launch.env, "EDGEBENCH_FAKE_SCRIPT": json.dumps(script)})
    log = tmp_path / "log"
    with WorkerProcess(launch, log=log) as worker:
        hello = worker.call("hello", {}, timeout_s=120)
    assert hello["platform"].startswith("Windows")
    text = log.read_text(encoding="utf-8")
    assert all(printed in text for printed in ("by python", "by descriptor", "to error"))


#: A Windows program that starts a worker, has it hang, takes away its runner or its pipe, and waits for its end.
LOSE = """
import json, os, subprocess, sys, time
bootstrap, root, what = sys.argv[1:4]
runner = subprocess.Popen([sys.executable, "-I", "-c", "import time; time.sleep(600)"])
command = [sys.executable, "-I", "-u", bootstrap, f"--parent-pid={runner.pid}", f"--package=harness={root}"]
worker = subprocess.Popen(
    [*command, "--backend=harness.backends.fake:Fake"], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
    stderr=subprocess.PIPE, env={**os.environ, "EDGEBENCH_FAKE_SCRIPT": '{"start": [{"do": "hang"}]}'})
worker.stdin.write(b'{"v":1,"id":1,"kind":"request","name":"hello","body":{}}\\n')
worker.stdin.flush()
event = json.loads(worker.stdout.readline())
time.sleep(0.2)
alive = worker.poll() is None
begin = time.monotonic()
if what == "runner":
    runner.kill()
else:
    worker.stdin.close()
status = worker.wait(30)
seconds = time.monotonic() - begin
runner.kill()
print(json.dumps([event["name"], alive, status, seconds]))
"""


@pytest.mark.parametrize("what", ["runner", "pipe"])
def test_a_worker_that_loses_its_runner_or_its_pipe_ends_within_a_second(
    windows_python: WindowsPython, what: str
) -> None:
    done = windows_python.run(LOSE, str(BOOTSTRAP), str(ROOT), what)
    assert done.returncode == 0, done.stderr
    event, alive, status, seconds = json.loads(done.stdout)
    assert (event, alive, status) == ("phase", True, ORPHANED)
    assert seconds < 1.0
