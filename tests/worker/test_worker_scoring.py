"""The reductions against a plain float64 reference, and the file of the reference's log-probabilities."""

from __future__ import annotations

import dataclasses
import json
import math
import tracemalloc
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from harness.worker import reference, scoring
from harness.worker.api import Backend, Logits, Tokens
from harness.worker.bodies import to_body
from harness.worker.protocol import ScoreResult, ScoreSpec

VOCAB = 40


class _Table(Backend):
    """Logits out of a table: row ``p`` for position ``p``, shifted by the window's first token."""

    framework = "table"
    title = "Table"

    def __init__(self, logits: npt.NDArray[Any], block: int = 5) -> None:
        self.rows = logits.astype(np.float32)
        self.block = block
        self.asked: list[tuple[list[int], int]] = []

    def logits(self, tokens: Tokens, first: int) -> Iterator[tuple[int, Logits]]:
        self.asked.append((tokens.tolist(), first))
        for begin in range(first, len(tokens), self.block):
            yield begin, self.rows[begin : min(begin + self.block, len(tokens))]

    start = versions = devices = make = load = reset = prefill = decode = sample = unload = None  # type: ignore[assignment]


_Table.__abstractmethods__ = frozenset()


def _ignore(name: str, body: dict[str, Any]) -> None:
    del name, body


def _spec(tokens: Path, **changes: Any) -> ScoreSpec:
    values: dict[str, Any] = {
        "tokens_file": str(tokens), "window": 16, "stride": 16, "score_from": 8, "max_windows": 100,
        "bos": None, "reference_in": None, "reference_out": None,
    }  # fmt: skip
    return ScoreSpec(**(values | changes))


@pytest.fixture
def tokens(tmp_path: Path) -> Path:
    path = tmp_path / "tokens.i32"
    np.random.default_rng(1).integers(0, VOCAB, 50).astype("<i4").tofile(path)
    return path


def _logits(seed: int, width: int = VOCAB) -> npt.NDArray[np.float64]:
    return np.random.default_rng(seed).normal(0, 3, (16, width))


def _score(backend: Backend, spec: ScoreSpec, vocab: int = VOCAB) -> ScoreResult:
    result = scoring.score(backend, spec, vocab_size=vocab, emit=_ignore)
    json.dumps(to_body(result), allow_nan=False)
    return result


def _plain(values: npt.NDArray[Any]) -> npt.NDArray[np.float64]:
    """Log-softmax by the book, in long double."""
    wide = values.astype(np.longdouble)
    wide = wide - wide.max(axis=-1, keepdims=True)
    return np.asarray(wide - np.log(np.exp(wide).sum(axis=-1, keepdims=True)), dtype=np.float64)


def _reference(tmp_path: Path, tokens: Path, seed: int = 2, width: int = VOCAB) -> Path:
    path = tmp_path / "reference.npy"
    _score(_Table(_logits(seed, width)), _spec(tokens, reference_out=str(path)), width)
    return path


@given(
    hnp.arrays(
        np.float32, (3, 17), elements=st.floats(-1e4, 1e4, width=32, allow_nan=False, allow_infinity=False)
    )
)
@settings(deadline=None)
def test_log_softmax_agrees_with_long_double_to_a_millionth(logits: npt.NDArray[np.float32]) -> None:
    np.testing.assert_allclose(scoring.log_softmax(logits), _plain(logits), rtol=1e-6, atol=1e-12)


def test_log_softmax_of_huge_logits_does_not_overflow() -> None:
    values = scoring.log_softmax(np.asarray([[3e38, -3e38, 0.0]], dtype=np.float32))
    assert np.isfinite(values).all()
    assert values[0, 0] == 0.0


@given(st.integers(0, 10_000), st.floats(1e-3, 20.0))
@settings(deadline=None, max_examples=60)
def test_divergence_agrees_with_the_textbook_and_is_never_negative(seed: int, scale: float) -> None:
    generator = np.random.default_rng(seed)
    p = _plain(generator.normal(0, 5, (4, 200)))
    q = _plain(p + generator.normal(0, scale, p.shape))
    textbook = (np.exp(p.astype(np.longdouble)) * (p.astype(np.longdouble) - q)).sum(axis=1)
    ours = reference.kl_divergence(p, q)
    assert (ours >= 0).all()
    np.testing.assert_allclose(ours, textbook.astype(np.float64), rtol=1e-6, atol=1e-13)


