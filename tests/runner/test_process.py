"""A worker process and every way in which it can end, with the scripted backend in real processes."""

from __future__ import annotations

import json
import os
import select
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest

from harness.errors import EdgebenchError
from harness.runner import process as process_module
from harness.runner.launch import Launch
from harness.runner.process import (
    ProtocolBroken,
    WorkerCrashed,
    WorkerError,
    WorkerOutOfMemory,
    WorkerProcess,
    WorkerRefused,
    WorkerTimeout,
)
from harness.worker.protocol import Message, Method

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="signals and process groups of POSIX")

START_S = 60.0  # generous: a busy machine starts Python slowly, and no test waits for it to pass
TIMED = {"prompt_tokens": 4, "decode_tokens": 3, "depth": 0, "repetitions": 2, "warmups": 1, "seed": 1}
LOGITS = {"tokens": [1, 2], "first": 0}

Begin = Callable[..., WorkerProcess]
Request = tuple[Method, dict[str, Any]]
_LINUX = sys.platform == "linux"


@pytest.fixture
def artifact(tmp_path: Path) -> Path:
    path = tmp_path / "fake.json"
    path.write_text(json.dumps({"bits": 8, "broken": False}), encoding="utf-8")
    return path


@pytest.fixture
def begin(fake_launch: Launch, tmp_path: Path) -> Iterator[Begin]:
    """Starts workers with a script, and sees to it that none outlives the test or leaves anything open."""
    threads, descriptors = threading.active_count(), _descriptors()
    workers: list[WorkerProcess] = []

    def start(script: dict[str, Any] | None = None, **arguments: Any) -> WorkerProcess:
        launch = Launch(
            fake_launch.python,
            fake_launch.backend,
            env={"EDGEBENCH_FAKE_SCRIPT": json.dumps(script)} if script else {},
        )
        worker = WorkerProcess(launch, log=tmp_path / "logs" / "worker.log", **arguments)
        workers.append(worker)
        return worker

    yield start
    for worker in workers:
        worker.kill()
        assert not psutil.pid_exists(worker.pid), "not reaped"
    assert threading.active_count() == threads
    assert _descriptors() == descriptors


def _descriptors() -> int:
    return len(list(Path("/proc/self/fd").iterdir())) if _LINUX else 0


def _log(tmp_path: Path) -> str:
    return (tmp_path / "logs" / "worker.log").read_text(encoding="utf-8", errors="replace")


def _load(worker: WorkerProcess, artifact: Path) -> dict[str, Any]:
    return worker.call("load", _load_body(artifact), timeout_s=START_S)


def _load_body(artifact: Path) -> dict[str, Any]:
    return {"artifact": str(artifact), "device": "cpu", "api": "cpu", "threads": 2, "context_tokens": 64}


def _gone(pid: int, within_s: float = 10.0) -> bool:
    """Whether a process that is no child of ours ends in time, waiting without polling."""
    try:
        descriptor = os.pidfd_open(pid)
    except ProcessLookupError:
        return True
    try:
        return bool(select.select([descriptor], [], [], within_s)[0])
    finally:
        os.close(descriptor)


# -- the good way --------------------------------------------------------------------------------------------


def test_a_worker_says_who_it_is_loads_runs_and_leaves(begin: Begin, artifact: Path) -> None:
    events: list[Message] = []
    with begin(on_event=events.append) as worker:
        hello = worker.call("hello", {}, timeout_s=START_S)
        assert hello["framework"] == "fake"
        assert hello["pid"] == worker.pid
        assert hello["memory"][0]["phase"] == "import"
        loaded = _load(worker, artifact)
        assert loaded["device"]["id"] == "cpu"
        assert loaded["hints"] == {"compute": "f32"}
        timed = worker.call("timed", TIMED, timeout_s=START_S)
        assert [sample["warmup"] for sample in timed["samples"]] == [True, False, False]
        peaks = [reading["peak_rss_bytes"] for reading in [*loaded["memory"], *timed["memory"]]]
        assert peaks == sorted(peaks)
        assert worker.call("unload", {}, timeout_s=START_S) == {}
    assert [event.body["phase"] for event in events] == [
        "import", "load", "warmup", "prefill+decode", "prefill+decode",
    ]  # fmt: skip
    assert worker.last_event == events[-1]
    assert worker.peak_seen_bytes is None, "without a limit nothing is watched"


