"""Log-likelihoods against plain arithmetic on the same logits, and what is computed twice."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from harness.backends.fake import ENTRY, VOCAB_SIZE, Fake
from harness.runner.launch import Launch
from harness.runner.process import WorkerProcess, WorkerRefused
from harness.worker.api import LoadSpec
from harness.worker.bodies import to_body
from harness.worker.likelihood import Pair, PairsResult, loglikelihoods

ROOM = 64


@pytest.fixture(scope="module")
def artifact(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("artifact") / ENTRY
    path.write_text(json.dumps({"bits": 8, "broken": False, "recipe": "INT8"}), encoding="utf-8")
    return path


def _backend(artifact: Path, script: dict[str, Any] | None = None) -> Fake:
    backend = Fake()
    backend.load(LoadSpec(artifact, "cpu", "cpu", 1, ROOM, {"script": json.dumps(script or {})}))
    return backend


def _ask(backend: Fake, pairs: list[Pair]) -> PairsResult:
    return loglikelihoods(backend, pairs, vocab_size=VOCAB_SIZE, context_tokens=ROOM)


def _plain(backend: Fake, pair: Pair) -> tuple[float, bool]:
    """The same without batches, from the logits of the whole."""
    tokens = np.asarray(pair.context + pair.continuation, dtype=np.int32)
    rows = np.concatenate([block.copy() for _, block in backend.logits(tokens, 0)]).astype(np.float64)
    total, greedy = 0.0, True
    for position in range(len(pair.context) - 1, len(tokens) - 1):
        row, target = rows[position], int(tokens[position + 1])
        total += row[target] - math.log(np.exp(row - row.max()).sum()) - row.max()
        greedy = greedy and int(row.argmax()) == target
    return total, greedy


ids = st.lists(st.sampled_from([32, 101, 116]), min_size=1, max_size=6)


@settings(max_examples=60)
@given(st.lists(st.builds(Pair, ids, ids), min_size=1, max_size=8), st.booleans())
def test_a_batch_is_answered_like_each_pair_alone(artifact: Path, pairs: list[Pair], refuses: bool) -> None:
    backend = _backend(artifact, {"cut": [{"do": "cut"}]} if refuses else None)
    result = _ask(backend, pairs)
    plain = [_plain(backend, pair) for pair in pairs]
    assert [one.logprob for one in result.scores] == pytest.approx([logprob for logprob, _ in plain])
    assert [one.greedy for one in result.scores] == [greedy for _, greedy in plain]


CHOICES = [Pair([1, 2, 3, 4, 5, 6, 7, 8, 9], [choice, 5]) for choice in (10, 11, 12, 13)]


def test_choices_after_one_context_compute_it_once(artifact: Path) -> None:
    result = _ask(_backend(artifact), CHOICES)
    assert result.tokens == 4 * 10
    # The context and a choice once, then for each other choice its token and the context's last, whose row is needed.
    assert result.computed_tokens == 10 + 3 * 2


def test_choices_of_a_single_token_are_one_computation(artifact: Path) -> None:
    pairs = [Pair([1, 2, 3, 4], [choice]) for choice in (5, 6, 7, 8)]
    assert _ask(_backend(artifact), pairs).computed_tokens == 4


def test_a_cache_that_cannot_be_cut_computes_each_from_the_beginning(artifact: Path) -> None:
    result = _ask(_backend(artifact, {"cut": [{"do": "cut"}]}), CHOICES)
    assert result.computed_tokens == result.tokens


def test_a_backend_without_the_capability_is_never_asked_to_cut(
    artifact: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Fake, "capabilities", Fake.capabilities - {"prefix"})
    backend = _backend(artifact, {"cut": [{"do": "raise"}]})
    assert _ask(backend, CHOICES).computed_tokens == 4 * 10


def test_logits_that_are_not_finite_are_told_with_their_position(artifact: Path) -> None:
    backend = _backend(artifact, {"logits": [{"do": "nan", "positions": [9]}]})
    with pytest.raises(ValueError, match="the logits at position 9 are not finite"):
        _ask(backend, CHOICES)


@pytest.mark.parametrize(
    ("pair", "why"),
    [
        (Pair([], [1]), "at least one token"),
        (Pair([1], []), "at least one token"),
        (Pair([1] * ROOM, [1, 1]), "do not fit"),
        (Pair([VOCAB_SIZE], [1]), "outside the vocabulary"),
        (Pair([1], [-1]), "outside the vocabulary"),
    ],
)
def test_a_pair_that_cannot_be_computed_is_refused(artifact: Path, pair: Pair, why: str) -> None:
    with pytest.raises(ValueError, match=why):
        _ask(_backend(artifact), [Pair([1], [2]), pair])


def test_a_worker_goes_on_with_what_it_generated(artifact: Path, fake_launch: Launch, tmp_path: Path) -> None:
    spec = to_body(LoadSpec(artifact, "cpu", "cpu", 1, ROOM))
    prompt = list(b"once upon a time")
    with WorkerProcess(fake_launch, log=tmp_path / "log") as worker:
        worker.call("load", spec, timeout_s=60)
        whole = worker.call("generate", {"tokens": prompt, "count": 20}, timeout_s=60)["tokens"]
        parts = worker.call("generate", {"tokens": prompt, "count": 7}, timeout_s=60)["tokens"]
        for count in (1, 12):
            parts += worker.call("more", {"count": count}, timeout_s=60)["tokens"]
        assert parts == whole
        with pytest.raises(WorkerRefused, match="do not fit"):
            worker.call("more", {"count": ROOM}, timeout_s=60)
        with pytest.raises(WorkerRefused, match="'more' comes after 'generate'"):
            worker.call("more", {"count": 1}, timeout_s=60)


def test_a_worker_encodes_texts_and_writes_them_out_again(
    artifact: Path, fake_launch: Launch, tmp_path: Path
) -> None:
    with WorkerProcess(fake_launch, log=tmp_path / "log") as worker:
        body = {"model": str(artifact), "texts": ["a<|end|>", ""]}
        plain = worker.call("encode", {**body, "special": False}, timeout_s=60)
        special = worker.call("encode", {**body, "special": True}, timeout_s=60)
        assert plain == {"tokens": [list(b"a<|end|>"), []], "bos": None}
        assert special == {"tokens": [[97, 3], []], "bos": None}
        texts = worker.call(
            "detokenize", {"model": str(artifact), "tokens": [[97, 3], [0xC3]]}, timeout_s=60
        )["texts"]
        assert texts == ["a<|end|>", "\N{REPLACEMENT CHARACTER}"]
