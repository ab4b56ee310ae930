"""llama-cpp-python's own server, started for real: ``pytest --framework server``."""

from __future__ import annotations

import sys
import time
from pathlib import Path

import psutil
import pytest

from harness.frameworks import frameworks
from harness.meter import Meter
from harness.model import load_models
from harness.paths import cache_dir
from harness.runner.energy import EnergyProbe, EnergySource
from harness.runner.process import WorkerProcess, WorkerRefused
from harness.runner.progress import QuietProgress
from harness.runner.setup import Workshop
from harness.worker.api import LoadSpec
from harness.worker.bodies import from_body, to_body
from harness.worker.protocol import TimedSpec

pytestmark = pytest.mark.framework("server")

MODEL = "smollm2-135m-instruct"
TIMEOUT_S = 120.0


@pytest.fixture(scope="module")
def workshop() -> Workshop:
    return Workshop(
        models=load_models(), entries=frameworks(), cache_dir=cache_dir(), threads=1, progress=QuietProgress()
    )


@pytest.fixture
def body(workshop: Workshop) -> dict[str, object]:
    entry = workshop.artifact(MODEL, "server", "F16").entry
    spec: dict[str, object] = to_body(LoadSpec(entry, "cpu", "http", 1, 64, {}))
    return spec


def timed(concurrency: int) -> dict[str, int]:
    keys = {"prompt_tokens": 32, "decode_tokens": 8, "depth": 0, "repetitions": 2, "warmups": 1, "seed": 5}
    return {**keys, "concurrency": concurrency}


def test_the_artifact_is_that_of_llamacpp_and_so_is_the_build(workshop: Workshop) -> None:
    own, other = (workshop.artifact(MODEL, name, "F16") for name in ("server", "llamacpp"))
    assert (own.id, own.entry, own.weight_bytes) == (other.id, other.entry, other.weight_bytes)
    builds = [workshop.environment(name).builds[0].sha256 for name in ("server", "llamacpp")]
    assert builds[0] == builds[1]


def test_it_streams_exactly_the_tokens_that_were_asked_for(
    workshop: Workshop, body: dict[str, object], tmp_path: Path
) -> None:
    with WorkerProcess(workshop.launch("server", api="http"), log=tmp_path / "log") as worker:
        hello = worker.call("hello", {}, timeout_s=TIMEOUT_S)
        assert hello["memory"] == []
        loaded = worker.call("load", body, timeout_s=TIMEOUT_S)
        assert loaded["hints"]["server"] == "uvicorn"
        assert loaded["framework_version"] == hello["versions"]["framework"]
        bare, now = loaded["memory"]
        assert (bare["phase"], now["phase"], now["method"]) == ("import", "load", "VmHWM(tree)")
        assert 0 < bare["rss_bytes"] < now["peak_rss_bytes"]
        (alone,) = psutil.Process(worker.pid).children(recursive=True)
        assert now["rss_bytes"] == pytest.approx(alone.memory_info().rss, rel=0.2)
        # The client is small, whatever the model.
        assert psutil.Process(worker.pid).memory_info().rss < now["peak_rss_bytes"] / 2

        answer = worker.call("timed", timed(1), timeout_s=TIMEOUT_S)
        for sample in answer["samples"]:
            assert len(sample["token_ns"]) == 9
            assert sample["values"]["tokens"] == sample["values"]["arrivals"] == 9
            assert sample["values"]["prompt_tokens_told"] == 32
            assert sample["token_ns"] == sorted(sample["token_ns"])
        first, *others = (sample["values"]["ttft_s"] for sample in answer["samples"])
        assert min(others) > 0.02 * first, "a prompt that the prefix cache knew would take no time"

        answer = worker.call("timed", timed(3), timeout_s=TIMEOUT_S)
        for sample in answer["samples"]:
            assert [len(times) for times in sample["request_ns"]] == [10, 10, 10]
            assert sample["values"]["tokens"] == 27
            # This server answers one request after another: the waiting is part of its TTFT.
            first = sorted(times[1] - times[0] for times in sample["request_ns"])
            assert first[2] > 1.5 * first[0]
        peaks = [each["peak_rss_bytes"] for each in answer["memory"]]
        assert peaks == sorted(peaks)
        worker.call("unload", {}, timeout_s=TIMEOUT_S)
        assert not alone.is_running()
        worker.call("load", body, timeout_s=TIMEOUT_S)