def test_the_worker_imports_the_framework_on_first_need_without_a_hello(begin: Begin) -> None:
    with begin() as worker:
        assert worker.call("devices", {}, timeout_s=START_S)["devices"][0]["id"] == "cpu"


def test_closing_twice_and_killing_after_closing_are_harmless(begin: Begin) -> None:
    worker = begin()
    worker.close()
    worker.close()
    worker.kill()
    with pytest.raises(RuntimeError, match="closed"):
        worker.call("hello", {}, timeout_s=1)


def test_waiting_costs_the_runner_no_processor_time(begin: Begin) -> None:
    with begin({"devices": [{"do": "wait", "seconds": 1.0}]}) as worker:
        worker.call("hello", {}, timeout_s=START_S)
        before = time.process_time()
        worker.call("devices", {}, timeout_s=START_S)
        assert time.process_time() - before < 0.1


def test_the_workers_environment_is_the_runners_with_additions(
    fake_launch: Launch, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OMP_NUM_THREADS", "3")
    script = {"start": [{"do": "raise", "type": "KeyError", "message": "x"}]}
    launch = Launch(
        fake_launch.python, fake_launch.backend, env={"EDGEBENCH_FAKE_SCRIPT": json.dumps(script)}
    )
    with WorkerProcess(launch, log=tmp_path / "log") as worker:
        assert psutil.Process(worker.pid).environ()["OMP_NUM_THREADS"] == "3"
        with pytest.raises(WorkerRefused, match="KeyError"):
            worker.call("hello", {}, timeout_s=START_S)


# -- refusals ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("stage", ["import", "start", "versions"])
def test_an_exception_before_anything_runs_is_a_refusal_with_its_traceback(begin: Begin, stage: str) -> None:
    with begin(
        {stage: [{"do": "raise", "type": "ImportError", "message": "libfoo.so.1 is missing"}]}
    ) as worker:
        with pytest.raises(WorkerRefused) as caught:
            worker.call("hello", {}, timeout_s=START_S)
        assert caught.value.type == "ImportError"
        assert caught.value.message == "libfoo.so.1 is missing"
        assert "fake.py" in caught.value.traceback
        assert str(caught.value) == "ImportError: libfoo.so.1 is missing"
        assert caught.value.method == "hello"


@pytest.mark.parametrize("stage", ["reset", "prefill", "decode", "sample"])
def test_a_worker_that_refused_a_timed_request_serves_the_next(
    begin: Begin, artifact: Path, stage: str
) -> None:
    script = {stage: [{"do": "raise", "message": "just once", "at": 1}]}
    with begin(script) as worker:
        _load(worker, artifact)
        with pytest.raises(WorkerRefused, match="just once") as caught:
            worker.call("timed", TIMED, timeout_s=START_S)
        assert caught.value.phase in ("warmup", "prefill+decode")
        assert len(worker.call("timed", TIMED, timeout_s=START_S)["samples"]) == 3


def test_a_missing_capability_is_told_apart_from_a_failure(begin: Begin, artifact: Path) -> None:
    with begin(
        {"logits": [{"do": "raise", "type": "Unsupported", "message": "Fake gives no logits"}]}
    ) as worker:
        _load(worker, artifact)
        with pytest.raises(WorkerRefused) as caught:
            worker.call("logits", LOGITS, timeout_s=START_S)
        assert caught.value.type == "Unsupported"
        assert str(caught.value) == "Fake gives no logits"


@pytest.mark.parametrize(
    ("method", "body", "message"),
    [
        ("timed", {"prompt_tokens": 4}, "BodyError: TimedSpec: field 'decode_tokens' is missing"),
        ("timed", {**TIMED, "prompt_tokens": 100}, "103 tokens do not fit into the context of 64"),
        ("timed", {**TIMED, "more": 1}, "unknown field 'more'"),
        ("load", {}, "LoadSpec: field 'artifact' is missing"),
        ("energy", {"phase": "decode", "seconds": "long"}, r"EnergySpec\.seconds: expected float"),
        ("generate", {"tokens": [999], "count": 1}, "token ids in 0 .. 255"),
        ("generate", {"tokens": [1], "count": 99}, "do not fit"),
        ("logits", {"tokens": [1], "first": 1}, "first must be 0 .. 0"),
        ("dance", {}, "no request: request 'dance'"),
        ("hello", {"x": 1}, "unknown field 'x'"),
    ],
)
def test_a_wrong_request_is_refused_and_harmless(
    begin: Begin, artifact: Path, method: Any, body: dict[str, Any], message: str
) -> None:
    with begin() as worker:
        _load(worker, artifact)
        with pytest.raises(WorkerRefused, match=message):
            worker.call(method, body, timeout_s=START_S)
        assert worker.call("hello", {}, timeout_s=START_S)["framework"] == "fake"


def test_work_before_loading_and_loading_twice_are_refused(begin: Begin, artifact: Path) -> None:
    with begin() as worker:
        with pytest.raises(WorkerRefused, match="nothing is loaded"):
            worker.call("timed", TIMED, timeout_s=START_S)
        _load(worker, artifact)
        with pytest.raises(WorkerRefused, match="loaded already"):
            _load(worker, artifact)


def test_a_model_on_another_device_than_asked_is_refused_and_unloaded(begin: Begin, artifact: Path) -> None:
    script = {"load": [{"do": "device", "id": "cpu", "api": "fallback", "at": 0}]}
    with begin(script) as worker:
        with pytest.raises(WorkerRefused, match=r"asked for cpu \(cpu\), the model runs on cpu \(fallback\)"):
            _load(worker, artifact)
        assert _load(worker, artifact)["device"]["api"] == "cpu"


def test_a_backend_that_calls_exit_is_a_refusal(begin: Begin) -> None:
    with (
        begin({"start": [{"do": "raise", "type": "SystemExit", "message": "licence"}]}) as worker,
        pytest.raises(WorkerRefused, match="SystemExit: licence"),
    ):
        worker.call("hello", {}, timeout_s=START_S)


def test_a_backend_that_does_not_exist_is_a_refusal(fake_launch: Launch, tmp_path: Path) -> None:
    launch = Launch(fake_launch.python, "harness.backends.nothing:Nothing")
    with (
        WorkerProcess(launch, log=tmp_path / "log") as worker,
        pytest.raises(WorkerRefused, match="ModuleNotFoundError"),
    ):
        worker.call("hello", {}, timeout_s=START_S)


def test_an_interpreter_that_does_not_exist_says_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(EdgebenchError, match="cannot be started") as caught:
        WorkerProcess(Launch(tmp_path / "no-python", "a:B"), log=tmp_path / "log")
    assert "edgebench env" in caught.value.next_step


# -- crashes -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("how", "number"), [("segv", signal.SIGSEGV), ("abort", signal.SIGABRT), ("kill", signal.SIGKILL)]
)
def test_a_signal_that_ends_the_worker_is_named(
    begin: Begin, artifact: Path, how: str, number: signal.Signals
) -> None:
    worker = begin({"decode": [{"do": "crash", "how": how, "at": 2}]})
    _load(worker, artifact)
    with pytest.raises(WorkerCrashed) as caught:
        worker.call("timed", TIMED, timeout_s=START_S)
    assert caught.value.signal == number
    assert caught.value.exit_code is None
    assert (caught.value.method, caught.value.phase) == ("timed", "warmup")
    assert str(caught.value) == f"The worker was ended by {number.name} during 'timed', phase 'warmup'"
    assert not psutil.pid_exists(worker.pid)