def test_rounding_the_reference_to_float32_adds_no_divergence_of_its_own() -> None:
    p = scoring.log_softmax(np.random.default_rng(3).normal(0, 4, (50, 20_000)).astype(np.float32))
    rounded = p.astype(np.float32).astype(np.float64)
    assert reference.kl_divergence(rounded, p).max() < 1e-12


def test_impossible_tokens_do_not_make_the_divergence_undefined() -> None:
    p = scoring.log_softmax(np.asarray([[0.0, -1e9, 0.0]]))
    q = scoring.log_softmax(np.asarray([[0.0, -2e9, -1e-3]]))
    assert np.isfinite(reference.kl_divergence(p, q)).all()
    assert np.isfinite(reference.kl_divergence(q, p)).all()


def test_sums_are_those_of_a_plain_computation(tmp_path: Path, tokens: Path) -> None:
    reference, other = _logits(2), _logits(2) + np.random.default_rng(5).normal(0, 0.5, (16, VOCAB))
    path = _reference(tmp_path, tokens)
    result = _score(_Table(other, block=3), _spec(tokens, reference_in=str(path)))
    ids = np.fromfile(tokens, dtype="<i4")
    lp, lq = _plain(reference.astype(np.float32))[8:15], _plain(other.astype(np.float32))[8:15]
    assert [window.positions for window in result.windows] == [7, 7, 7]
    for index, window in enumerate(result.windows):
        targets = ids[index * 16 + 9 : index * 16 + 16]
        rows = np.arange(7)
        assert window.window == index
        assert window.nll_sum == pytest.approx(-lq[rows, targets].sum(), rel=1e-9)
        assert window.kld_sum == pytest.approx((np.exp(lp) * (lp - lq)).sum(), rel=1e-6)
        assert window.same_top == (lp.argmax(axis=1) == lq.argmax(axis=1)).sum()
        delta = np.exp(lq[rows, targets]) - np.exp(lp[rows, targets])
        assert window.delta_p_sq_sum == pytest.approx((delta**2).sum(), rel=1e-5)
    klds = np.tile((np.exp(lp) * (lp - lq)).sum(axis=1), 3)
    assert result.kld is not None
    assert result.kld["median"] == pytest.approx(np.median(klds), rel=1e-5)
    assert result.kld["p99"] == pytest.approx(np.quantile(klds, 0.99), rel=1e-5)
    assert result.kld["p999"] == pytest.approx(np.quantile(klds, 0.999), rel=1e-5)
    assert result.kld["max"] == pytest.approx(klds.max(), rel=1e-5)
    assert result.finite
    assert result.vocab_size == VOCAB
    assert result.details["positions"] == 21


