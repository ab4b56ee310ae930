"""The client of HTTP servers, and the timed pass of streams, against a scripted server."""

from __future__ import annotations

import json
import os
import socket
import sys
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from server_script import DONE, Scripted, piece, scripted

from harness.backends import _server_process as processes
from harness.backends._server_client import Endpoint, ServerError, parsed
from harness.backends.server import Server, parse_options
from harness.worker import energy, timing
from harness.worker.api import Host, LoadSpec, MakeRequest, ModelFacts, Unsupported
from harness.worker.protocol import MemoryReading, TimedSpec

GOOD: list[float | bytes] = [0.1, piece("a"), 0.05, piece("b"), 0.05, piece("c"), piece("", "length"), DONE]
PROMPT = np.arange(8, dtype=np.int32)


@pytest.fixture
def server() -> Iterator[Scripted]:
    with scripted() as running:
        running.script = list(GOOD)
        yield running


@pytest.fixture
def gguf(tmp_path: Path) -> Path:
    path = tmp_path / "F16.gguf"
    path.write_bytes(b"GGUF" + bytes(32))
    return path


def load(server: Scripted | str, gguf: Path, device: str = "cpu", **options: str) -> Server:
    url = server if isinstance(server, str) else server.url
    backend = Server()
    backend.start()
    backend.load(LoadSpec(gguf, device, "http", 1, 64, {"url": url, "stall_s": "1", **options}))
    return backend


def ignore(name: str, body: dict[str, Any]) -> None:
    del name, body


def spec(concurrency: int = 1) -> TimedSpec:
    return TimedSpec(8, 2, 0, 2, 1, 3, concurrency)


@pytest.mark.alone
def test_tokens_are_stamped_as_they_arrive(server: Scripted, gguf: Path) -> None:
    (stream,) = load(server, gguf).stream([PROMPT], 3)
    assert (stream.tokens, stream.tokens_each) == (3, [1, 1, 1])
    gaps = np.diff([stream.submitted_ns, *stream.arrivals_ns]) / 1e9
    assert gaps[0] >= 0.1
    assert all(0.05 <= gap < 0.5 for gap in gaps[1:])


def test_lines_that_are_split_over_packets_are_one_event(server: Scripted, gguf: Path) -> None:
    one = piece("hello")
    server.script = [one[:9], 0.05, one[9:] + piece("b", "length") + DONE]
    (stream,) = load(server, gguf).stream([PROMPT], 2)
    assert stream.tokens_each == [1, 1]


def test_usage_counts_tokens_and_several_in_one_piece_are_not_guessed(server: Scripted, gguf: Path) -> None:
    usage = b'data: {"choices": [], "usage": {"completion_tokens": 5, "prompt_tokens": 9}}\n\n'
    server.script = [piece("two at once"), piece("three at once"), piece("", "length"), usage, DONE]
    (stream,) = load(server, gguf).stream([PROMPT], 5)
    assert (stream.tokens, stream.tokens_each, stream.prompt_tokens) == (5, [], 9)
    result = timing.stream_pass(load(server, gguf), spec(), 0, warmup=False, vocab_size=100)
    assert (result.token_ns, result.values["tokens"], result.values["arrivals"]) == ([], 5.0, 2.0)


def test_a_usage_that_grows_tells_the_tokens_of_each_piece() -> None:
    lines = [
        (10, piece("ab", None, {"completion_tokens": 2})[5:].strip()),
        (20, piece("c", "length", {"completion_tokens": 3})[5:].strip()),
    ]
    stream = parsed(0, lines, 3)
    assert stream.tokens_each == [2, 1]
    assert timing.token_times(stream, 0) == [10, 10, 20]


def test_a_stop_before_the_length_is_no_claim_of_the_length() -> None:
    stream = parsed(0, [(10, piece("a")[5:].strip()), (20, piece("b", "stop")[5:].strip())], 9)
    assert (stream.tokens, stream.tokens_each) == (None, [])


@pytest.mark.parametrize(
    ("script", "message"),
    [
        ([piece("a")], "ended early, after 1 of 3"),
        ([piece("a"), -1.0], "broke after 1 events|ended early, after 1 of 3"),
        ([piece("a"), 3.0, piece("b")], "broke after 1 events: it stalled"),
        (
            [b'data: {"error": {"message": "out of memory"}}\n\n'],
            "sent an error in its stream: .*out of memory",
        ),
        ([b"data: nonsense\n\n"], "no JSON"),
        ([piece("", "length"), DONE], "held no token"),
    ],
)
def test_every_way_to_end_badly_is_said(
    server: Scripted, gguf: Path, script: list[float | bytes], message: str
) -> None:
    server.script = script
    with pytest.raises(ServerError, match=message):
        load(server, gguf).stream([PROMPT], 3)