def test_a_native_crash_leaves_its_python_stack_in_the_log(begin: Begin, artifact: Path) -> None:
    worker = begin({"prefill": [{"do": "crash", "how": "segv"}]})
    _load(worker, artifact)
    with pytest.raises(WorkerCrashed) as caught:
        worker.call("timed", TIMED, timeout_s=START_S)
    assert "Segmentation fault" in caught.value.log_tail
    assert "in prefill" in caught.value.log_tail


@pytest.mark.parametrize("status", [0, 1, 77])
@pytest.mark.parametrize("stage", ["import", "load", "logits"])
def test_an_exit_is_a_crash_with_its_status_and_last_lines(
    begin: Begin, artifact: Path, stage: str, status: int
) -> None:
    worker = begin(
        {
            stage: [
                {"do": "print", "text": "out of luck", "stream": "stderr", "fd": True},
                {"do": "crash", "how": "exit", "status": status},
            ]
        }
    )
    if stage == "logits":
        _load(worker, artifact)
    request: Request = ("load", _load_body(artifact)) if stage != "logits" else ("logits", LOGITS)
    with pytest.raises(WorkerCrashed) as caught:
        worker.call(*request, timeout_s=START_S)
    assert caught.value.exit_code == status
    assert caught.value.signal is None
    assert caught.value.log_tail.endswith("out of luck")