class _Meter(Meter):
    """Counts 5 W, and 10 W more while a processor of the server computes."""

    name = "scripted"
    method = "counter"
    domains = ("package-0",)
    resolution_s = 0.01

    def __init__(self) -> None:
        self.server: psutil.Process | None = None

    def read(self) -> dict[str, float]:
        assert self.server is not None
        times = self.server.cpu_times()
        return {"package-0": 5 * time.monotonic() + 10 * (times.user + times.system)}


def test_its_decode_has_an_energy_of_its_own(
    workshop: Workshop, body: dict[str, object], tmp_path: Path
) -> None:
    meter = _Meter()
    probe = EnergyProbe(EnergySource((meter,), ""), "cpu")
    launch = workshop.launch("server", api="http")
    with WorkerProcess(launch, log=tmp_path / "log", on_event=probe.on_event) as worker:
        worker.call("load", body, timeout_s=TIMEOUT_S)
        (meter.server,) = psutil.Process(worker.pid).children(recursive=True)
        # Mostly decode: beside a prefill as long, the difference of two windows is lost in the noise of a busy machine.
        asked = {**timed(1), "prompt_tokens": 8, "decode_tokens": 32}
        samples = worker.call("timed", asked, timeout_s=TIMEOUT_S)["samples"]
        spec = from_body(TimedSpec, asked)
        readings = probe.measure(worker, from_body(LoadSpec, body), spec, TIMEOUT_S)
    assert readings.flags == []
    prefill, decode = readings.records
    for record in (prefill, decode):
        assert record.reason is None
        assert record.gross_joules is not None
        assert record.window_s is not None
        assert record.tokens
        # At most one processor computes while the window lasts, less where others want it too.
        assert 5.5 < record.gross_joules / record.window_s < 16
        assert record.idle_watts == pytest.approx(5, rel=0.1)
    assert decode.deepest_tokens == 40
    times = samples[-1]["token_ns"]
    own = (times[-1] - times[0]) / 1e9 / (len(times) - 1)
    assert decode.window_s is not None
    assert 1 / 3 < decode.window_s / (decode.tokens or 1) / own < 3
    assert None not in (prefill.net_joules, decode.net_joules)


def test_what_cannot_be_is_refused(workshop: Workshop, body: dict[str, object], tmp_path: Path) -> None:
    foreign = tmp_path / "F16.gguf"
    foreign.write_bytes(b"this is not a model\n" * 100)
    broken = tmp_path / "broken.gguf"
    broken.write_bytes(b"GGUF" + bytes(100))
    with WorkerProcess(workshop.launch("server", api="http"), log=tmp_path / "log") as worker:
        for changed, message in (
            ({"device": "gpu:0"}, "computes on the CPU"),
            ({"device": "npu:9", "api": "nothing"}, "not npu:9 by nothing"),
            ({"options": {"no_such_option": "1"}}, "no_such_option"),
            ({"artifact": str(foreign)}, "no GGUF file"),
            ({"artifact": str(broken)}, "cannot read the vocabulary"),
        ):
            with pytest.raises(WorkerRefused, match=message):
                worker.call("load", {**body, **changed}, timeout_s=TIMEOUT_S)
        assert psutil.Process(worker.pid).children(recursive=True) == []