@pytest.mark.parametrize("status", [400, 401, 404, 500, 503])
def test_a_refusal_has_its_status_and_text(server: Scripted, gguf: Path, status: int) -> None:
    server.status = status
    with pytest.raises(ServerError, match=f"with {status} .*scripted refusal"):
        load(server, gguf).stream([PROMPT, PROMPT], 3)


def test_a_completion_is_asked_for_greedily_and_given_whole(server: Scripted, gguf: Path) -> None:
    server.script = [piece("two "), 0.05, piece("words"), piece("", "stop"), DONE]
    stops = ["a", "b", "c", "d", "e"]
    assert load(server, gguf).complete(PROMPT, "say", 7, stops) == "two words"
    assert server.bodies == [
        {
            "model": "tiny",
            "prompt": "say",
            "max_tokens": 7,
            "temperature": 0,
            "stream": True,
            "stop": stops[:4],
        }
    ]
    backend = load(server, gguf, prompt="tokens", vocab_size="100")
    assert backend.complete(PROMPT, "say", 7, []) == "two words"
    assert server.bodies[1]["prompt"] == list(range(8))
    assert "stop" not in server.bodies[1]


def test_a_server_that_penalises_what_was_said_is_told_not_to(
    server: Scripted, gguf: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    described = {"info": {"title": "\N{LLAMA} llama.cpp Python API", "version": "0.3"}}
    monkeypatch.setattr(Endpoint, "above", lambda *_: described)
    assert load(server, gguf).complete(PROMPT, "say", 3, []) == "abc"
    assert server.bodies[0]["repeat_penalty"] == 1.0


@pytest.mark.parametrize(
    ("script", "said"),
    [
        ([piece("half"), DONE], "ended early, after 4 characters"),
        ([piece("half"), -1.0], "broke after 1 events|ended early, after 4"),
        ([b'data: {"error": {"message": "no"}}\n\n'], "sent an error in its stream"),
        ([b"data: {\n\n"], "no JSON"),
        ([2.0], "stalled"),
    ],
)
def test_a_completion_that_ends_badly_is_no_answer(
    server: Scripted, gguf: Path, script: list[float | bytes], said: str
) -> None:
    server.script = script
    with pytest.raises(ServerError, match=said):
        load(server, gguf).complete(PROMPT, "say", 7, [])


def test_a_chat_answers_no_tasks(server: Scripted, gguf: Path) -> None:
    with pytest.raises(Unsupported, match="endpoint=completions"):
        load(server, gguf, endpoint="chat").complete(PROMPT, "say", 7, [])


def test_nobody_there_is_said(gguf: Path) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    with pytest.raises(ServerError, match=f"no server answers at 127.0.0.1:{port}"):
        load(f"http://127.0.0.1:{port}/v1", gguf)


def test_concurrent_requests_are_submitted_together_and_timed_each(server: Scripted, gguf: Path) -> None:
    backend = load(server, gguf)

    def read_memory(phase: str, *, in_timed_pass: bool = False) -> list[MemoryReading]:
        assert not in_timed_pass, "a stream is never interrupted"
        return backend.memory(phase)

    result = timing.timed_passes(backend, spec(4), vocab_size=100, emit=ignore, read_memory=read_memory)
    assert [sample.warmup for sample in result.samples] == [True, False, False]
    for sample in result.samples:
        assert [len(times) for times in sample.request_ns] == [4] * 4
        assert min(times[0] for times in sample.request_ns) == 0
        assert max(times[0] for times in sample.request_ns) < 90_000_000, "before the first token of any"
        assert all(times == sorted(times) for times in sample.request_ns)
        assert sample.values["tokens"] == 12
        assert sample.values["wall_s"] == pytest.approx(max(times[-1] for times in sample.request_ns) / 1e9)
        assert sample.token_ns == []
    prompts = [body["prompt"] for body in server.bodies]
    assert len(set(prompts)) == 12, "every prompt is fresh"
    assert len({prompt.split()[0] for prompt in prompts}) == 12, "no prefix is known"


def test_what_is_asked_for(server: Scripted, gguf: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("EDGEBENCH_SECRET_OF_TEST", "hunter2")
    backend = load(server, gguf, prompt="tokens", vocab_size="100", api_key_env="EDGEBENCH_SECRET_OF_TEST")
    backend.stream([PROMPT], 3)
    body = server.bodies[-1]
    assert body["prompt"] == list(range(8))
    assert (body["max_tokens"], body["stream"], body["temperature"], body["ignore_eos"]) == (3, True, 0, True)
    assert (body["model"], server.keys[-1]) == ("tiny", "Bearer hunter2")


@pytest.mark.parametrize("name", ["HF_TOKEN", "AWS_SECRET_ACCESS_KEY", "PATH", "EDGEBENCH_DB"])
def test_a_suite_cannot_send_another_secret_to_its_server(
    server: Scripted, gguf: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    monkeypatch.setenv(name, "hunter2")
    with pytest.raises(ValueError, match="begins with EDGEBENCH_"):
        load(server, gguf, api_key_env=name)
    assert "Bearer hunter2" not in server.keys


def test_a_chat_is_a_message_and_its_role_alone_is_no_token(server: Scripted, gguf: Path) -> None:
    def delta(text: str, finish: str = "null") -> bytes:
        return b'data: {"choices": [{"delta": {%s}, "finish_reason": %s}]}\n\n' % (
            text.encode(),
            finish.encode(),
        )

    server.script = [delta('"role": "assistant"'), delta('"content": "a"'), delta("", '"length"'), DONE]
    (stream,) = load(server, gguf, endpoint="chat").stream([PROMPT], 1)
    assert stream.tokens_each == [1]
    assert server.bodies[-1]["messages"][0]["role"] == "user"


def test_memory_is_that_of_the_process_which_listens(server: Scripted, gguf: Path) -> None:
    imported, now = load(server, gguf).memory("load")
    assert imported.rss_bytes is None
    assert imported.reason == "a server that ran before was never seen without a model"
    if sys.platform == "linux":
        assert processes.listeners(server.server_address[1]) == [os.getpid()]
        assert now.method == "VmHWM(tree, since the server's own start)"
        assert now.peak_rss_bytes is not None
        assert now.peak_rss_bytes >= (now.rss_bytes or 0) > 1_000_000
    far = processes.ServerMemory.of_running(Endpoint("http://192.0.2.1:8000/v1"), None).read("load")
    assert (far.peak_rss_bytes, far.reason) == (None, "the server is on another machine")


def test_a_tree_is_summed(tmp_path: Path) -> None:
    for pid, parent, kilobytes in ((10, 1, 100), (11, 10, 20), (12, 11, 3), (13, 1, 5000)):
        folder = tmp_path / str(pid)
        folder.mkdir()
        (folder / "stat").write_text(f"{pid} (a) b) S {parent} 0 0")
        (folder / "status").write_text(f"VmHWM:\t{kilobytes} kB\nVmRSS:\t{kilobytes} kB\n")
    usage = processes.tree_usage([10], tmp_path)
    assert usage is not None
    assert usage.peak_rss_bytes == 123 * 1024
    assert processes.tree_usage([99], tmp_path) is None


@pytest.mark.skipif(sys.platform != "linux", reason="smaps_rollup is Linux's")
def test_a_trees_shares_are_summed_and_one_that_does_not_tell_makes_them_unknown(tmp_path: Path) -> None:
    for pid, parent in ((10, 1), (11, 10)):
        folder = tmp_path / str(pid)
        folder.mkdir()
        (folder / "stat").write_text(f"{pid} (a) S {parent} 0 0")
        (folder / "smaps_rollup").write_text(f"Pss: {pid} kB\nPrivate_Dirty: 7 kB\n")
    shares = processes.tree_shares([10], tmp_path)
    assert (shares.pss_bytes, shares.uss_bytes, shares.reason) == (21 * 1024, 14 * 1024, None)
    (tmp_path / "11" / "smaps_rollup").unlink()
    shares = processes.tree_shares([10], tmp_path)
    assert (shares.pss_bytes, shares.uss_bytes) == (None, None)
    assert shares.reason == "smaps_rollup cannot be read: No such file or directory"


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"nonsense": "1"}, "no option 'nonsense'"),
        ({"model": "x"}, "for a server that runs already"),
        ({"url": "http://h/v1", "n_batch": "1"}, "for a server that is started"),
        ({"url": "http://h/v1", "prompt": "tokens"}, "needs vocab_size"),
        ({"url": "http://h/v1", "prompt": "images"}, "expected text or tokens"),
        ({"n_batch": "0"}, "a number above 0"),
    ],
)
def test_options_are_checked(options: dict[str, str], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        parse_options(options)


def test_a_url_without_sense_or_with_a_password_is_refused(gguf: Path) -> None:
    for url in ("localhost:8000", "ftp://127.0.0.1/v1", "http://me:secret@127.0.0.1/v1"):
        with pytest.raises(ValueError, match="option url"):
            load(url, gguf)


def test_what_only_streams_refuses_the_rest(server: Scripted, gguf: Path) -> None:
    backend = load(server, gguf)
    for call in (lambda: backend.prefill(PROMPT), lambda: backend.decode(1), backend.sample):
        with pytest.raises(Unsupported, match="sees only the stream"):
            call()
    with pytest.raises(Unsupported, match="empty cache"):
        timing.stream_pass(backend, TimedSpec(8, 2, 4, 1, 0, 3), 0, warmup=False, vocab_size=9)
    backend.unload()
    with pytest.raises(RuntimeError, match="nothing is loaded"):
        backend.stream([PROMPT], 1)


def test_energy_windows_send_whole_requests_to_the_server(server: Scripted, gguf: Path) -> None:
    usage = b'data: {"choices": [], "usage": {"completion_tokens": 3, "prompt_tokens": 8}}\n\n'
    server.script = [piece("a"), piece("b"), piece("c", "length"), usage, DONE]
    backend = load(server, gguf)
    work = energy.EnergySpec("decode", 0.05, 8, 8, decode_tokens=2, concurrency=2)
    window = energy.energy_window(backend, work, vocab_size=9, context_tokens=64, emit=ignore)
    assert window.tokens == 2 * window.prompts == 4 * window.passes > 0
    assert {body["max_tokens"] for body in server.bodies} == {3}
    assert len(server.bodies) == window.prompts + 2, "one round before it tells how long a round is"


def test_a_server_on_another_machine_has_no_energy(server: Scripted, gguf: Path) -> None:
    backend = load(server, gguf)
    assert backend.unmetered() is None
    backend._endpoint = Endpoint("http://192.0.2.1:8000/v1")
    work = energy.EnergySpec("prefill", 1.0, 8)
    with pytest.raises(Unsupported, match="on another machine"):
        energy.energy_window(backend, work, vocab_size=9, context_tokens=64, emit=ignore)


def test_a_model_that_the_server_loaded_itself_has_a_description_for_its_artifact(
    server: Scripted, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "llama_cpp", SimpleNamespace(__version__="0.0.0"))
    (recipe,) = (each for each in Server.recipes if each.name == "as-served-int4")
    out = tmp_path / "out"
    out.mkdir()
    backend = Server()
    made = backend.make(MakeRequest(recipe, tmp_path / "tiny.gguf", out, 1))
    assert made.weight_bytes is None
    assert json.loads((out / made.entry).read_text())["claimed_precision"] == "int4"

    entry = out / made.entry
    backend.load(LoadSpec(entry, "gpu:0", "http", 1, 64, {"url": server.url, "stall_s": "1"}))
    (stream,) = backend.stream([PROMPT], 3)
    assert stream.tokens == 3
    with pytest.raises(Unsupported, match="option url"):
        Server().load(LoadSpec(entry, "cpu", "http", 1, 64))


def test_declarations() -> None:
    facts = ModelFacts("m", "llama", "gguf")
    by_name = {recipe.name: recipe for recipe in Server.recipes}
    assert by_name["Q8_0"].made_from == "llamacpp:Q8_0"
    assert Server.unsupported(by_name["Q8_0"], facts) is None
    served = by_name["as-served-int4"]
    assert Server.unsupported(served, facts) is None
    assert "option url" in str(Server.unusable(served, {}))
    assert Server.unusable(served, {"url": "http://127.0.0.1:1/v1"}) is None
    assert Server.unusable(by_name["Q8_0"], {}) is None
    assert Server.unavailable(Host("linux", "x86_64"), "gpu:1", "http") is None
    assert "not cpu by cpu" in str(Server.unavailable(Host("linux", "x86_64"), "cpu", "cpu"))