def test_the_log_of_an_earlier_worker_is_not_taken_for_this_ones(begin: Begin, tmp_path: Path) -> None:
    (tmp_path / "logs").mkdir()
    (tmp_path / "logs" / "worker.log").write_text("an earlier worker's words\n", encoding="utf-8")
    worker = begin({"start": [{"do": "crash", "how": "exit", "status": 5}]})
    with pytest.raises(WorkerCrashed) as caught:
        worker.call("hello", {}, timeout_s=START_S)
    assert caught.value.log_tail == ""
    assert "an earlier" in _log(tmp_path)


def test_a_worker_that_died_between_two_requests_is_a_crash_at_the_next(begin: Begin) -> None:
    worker = begin()
    worker.call("hello", {}, timeout_s=START_S)
    os.kill(worker.pid, signal.SIGTERM)
    with pytest.raises(WorkerCrashed) as caught:
        worker.call("devices", {}, timeout_s=START_S)
    assert caught.value.signal == signal.SIGTERM


def test_a_kill_by_the_kernel_for_memory_is_out_of_memory(
    begin: Begin, artifact: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    counts = iter([3, 4])
    monkeypatch.setattr(process_module, "oom_kills", lambda: next(counts))
    worker = begin({"prefill": [{"do": "crash", "how": "kill"}]})
    _load(worker, artifact)
    with pytest.raises(WorkerOutOfMemory, match="for want of memory during 'timed'"):
        worker.call("timed", TIMED, timeout_s=START_S)


# -- hanging -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("gil", [False, True], ids=["gil free", "gil held"])
@pytest.mark.parametrize("stage", ["import", "load", "decode"])
def test_a_worker_that_hangs_is_killed_at_its_time_out(
    begin: Begin, artifact: Path, stage: str, gil: bool
) -> None:
    worker = begin({stage: [{"do": "hang", "gil": gil}]})
    if stage == "decode":
        _load(worker, artifact)
    request: Request = ("load", _load_body(artifact)) if stage != "decode" else ("timed", TIMED)
    started = time.monotonic()
    with pytest.raises(WorkerTimeout) as caught:
        worker.call(*request, timeout_s=0.5)
    assert time.monotonic() - started < 5
    assert caught.value.timeout_s == 0.5
    assert not psutil.pid_exists(worker.pid)
    with pytest.raises(RuntimeError, match="closed"):
        worker.call("hello", {}, timeout_s=1)


def test_a_large_request_to_a_worker_that_does_not_read_times_out(begin: Begin) -> None:
    worker = begin({"import": [{"do": "hang", "gil": True}]})
    with pytest.raises(WorkerTimeout):
        worker.call("hello", {}, timeout_s=0.01)
    stopped = begin()
    os.kill(stopped.pid, signal.SIGSTOP)
    with pytest.raises(WorkerTimeout):
        stopped.call("generate", {"tokens": [1] * 1_000_000, "count": 1}, timeout_s=0.5)


def test_closing_a_worker_that_hangs_kills_it(begin: Begin) -> None:
    worker = begin()
    worker.call("hello", {}, timeout_s=START_S)
    os.kill(worker.pid, signal.SIGSTOP)
    worker.close(timeout_s=0.2)
    assert not psutil.pid_exists(worker.pid)


# -- memory --------------------------------------------------------------------------------------------------


def test_a_worker_beyond_its_memory_limit_is_killed_and_its_peak_is_told(
    begin: Begin, artifact: Path
) -> None:
    limit = 150 * 2**20
    worker = begin({"load": [{"do": "allocate", "bytes": 400 * 2**20}]}, memory_limit_bytes=limit)
    with pytest.raises(WorkerOutOfMemory) as caught:
        _load(worker, artifact)
    assert caught.value.limit_bytes == limit
    assert caught.value.peak_bytes is not None
    assert caught.value.peak_bytes > limit
    assert worker.peak_seen_bytes == caught.value.peak_bytes
    assert not psutil.pid_exists(worker.pid)


def test_a_worker_below_its_limit_goes_on_and_its_highest_is_kept(begin: Begin, artifact: Path) -> None:
    script = {
        "load": [{"do": "allocate", "bytes": 64 * 2**20, "hang": False}, {"do": "wait", "seconds": 0.5}]
    }
    with begin(script, memory_limit_bytes=2**31) as worker:
        _load(worker, artifact)
        assert worker.peak_seen_bytes is not None
        assert 64 * 2**20 < worker.peak_seen_bytes < 2**31


def test_an_allocation_that_fails_is_out_of_memory_too(begin: Begin, artifact: Path) -> None:
    worker = begin({"load": [{"do": "raise", "type": "MemoryError", "message": "std::bad_alloc"}]})
    with pytest.raises(WorkerOutOfMemory, match=r"could not allocate memory: std::bad_alloc"):
        _load(worker, artifact)


# -- what frameworks print -----------------------------------------------------------------------------------


def test_whatever_a_framework_prints_goes_to_the_log_alone(
    begin: Begin, artifact: Path, tmp_path: Path
) -> None:
    garbage = '{"v":1,"id":1,"kind":"result","name":"hello","body":{}}'
    actions = [
        {"do": "print", "text": f"{where} {how}", "stream": where, "fd": how == "fd"}
        for where in ("stdout", "stderr")
        for how in ("python", "fd")
    ]
    actions.append({"do": "print", "text": garbage})
    stages = ("import", "start", "load", "prefill", "decode", "sample", "logits", "unload")
    with begin(dict.fromkeys(stages, actions)) as worker:
        assert worker.call("hello", {}, timeout_s=START_S)["framework"] == "fake"
        _load(worker, artifact)
        assert len(worker.call("timed", TIMED, timeout_s=START_S)["samples"]) == 3
        worker.call("logits", LOGITS, timeout_s=START_S)
        worker.call("unload", {}, timeout_s=START_S)
    log = _log(tmp_path)
    for words in ("stdout python", "stdout fd", "stderr python", "stderr fd", garbage):
        assert words in log


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("Loading model...\n", "not JSON"),
        ("[1]\n", "not a message"),
        ('{"v":2,"id":1,"kind":"result","name":"x","body":{}}\n', "protocol version 2"),
        ('{"v":1,"id":"a","kind":"result","name":"x","body":{}}\n', "not a message"),
        ('{"v":1,"id":null,"kind":"result","name":"x","body":{}}\n', "not a message"),
        ('{"v":1,"id":77,"kind":"result","name":"x","body":{}}\n', "result 77 while 'hello' was request 1"),
        ('{"v":1,"id":1,"kind":"request","name":"x","body":{}}\n', "request 1 while"),
        ("[" * 50_000 + "\n", "recursion"),
    ],
)
def test_anything_but_an_answer_on_the_pipe_breaks_the_protocol(
    begin: Begin, text: str, message: str
) -> None:
    worker = begin({"start": [{"do": "pipe", "text": text}]})
    with pytest.raises(ProtocolBroken, match=message):
        worker.call("hello", {}, timeout_s=START_S)
    assert not psutil.pid_exists(worker.pid)


