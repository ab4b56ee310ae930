"""The contract of `harness.worker.api.Backend`, as tests that hold for every framework.

`BackendContract` is parameterised by its ``subject`` fixture: how to start the framework's worker, and an artifact
that it can load. Everything is asked through a real worker process, as in a run.
"""

from __future__ import annotations

import itertools
import math
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pytest

from harness.runner.launch import Launch
from harness.runner.process import WorkerProcess, WorkerRefused
from harness.worker.api import Loaded, LoadSpec
from harness.worker.bodies import from_body, to_body

#: Loading and the first pass of a real framework on a busy machine.
TIMEOUT_S = 300.0
#: What the tests ask for fits into 64, for graphs without dynamic axes (`Subject.context_tokens`).
CONTEXT = 96
#: One: threads that spin at barriers crawl when a busy machine does not run them at the same time.
THREADS = 1
#: A pattern that repeats makes any language model sure of what comes next, so that no near tie decides.
PROMPT = [11, 25, 39, 52, 17] * 5
OTHER = [61, 7, 33] * 8
#: Prompts of one length for a batch.
PROMPTS = [PROMPT[:24], OTHER, [45, 8, 90, 13] * 6]


@dataclass(frozen=True, slots=True)
class Subject:
    """What the contract is checked on.

    Attributes:
        launch: the framework's worker.
        artifact: what `LoadSpec.artifact` points to.
        capabilities: what the backend declares.
        options: settings to load with.
        device: device to load on.
        api: its API.
        context_tokens: room to load with.
        model: the model's own file, for a tokenizer where the artifact holds none; None: there is none.
    """

    launch: Launch
    artifact: Path
    capabilities: frozenset[str]
    options: dict[str, str] = field(default_factory=dict)
    device: str = "cpu"
    api: str = "cpu"
    context_tokens: int = CONTEXT
    model: Path | None = None

    def load_body(self, **changes: Any) -> dict[str, Any]:
        """The body of a load request, changed where wanted."""
        spec = LoadSpec(self.artifact, self.device, self.api, THREADS, self.context_tokens, self.options)
        return {**to_body(spec), **changes}