def test_the_result_does_not_depend_on_the_size_of_blocks(
    tmp_path: Path, tokens: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = _reference(tmp_path, tokens)
    whole = _score(_Table(_logits(7), block=16), _spec(tokens, reference_in=str(path)))
    monkeypatch.setattr(scoring, "BLOCK_ELEMENTS", VOCAB)
    single = _score(_Table(_logits(7), block=1), _spec(tokens, reference_in=str(path)))
    for one, other in zip(whole.windows, single.windows, strict=True):
        assert one.nll_sum == pytest.approx(other.nll_sum, rel=1e-12)
        assert one.kld_sum == pytest.approx(other.kld_sum, rel=1e-12)


def test_the_reference_against_itself_has_no_divergence(tmp_path: Path, tokens: Path) -> None:
    path = _reference(tmp_path, tokens)
    result = _score(_Table(_logits(2)), _spec(tokens, reference_in=str(path)))
    assert result.kld is not None
    assert result.kld["max"] < 1e-9
    assert sum(window.same_top or 0 for window in result.windows) == 21


def test_the_reference_file_is_a_plain_npy_that_numpy_maps(tmp_path: Path, tokens: Path) -> None:
    stored = np.load(_reference(tmp_path, tokens), mmap_mode="r")
    assert stored.dtype == np.float32
    assert stored.shape == (21, VOCAB)
    np.testing.assert_allclose(stored[:7], _plain(_logits(2).astype(np.float32))[8:15], rtol=1e-6, atol=1e-7)
    np.testing.assert_allclose(np.exp(stored.astype(np.float64)).sum(axis=1), 1, atol=1e-6)


def test_without_a_reference_the_divergence_is_missing_and_not_zero(tokens: Path) -> None:
    result = _score(_Table(_logits(2)), _spec(tokens))
    assert result.kld is None
    assert all(w.kld_sum is w.same_top is w.delta_p_sq_sum is None for w in result.windows)
    assert all(w.nll_sum > 0 for w in result.windows)


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_positions_that_are_not_finite_are_counted_and_left_out(
    tmp_path: Path, tokens: Path, bad: float
) -> None:
    path = _reference(tmp_path, tokens)
    broken = _logits(2)
    broken[10, 3] = bad
    result = _score(_Table(broken), _spec(tokens, reference_in=str(path)))
    assert not result.finite
    assert [window.positions for window in result.windows] == [6, 6, 6]
    assert result.details["non_finite_positions"] == 3
    assert result.kld is not None
    assert result.kld["max"] < 1e-9, "the rows of the reference stay beside those that they belong to"


def test_nothing_but_nan_still_gives_a_result(tmp_path: Path, tokens: Path) -> None:
    path = _reference(tmp_path, tokens)
    result = _score(_Table(np.full((16, VOCAB), np.nan)), _spec(tokens, reference_in=str(path)))
    assert not result.finite
    assert result.kld is None
    assert [(w.positions, w.nll_sum) for w in result.windows] == [(0, 0.0)] * 3


def test_a_reference_that_is_not_finite_is_not_kept(tmp_path: Path, tokens: Path) -> None:
    broken = _logits(2)
    broken[9, 0] = np.nan
    out = tmp_path / "out.npy"
    assert not _score(_Table(broken), _spec(tokens, reference_out=str(out))).finite
    assert not out.exists()


def test_logits_with_padding_are_cut_to_the_references_vocabulary(tmp_path: Path, tokens: Path) -> None:
    path = _reference(tmp_path, tokens)
    padded = np.concatenate([_logits(2), np.full((16, 24), 9.0)], axis=1)
    result = _score(_Table(padded), _spec(tokens, reference_in=str(path)), VOCAB + 24)
    assert result.kld is not None
    assert result.kld["max"] < 1e-9
    assert result.details["truncated_from"] == VOCAB + 24
    assert result.vocab_size == VOCAB


def test_a_narrower_vocabulary_than_the_references_is_an_error(tmp_path: Path, tokens: Path) -> None:
    path = _reference(tmp_path, tokens, width=VOCAB + 8)
    with pytest.raises(
        ValueError, match="vocabulary mismatch: the reference has 48 tokens, this artifact 40"
    ):
        _score(_Table(_logits(2)), _spec(tokens, reference_in=str(path)))


def test_a_reference_of_other_windows_is_an_error(tmp_path: Path, tokens: Path) -> None:
    path = _reference(tmp_path, tokens)
    with pytest.raises(ValueError, match="21 positions, this score has 14"):
        _score(_Table(_logits(2)), _spec(tokens, reference_in=str(path), max_windows=2))


def test_a_damaged_reference_is_an_error_that_names_the_file(tmp_path: Path, tokens: Path) -> None:
    path = _reference(tmp_path, tokens)
    path.write_bytes(path.read_bytes()[:-4])
    with pytest.raises(ValueError, match=r"reference\.npy is not a file of reference log-probabilities"):
        _score(_Table(_logits(2)), _spec(tokens, reference_in=str(path)))
    path.write_bytes(b"something else")
    with pytest.raises(ValueError, match="not a file of reference"):
        _score(_Table(_logits(2)), _spec(tokens, reference_in=str(path)))


def test_a_failure_leaves_no_half_reference(tmp_path: Path, tokens: Path) -> None:
    out = tmp_path / "out.npy"
    with pytest.raises(ValueError, match="expected \\[\\*, 44\\] at 8"):
        _score(_Table(_logits(2)), _spec(tokens, reference_out=str(out)), 44)
    assert not out.exists()


def test_bos_replaces_the_first_token_of_each_window_and_of_nothing_else(tokens: Path) -> None:
    backend = _Table(_logits(2))
    ids = np.fromfile(tokens, dtype="<i4").tolist()
    _score(backend, _spec(tokens, bos=39, stride=10, max_windows=3))
    assert backend.asked == [([39, *ids[begin + 1 : begin + 16]], 8) for begin in (0, 10, 20)]


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"window": 51}, "the text has 50 tokens, a window needs 51"),
        ({"score_from": 15}, "score_from must be 0 .. 14"),
        ({"score_from": -1}, "score_from must be"),
        ({"stride": 0}, "stride"),
        ({"max_windows": 0}, "max_windows"),
        ({"bos": VOCAB}, "bos 40 is outside the vocabulary"),
        ({"reference_in": "a", "reference_out": "b"}, "exclude each other"),
    ],
)
def test_a_spec_that_cannot_be_scored_says_why(tokens: Path, changes: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        _score(_Table(_logits(2)), _spec(tokens, **changes))


def test_token_ids_outside_the_vocabulary_are_an_error(tmp_path: Path) -> None:
    path = tmp_path / "bad.i32"
    np.full(16, VOCAB, dtype="<i4").tofile(path)
    with pytest.raises(ValueError, match=r"token ids 40 .. 40, the vocabulary is 0 .. 39"):
        _score(_Table(_logits(2)), _spec(path))


def test_logits_that_do_not_cover_the_window_are_an_error(tokens: Path) -> None:
    class Short(_Table):
        def logits(self, tokens: Tokens, first: int) -> Iterator[tuple[int, Logits]]:
            yield from super().logits(tokens[:-1], first)

    with pytest.raises(ValueError, match="up to position 14, expected 15"):
        _score(Short(_logits(2)), _spec(tokens))


@given(st.integers(2, 40), st.integers(1, 50), st.integers(1, 10), st.integers(0, 200))
def test_windows_are_whole_evenly_spaced_and_bounded(
    window: int, stride: int, max_windows: int, count: int
) -> None:
    spec = ScoreSpec("x", window, stride, 0, max_windows, None, None, None)
    if count < window:
        with pytest.raises(ValueError, match="a window needs"):
            scoring.window_begins(count, spec)
        return
    begins = scoring.window_begins(count, spec)
    assert 1 <= len(begins) <= max_windows
    assert list(begins) == [index * stride for index in range(len(begins))]
    assert begins[-1] + window <= count
    assert len(begins) == max_windows or begins[-1] + stride + window > count


def test_nll_of_a_certain_model_is_that_of_a_certain_model(tokens: Path) -> None:
    ids = np.fromfile(tokens, dtype="<i4")
    certain = np.zeros((16, VOCAB))
    certain[np.arange(15), ids[1:16]] = math.log(VOCAB - 1)  # probability one half
    result = _score(_Table(certain), _spec(tokens, max_windows=1))
    assert result.windows[0].nll_sum == pytest.approx(7 * math.log(2), rel=1e-6)


def test_memory_is_bounded_by_the_block_and_not_by_the_text(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    width, window, windows = 5_000, 64, 12
    ids = tmp_path / "long.i32"
    np.random.default_rng(1).integers(0, width, window * windows).astype("<i4").tofile(ids)
    spec = _spec(ids, window=window, stride=window, score_from=0)
    backend = _Table(np.random.default_rng(2).normal(0, 3, (window, width)), block=8)
    monkeypatch.setattr(scoring, "BLOCK_ELEMENTS", 8 * width)
    path = tmp_path / "reference.npy"
    _score(backend, dataclasses.replace(spec, reference_out=str(path)), width)
    assert path.stat().st_size > 15_000_000
    tracemalloc.start()
    try:
        _score(backend, dataclasses.replace(spec, reference_in=str(path)), width)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < 10 * 8 * width * 8, "ten float64 arrays of a block, whatever the text"