def test_a_line_without_an_end_breaks_the_protocol_before_it_fills_memory(
    begin: Begin, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(process_module, "LINE_LIMIT_BYTES", 1_000_000)
    worker = begin({"start": [{"do": "pipe", "text": "x", "times": 2_000_000}]})
    with pytest.raises(ProtocolBroken, match="a line of more than 1000000 bytes"):
        worker.call("hello", {}, timeout_s=START_S)


def test_a_crash_in_the_middle_of_a_line_is_a_crash(begin: Begin) -> None:
    worker = begin(
        {"start": [{"do": "pipe", "text": '{"v":1,'}, {"do": "crash", "how": "exit", "status": 9}]}
    )
    with pytest.raises(WorkerCrashed) as caught:
        worker.call("hello", {}, timeout_s=START_S)
    assert caught.value.exit_code == 9


def test_a_figure_that_is_no_number_is_a_refusal_and_not_a_broken_line(begin: Begin, artifact: Path) -> None:
    with begin({"logits": [{"do": "nan", "positions": [1]}]}) as worker:
        _load(worker, artifact)
        answer = worker.call("logits", {"tokens": [1, 2, 3], "first": 0}, timeout_s=START_S)
        assert answer["finite"] is False
        assert answer["logprob"] == [None, None, None]


def test_an_error_in_the_listener_is_passed_on_and_ends_the_worker(begin: Begin) -> None:
    def listener(message: Message) -> None:
        raise ZeroDivisionError(message.name)

    worker = begin(on_event=listener)
    with pytest.raises(ZeroDivisionError, match="phase"):
        worker.call("hello", {}, timeout_s=START_S)
    assert not psutil.pid_exists(worker.pid)


# -- nothing is left behind ----------------------------------------------------------------------------------


@pytest.mark.skipif(not _LINUX, reason="waits on pidfd")
@pytest.mark.parametrize("session", [False, True], ids=["same group", "own session"])
def test_killing_a_worker_kills_what_it_started(begin: Begin, tmp_path: Path, session: bool) -> None:
    pid_file = tmp_path / "child"
    worker = begin({"start": [{"do": "spawn", "pid_file": str(pid_file), "session": session}]})
    worker.call("hello", {}, timeout_s=START_S)
    child = int(pid_file.read_text(encoding="utf-8"))
    assert psutil.pid_exists(child)
    worker.kill()
    assert _gone(child)


@pytest.mark.skipif(not _LINUX, reason="waits on pidfd")
@pytest.mark.parametrize("end", ["close", "crash"])
def test_what_a_worker_leaves_behind_by_itself_is_killed(begin: Begin, tmp_path: Path, end: str) -> None:
    pid_file = tmp_path / "child"
    script: dict[str, Any] = {"start": [{"do": "spawn", "pid_file": str(pid_file)}]}
    if end == "crash":
        script["devices"] = [{"do": "crash", "how": "exit", "status": 4}]
    worker = begin(script)
    worker.call("hello", {}, timeout_s=START_S)
    child = int(pid_file.read_text(encoding="utf-8"))
    if end == "crash":
        with pytest.raises(WorkerCrashed):
            worker.call("devices", {}, timeout_s=START_S)
    else:
        worker.close()
    assert _gone(child)


def test_leaving_with_an_exception_kills_the_worker(begin: Begin) -> None:
    with pytest.raises(KeyboardInterrupt), begin() as worker:
        raise KeyboardInterrupt
    assert not psutil.pid_exists(worker.pid)


def test_every_outcome_is_one_that_a_person_can_read() -> None:
    for outcome in (WorkerCrashed, WorkerTimeout, WorkerOutOfMemory, WorkerRefused, ProtocolBroken):
        assert issubclass(outcome, WorkerError)
        assert issubclass(outcome, EdgebenchError)