def test_a_worker_that_is_killed_leaves_no_server(
    workshop: Workshop, body: dict[str, object], tmp_path: Path
) -> None:
    with WorkerProcess(workshop.launch("server", api="http"), log=tmp_path / "log") as worker:
        worker.call("load", body, timeout_s=TIMEOUT_S)
        process = psutil.Process(worker.pid)
        (server,) = process.children(recursive=True)
        process.kill()
        deadline = time.monotonic() + 5
        while server.is_running() and server.status() != psutil.STATUS_ZOMBIE and time.monotonic() < deadline:
            time.sleep(0.05)
        assert not server.is_running() or server.status() == psutil.STATUS_ZOMBIE


@pytest.mark.skipif(sys.platform != "linux", reason="reads another process's peak")
def test_a_server_that_runs_already_is_measured_and_left_alone(
    workshop: Workshop, body: dict[str, object], tmp_path: Path
) -> None:
    launch = workshop.launch("server", api="http")
    with (
        WorkerProcess(launch, log=tmp_path / "one") as owner,
        WorkerProcess(launch, log=tmp_path / "two") as worker,
    ):
        owner.call("load", body, timeout_s=TIMEOUT_S)
        (server,) = psutil.Process(owner.pid).children(recursive=True)
        (port,) = (each.laddr.port for each in server.net_connections() if each.status == psutil.CONN_LISTEN)
        running = {**body, "options": {"url": f"http://127.0.0.1:{port}/v1"}}
        loaded = worker.call("load", running, timeout_s=TIMEOUT_S)
        imported, now = loaded["memory"]
        assert imported["rss_bytes"] is None
        assert now["rss_bytes"] == pytest.approx(server.memory_info().rss, rel=0.2)
        answer = worker.call("timed", timed(2), timeout_s=TIMEOUT_S)
        assert len(answer["samples"]) == 3
        worker.call("unload", {}, timeout_s=TIMEOUT_S)
        assert server.is_running()


def test_its_completions_are_the_models_own_greedy_text(
    workshop: Workshop, body: dict[str, object], tmp_path: Path
) -> None:
    """The same artifact through llama.cpp itself says the same, token by token: nothing is penalised or sampled."""
    source = workshop.model_file(MODEL).path
    texts = [
        "Question: Tom has 3 apples and buys 4 more. How many apples has he?\nAnswer:",
        "Once upon a time,",
    ]
    with WorkerProcess(workshop.launch("llamacpp"), log=tmp_path / "own") as worker:
        spec = LoadSpec(workshop.artifact(MODEL, "llamacpp", "F16").entry, "cpu", "cpu", 1, 64, {})
        worker.call("load", to_body(spec), timeout_s=TIMEOUT_S)
        encode = {"model": str(source), "texts": texts, "special": False}
        ids = worker.call("encode", encode, timeout_s=TIMEOUT_S)["tokens"]
        chosen = [
            worker.call("generate", {"tokens": tokens, "count": 24}, timeout_s=TIMEOUT_S)["tokens"]
            for tokens in ids
        ]
        written = {"model": str(source), "tokens": chosen}
        expected = worker.call("detokenize", written, timeout_s=TIMEOUT_S)["texts"]
    with WorkerProcess(workshop.launch("server", api="http"), log=tmp_path / "server") as worker:
        worker.call("load", body, timeout_s=TIMEOUT_S)
        for tokens, text, whole in zip(ids, texts, expected, strict=True):
            asked = {"tokens": tokens, "text": text, "count": 24, "stops": []}
            said = worker.call("complete", asked, timeout_s=TIMEOUT_S)["text"]
            # The server ends at the model's own end; the worker goes on and writes it out.
            assert said == whole.partition("<|im_end|>")[0].partition("<|endoftext|>")[0]
            assert len(said) > 20
            stop = said[10:14]
            cut = worker.call("complete", {**asked, "stops": [stop]}, timeout_s=TIMEOUT_S)["text"]
            assert cut == said.partition(stop)[0]