class BackendContract:
    """Tests of one backend.

    The test module of a subclass gives the fixtures ``subject``, ``fresh`` (a worker that has loaded nothing; tests
    leave it so) and ``loaded`` (a worker that has loaded the artifact), all of scope ``class``.
    """

    # -- what it says of itself ------------------------------------------------------------------------------------

    def test_it_reports_its_versions_and_its_own_size(self, fresh: WorkerProcess) -> None:
        hello = fresh.call("hello", {}, timeout_s=TIMEOUT_S)
        assert hello["versions"]["framework"]
        assert all(isinstance(version, str) and version for version in hello["versions"].values())
        (memory,) = hello["memory"]
        assert memory["phase"] == "import"
        assert memory["peak_rss_bytes"] > 0

    def test_it_enumerates_the_device_that_it_is_asked_to_load_on(
        self, subject: Subject, fresh: WorkerProcess
    ) -> None:
        devices = fresh.call("devices", {}, timeout_s=TIMEOUT_S)["devices"]
        assert (subject.device, subject.api) in {(device["id"], device["api"]) for device in devices}
        assert all(device["name"] for device in devices)

    # -- loading ---------------------------------------------------------------------------------------------------

    def test_loading_reads_back_the_device_the_vocabulary_and_the_hints(
        self, subject: Subject, fresh: WorkerProcess
    ) -> None:
        answer = fresh.call("load", subject.load_body(), timeout_s=TIMEOUT_S)
        fresh.call("unload", {}, timeout_s=TIMEOUT_S)
        assert answer.pop("load_s") > 0
        assert answer.pop("memory")[0]["phase"] == "load"
        loaded = from_body(Loaded, answer)
        assert (loaded.device.id, loaded.device.api) == (subject.device, subject.api)
        assert loaded.vocab_size > max(*PROMPT, *OTHER)
        assert loaded.threads in (None, THREADS)
        assert loaded.hints, "the settings in force belong to every result"

    def test_another_device_is_refused_and_nothing_falls_back(
        self, subject: Subject, fresh: WorkerProcess
    ) -> None:
        body = subject.load_body(device="npu:9", api="nothing")
        with pytest.raises(WorkerRefused):
            fresh.call("load", body, timeout_s=TIMEOUT_S)

    def test_an_unknown_option_is_refused(self, subject: Subject, fresh: WorkerProcess) -> None:
        body = subject.load_body(options={**subject.options, "no_such_option_at_all": "1"})
        with pytest.raises(WorkerRefused, match="no_such_option_at_all"):
            fresh.call("load", body, timeout_s=TIMEOUT_S)

    def test_a_file_that_is_no_artifact_is_refused_without_a_crash(
        self, subject: Subject, fresh: WorkerProcess, tmp_path: Path
    ) -> None:
        foreign = tmp_path / subject.artifact.name
        if subject.artifact.is_dir():
            foreign.mkdir()
        else:
            foreign.write_bytes(b"this is not a model\n" * 100)
        with pytest.raises(WorkerRefused):
            fresh.call("load", subject.load_body(artifact=str(foreign)), timeout_s=TIMEOUT_S)

    def test_it_loads_again_after_unloading_and_computes_the_same(
        self, subject: Subject, fresh: WorkerProcess
    ) -> None:
        answers = []
        for _ in range(2):
            fresh.call("load", subject.load_body(), timeout_s=TIMEOUT_S)
            answers.append(_generate(fresh, PROMPT, 6))
            fresh.call("unload", {}, timeout_s=TIMEOUT_S)
        assert answers[0] == answers[1]
        with pytest.raises(WorkerRefused, match="nothing is loaded"):
            _generate(fresh, PROMPT, 1)

    # -- computing -------------------------------------------------------------------------------------------------

    def test_the_same_tokens_give_the_same_choices_whatever_was_in_the_cache(
        self, loaded: WorkerProcess
    ) -> None:
        first = _generate(loaded, PROMPT, 8)
        assert len(first) == 8
        other = _generate(loaded, OTHER, 8)
        longer = _generate(loaded, OTHER + PROMPT, 8)
        assert _generate(loaded, PROMPT, 8) == first, "a reset empties the cache"
        assert _generate(loaded, OTHER, 8) == other
        assert _generate(loaded, OTHER + PROMPT, 8) == longer

    def test_timed_samples_are_complete_and_consistent(self, loaded: WorkerProcess) -> None:
        body = {
            "prompt_tokens": 16,
            "decode_tokens": 4,
            "depth": 8,
            "repetitions": 2,
            "warmups": 1,
            "seed": 5,
        }
        timed = loaded.call("timed", body, timeout_s=TIMEOUT_S)
        assert [(s["repetition"], s["warmup"]) for s in timed["samples"]] == [
            (0, True),
            (1, False),
            (2, False),
        ]
        for sample in timed["samples"]:
            values, forward, tokens = sample["values"], sample["forward_ns"], sample["token_ns"]
            assert (len(forward), len(tokens)) == (4, 5)
            assert min(forward) > 0
            assert values["decode_s"] == pytest.approx(sum(forward) / 1e9, rel=1e-9)
            assert 0 < values["prefill_s"] <= values["ttft_s"] == tokens[0] / 1e9
            assert all(later > earlier for earlier, later in itertools.pairwise(tokens))
            assert tokens[-1] - tokens[0] >= sum(forward), "sampling comes on top of the forward passes"
            assert values["sampling_s"] >= 0
            assert all(math.isfinite(value) for value in values.values())

    @pytest.mark.parametrize(("prompt", "decode", "depth"), [(8, 0, 0), (0, 3, 0), (0, 3, 8)])
    def test_prefill_and_decode_run_alone_too(
        self, loaded: WorkerProcess, prompt: int, decode: int, depth: int
    ) -> None:
        body = {"prompt_tokens": prompt, "decode_tokens": decode, "depth": depth, "repetitions": 1}
        timed = loaded.call("timed", {**body, "warmups": 0, "seed": 5}, timeout_s=TIMEOUT_S)
        (sample,) = timed["samples"]
        assert ("prefill_s" in sample["values"]) == (prompt > 0)
        assert ("decode_s" in sample["values"]) == (decode > 0)
        assert len(sample["forward_ns"]) == decode

    def test_the_frameworks_own_figures_agree_with_ours(self, loaded: WorkerProcess) -> None:
        body = {
            "prompt_tokens": 32,
            "decode_tokens": 8,
            "depth": 0,
            "repetitions": 3,
            "warmups": 1,
            "seed": 5,
        }
        timed = loaded.call("timed", body, timeout_s=TIMEOUT_S)
        values = [sample["values"] for sample in timed["samples"] if not sample["warmup"]]
        for name in ("prefill_s", "decode_s"):
            ratios = [v[f"framework_{name}"] / v[name] for v in values if f"framework_{name}" in v]
            # Where they are kept: they leave out what the framework does around its own clock, and are not zero.
            assert not ratios or 0.5 < float(np.median(ratios)) <= 1.05

    def test_a_fixed_text_is_tokenised_and_comes_back_or_there_is_a_reason(
        self, subject: Subject, loaded: WorkerProcess, tmp_path: Path
    ) -> None:
        path = tmp_path / "text.txt"
        path.write_text(
            "The library opens at nine, and the café beside it an hour later.\n", encoding="utf-8"
        )
        body = {"prompt_tokens": 8, "decode_tokens": 2, "depth": 0, "repetitions": 2, "warmups": 1, "seed": 5}
        text = {"file": str(path), "model": None if subject.model is None else str(subject.model)}
        timed = loaded.call("timed", {**body, "text": text}, timeout_s=TIMEOUT_S)
        told = timed["text"]
        for sample in timed["samples"]:
            values, measured = sample["values"], not sample["warmup"]
            for name in ("tokenize_s", "detokenize_s"):
                assert (name in values) == (measured and name not in told["reasons"])
                assert values.get(name, 1.0) > 0
            assert values.get("text_tokens", 1.0) > 0
        assert all(told["reasons"].values())
        assert told["round_trip"] is (None if told["reasons"] else True)

    def test_the_peak_of_memory_never_falls(self, loaded: WorkerProcess) -> None:
        body = {"prompt_tokens": 8, "decode_tokens": 2, "depth": 0, "repetitions": 1, "warmups": 1, "seed": 5}
        readings = loaded.call("hello", {}, timeout_s=TIMEOUT_S)["memory"]
        for _ in range(2):
            readings += loaded.call("timed", body, timeout_s=TIMEOUT_S)["memory"]
        assert [r["phase"] for r in readings] == ["import", *(["prefill", "warmup", "decode"] * 2)]
        peaks = [reading["peak_rss_bytes"] for reading in readings]
        assert peaks == sorted(peaks)
        assert peaks[1] > peaks[0], "a loaded model takes memory"

    # -- several sequences at once ---------------------------------------------------------------------------------

    @pytest.fixture
    def batching(self, subject: Subject) -> None:
        if "batch" not in subject.capabilities:
            pytest.skip("the backend declares no batches")

    def test_a_batch_that_cannot_be_is_refused_when_it_is_loaded(
        self, subject: Subject, fresh: WorkerProcess
    ) -> None:
        if "batch" in subject.capabilities:
            pytest.skip("the backend declares batches")
        with pytest.raises(WorkerRefused, match="one sequence at a time"):
            fresh.call("load", subject.load_body(batch=3), timeout_s=TIMEOUT_S)

    @pytest.mark.usefixtures("batching", "scoring")
    def test_every_sequence_of_a_batch_gets_what_it_gets_alone(
        self, subject: Subject, fresh: WorkerProcess
    ) -> None:
        batches = (PROMPTS, [PROMPTS[1], PROMPTS[2], PROMPTS[0]], [PROMPTS[0]] * 3)
        fresh.call("load", subject.load_body(batch=3), timeout_s=TIMEOUT_S)
        chosen = [_generate_batch(fresh, prompts, 12) for prompts in batches]
        assert _generate_batch(fresh, PROMPTS, 12) == chosen[0], "a reset empties the cache of every sequence"
        fresh.call("unload", {}, timeout_s=TIMEOUT_S)
        fresh.call("load", subject.load_body(), timeout_s=TIMEOUT_S)
        alone = [_generate(fresh, prompt, 12) for prompt in PROMPTS]
        for prompts, rows in zip(batches, chosen, strict=True):
            for prompt, row in zip(prompts, rows, strict=True):
                body = {"tokens": prompt + row[:-1], "first": len(prompt) - 1}
                forced = fresh.call("logits", body, timeout_s=TIMEOUT_S)["argmax"]
                equal = sum(one == other for one, other in zip(forced, row, strict=True))
                # Rounding differs with the size of a batch, as above; another sequence's tokens would show.
                assert equal >= 10, f"{forced} against {row}"
                assert row[0] == alone[PROMPTS.index(prompt)][0]
        fresh.call("unload", {}, timeout_s=TIMEOUT_S)
        same = sum(row == other for row, other in zip(chosen[0], alone, strict=True))
        assert same >= 2, f"{chosen[0]} against {alone}"
        assert len({tuple(row) for row in alone}) == 3, "prompts whose answers differ, or nothing is tested"

    def test_prompts_of_different_lengths_get_together_what_each_gets_alone(
        self, subject: Subject, fresh: WorkerProcess
    ) -> None:
        if "ragged" not in subject.capabilities:
            pytest.skip("the backend takes no prompts of different lengths together")
        prompts = [PROMPTS[0], PROMPTS[1][:7], PROMPTS[2][:1], PROMPTS[1][:16]]
        fresh.call("load", subject.load_body(batch=4), timeout_s=TIMEOUT_S)
        first = _ragged(fresh, "generate_ragged", count=4, tokens=prompts)
        # One after the other ends; those that go on keep their own beginnings.
        more = _ragged(fresh, "more_ragged", count=3, sequences=[0, 2, 3])
        last = _ragged(fresh, "more_ragged", count=5, sequences=[2])
        with pytest.raises(WorkerRefused, match=r"sequences \[0\] are not among \[2\]"):
            _ragged(fresh, "more_ragged", count=1, sequences=[0])
        with pytest.raises(WorkerRefused, match="'more_ragged' comes after 'generate_ragged'"):
            _ragged(fresh, "more_ragged", count=1, sequences=[2])
        with pytest.raises(WorkerRefused, match="loaded for 1 to 4 sequences, not for 5"):
            _ragged(fresh, "generate_ragged", count=1, tokens=[*prompts, [1]])
        fewer = _ragged(fresh, "generate_ragged", count=4, tokens=prompts[1:3])
        chosen = [
            first[0] + more[0],
            first[1],
            first[2] + more[1] + last[0],
            first[3] + more[2],
            *fewer,
        ]
        fresh.call("unload", {}, timeout_s=TIMEOUT_S)
        fresh.call("load", subject.load_body(), timeout_s=TIMEOUT_S)
        for prompt, row in zip([*prompts, *prompts[1:3]], chosen, strict=True):
            body = {"tokens": prompt + row[:-1], "first": len(prompt) - 1}
            forced = fresh.call("logits", body, timeout_s=TIMEOUT_S)["argmax"]
            equal = sum(one == other for one, other in zip(forced, row, strict=True))
            # A near tie may fall differently, as above; another sequence's tokens or a wrong position would show.
            assert equal >= len(row) - 1, f"{forced} against {row}"
            assert row[0] == _generate(fresh, prompt, 1)[0]
        fresh.call("unload", {}, timeout_s=TIMEOUT_S)
        assert len({row[0] for row in chosen}) > 1, "prompts whose answers differ, or nothing is tested"

    @pytest.mark.usefixtures("batching")
    def test_samples_of_a_batch_are_complete_and_consistent(
        self, subject: Subject, fresh: WorkerProcess
    ) -> None:
        body = {
            "prompt_tokens": 32,
            "decode_tokens": 6,
            "depth": 0,
            "repetitions": 3,
            "warmups": 1,
            "seed": 5,
        }
        fresh.call("load", subject.load_body(batch=3), timeout_s=TIMEOUT_S)
        timed = fresh.call("timed", {**body, "batch": 3}, timeout_s=TIMEOUT_S)
        with pytest.raises(WorkerRefused, match="loaded for a batch of 3, not of 1"):
            fresh.call("timed", body, timeout_s=TIMEOUT_S)
        with pytest.raises(WorkerRefused, match="loaded for a batch of 3, not of 1"):
            fresh.call("energy", {"phase": "decode", "seconds": 0.1}, timeout_s=TIMEOUT_S)
        spec = {"seconds": 0.05, "prompt_tokens": 8, "seed": 5, "batch": 3}
        prefills = fresh.call("energy", {**spec, "phase": "prefill"}, timeout_s=TIMEOUT_S)
        assert prefills["tokens"] == 8 * prefills["prompts"] == 3 * 8 * prefills["passes"]
        decodes = fresh.call("energy", {**spec, "phase": "decode", "depth": 8}, timeout_s=TIMEOUT_S)
        assert decodes["tokens"] == 3 * decodes["passes"] > 0
        deep: dict[str, Any] = {"samples": []}
        deep_body = {**body, "batch": 3, "depth": 8, "repetitions": 1, "warmups": 0}
        if "batch_depth" in subject.capabilities:
            deep = fresh.call("timed", deep_body, timeout_s=TIMEOUT_S)
        else:
            with pytest.raises(WorkerRefused) as raised:
                fresh.call("timed", deep_body, timeout_s=TIMEOUT_S)
            assert raised.value.type == "Unsupported"
        fresh.call("unload", {}, timeout_s=TIMEOUT_S)
        for sample in [*timed["samples"], *deep["samples"]]:
            values, forward, tokens = sample["values"], sample["forward_ns"], sample["token_ns"]
            assert (len(forward), len(tokens)) == (6, 7)
            assert min(forward) > 0
            assert values["decode_s"] == pytest.approx(sum(forward) / 1e9, rel=1e-9)
            assert 0 < values["prefill_s"] <= values["ttft_s"] == tokens[0] / 1e9
        measured = [sample["values"] for sample in timed["samples"] if not sample["warmup"]]
        for name in ("prefill_s", "decode_s"):
            ratios = [v[f"framework_{name}"] / v[name] for v in measured if f"framework_{name}" in v]
            assert not ratios or 0.5 < float(np.median(ratios)) <= 1.05

    # -- scoring ---------------------------------------------------------------------------------------------------

    @pytest.fixture
    def scoring(self, subject: Subject) -> None:
        if "score" not in subject.capabilities:
            pytest.skip("the backend declares no scoring")

    @pytest.mark.usefixtures("scoring")
    @pytest.mark.parametrize("first", [0, 7, len(PROMPT) - 1])
    def test_logits_cover_exactly_the_positions_that_were_asked_for(
        self, subject: Subject, loaded: WorkerProcess, first: int
    ) -> None:
        del subject
        answer = loaded.call("logits", {"tokens": PROMPT, "first": first}, timeout_s=TIMEOUT_S)
        assert answer["positions"] == list(range(first, len(PROMPT)))
        assert answer["dtype"] == "float32"
        assert answer["finite"] is True
        assert answer["width"] > max(PROMPT)
        assert all(-20 < value <= 0 for value in answer["logprob"])

    @pytest.mark.usefixtures("scoring")
    def test_teacher_forced_logits_agree_with_step_by_step_decoding(self, loaded: WorkerProcess) -> None:
        chosen = _generate(loaded, PROMPT, 12)
        body = {"tokens": PROMPT + chosen[:-1], "first": len(PROMPT) - 1}
        forced = loaded.call("logits", body, timeout_s=TIMEOUT_S)["argmax"]
        equal = sum(one == other for one, other in zip(forced, chosen, strict=True))
        # A batch rounds otherwise than a single token: a near tie may fall differently; a wrong position shows.
        assert equal >= 10, f"{forced} against {chosen}"
        assert _generate(loaded, PROMPT, 12) == chosen, "scoring leaves nothing in the cache"

    @pytest.mark.usefixtures("scoring")
    def test_continuations_have_the_same_likelihood_in_a_batch_as_alone(
        self, subject: Subject, loaded: WorkerProcess
    ) -> None:
        """Contexts that share their beginning, so that a backend that can keep it in its cache does."""
        pairs = [
            {"context": PROMPT[:12], "continuation": [choice, PROMPT[0]]} for choice in (PROMPT[12], 61, 7)
        ]
        pairs.append({"context": [*PROMPT[:8], *OTHER[:4]], "continuation": [OTHER[4]]})
        batch = loaded.call("likelihood", {"pairs": pairs}, timeout_s=TIMEOUT_S)
        alone = [
            loaded.call("likelihood", {"pairs": [pair]}, timeout_s=TIMEOUT_S)["scores"][0] for pair in pairs
        ]
        for one, other in zip(batch["scores"], alone, strict=True):
            # Another split into batches rounds otherwise; quantised caches and activations do so coarsely.
            assert math.isclose(one["logprob"], other["logprob"], rel_tol=0.02, abs_tol=0.05)
        assert batch["tokens"] == sum(len(pair["context"]) + len(pair["continuation"]) - 1 for pair in pairs)
        assert (batch["computed_tokens"] < batch["tokens"]) == ("prefix" in subject.capabilities)

    @pytest.mark.usefixtures("scoring")
    def test_an_artifact_has_no_divergence_from_itself(self, loaded: WorkerProcess, tmp_path: Path) -> None:
        tokens = tmp_path / "tokens.i32"
        np.asarray((PROMPT + OTHER) * 3, dtype="<i4").tofile(tokens)
        reference = str(tmp_path / "reference.npy")
        body = {"tokens_file": str(tokens), "window": 48, "stride": 48, "score_from": 24, "max_windows": 2}
        body |= {"bos": None, "reference_in": None, "reference_out": reference}
        own = loaded.call("score", body, timeout_s=TIMEOUT_S)
        assert own["finite"] is True
        assert own["kld"] is None
        again = loaded.call(
            "score", {**body, "reference_in": reference, "reference_out": None}, timeout_s=TIMEOUT_S
        )
        assert [window["positions"] for window in again["windows"]] == [23, 23]
        for window, before in zip(again["windows"], own["windows"], strict=True):
            assert window["kld_sum"] / window["positions"] < 1e-6
            assert window["same_top"] == window["positions"]
            assert window["nll_sum"] == pytest.approx(before["nll_sum"], rel=1e-5)
        assert again["kld"]["max"] < 1e-6


def _generate(worker: WorkerProcess, tokens: list[int], count: int) -> list[int]:
    answer = worker.call("generate", {"tokens": tokens, "count": count}, timeout_s=TIMEOUT_S)
    chosen: list[int] = answer["tokens"]
    return chosen


def _ragged(
    worker: WorkerProcess, method: Literal["generate_ragged", "more_ragged"], **body: Any
) -> list[list[int]]:
    chosen: list[list[int]] = worker.call(method, body, timeout_s=TIMEOUT_S)["tokens"]
    assert {len(row) for row in chosen} == {body["count"]}
    return chosen


def _generate_batch(worker: WorkerProcess, prompts: list[list[int]], count: int) -> list[list[int]]:
    answer = worker.call("generate_batch", {"tokens": prompts, "count": count}, timeout_s=TIMEOUT_S)
    chosen: list[list[int]] = answer["tokens"]
    assert [len(row) for row in chosen] == [count] * len(prompts)
    return chosen
