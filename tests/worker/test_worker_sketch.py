"""Sketches of the reference's distributions: how near their divergence is to the exact one, and what they cost."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from harness.worker import reference, scoring, sketch

#: A usual vocabulary, and one whose token ids need four bytes.
VOCABULARIES = (49_152, 128_256)
ROWS = 48


def log_softmax(values: npt.NDArray[Any]) -> npt.NDArray[np.float64]:
    return scoring.log_softmax(values)


def distributions(seed: int, rows: int, vocab: int, sharp: float) -> npt.NDArray[np.float64]:
    """Long-tailed distributions like a language model's: some sure of one token, some of none."""
    generator = np.random.default_rng(seed)
    logits = generator.standard_normal((rows, vocab)) * sharp + generator.exponential(1.0, (rows, vocab))
    logits[np.arange(rows), generator.integers(0, vocab, rows)] += generator.uniform(0, 30, rows)
    return log_softmax(logits)


def changed(p: npt.NDArray[np.float64], seed: int, how: str) -> npt.NDArray[np.float64]:
    generator = np.random.default_rng(seed)
    if how == "uniform":
        return log_softmax(generator.standard_normal(p.shape) * 0.1)
    if how == "other":
        return distributions(seed + 1, p.shape[0], p.shape[1], 2.0)
    return log_softmax(p + generator.standard_normal(p.shape) * float(how))


def exact(p: npt.NDArray[np.float64], q: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    return np.asarray((np.exp(p) * (p - q)).sum(axis=1))


def estimate(
    p: npt.NDArray[np.float64], q: npt.NDArray[np.float64], seed: int = 1
) -> npt.NDArray[np.float64]:
    shape = sketch.SketchShape.of(p.shape[1])
    kept = sketch.sketch(p, np.zeros(len(p), dtype=np.int64), shape, seed, 0)
    logits = (q + 3.0).astype(np.float32)  # logits are not normalised
    return sketch.divergence(kept, shape, logits, scoring.log_sum_exp(logits, logits.max(axis=1)))


@pytest.mark.parametrize("vocab", VOCABULARIES)
def test_a_sketch_takes_less_than_a_fiftieth_of_the_logits(vocab: int) -> None:
    assert sketch.SketchShape.of(vocab).dtype.itemsize * 50 < 4 * vocab


@pytest.mark.parametrize("vocab", VOCABULARIES)
@pytest.mark.parametrize("sharp", [1.5, 3.0])
@pytest.mark.parametrize("how", ["0.001", "0.03", "0.2", "1", "3", "other", "uniform"])
def test_the_mean_divergence_is_the_exact_one_within_two_per_cent_or_a_ten_thousandth(
    vocab: int, sharp: float, how: str
) -> None:
    p = distributions(7, ROWS, vocab, sharp)
    q = changed(p, 11, how)
    true, ours = exact(p, q).mean(), estimate(p, q).mean()
    assert abs(ours - true) < max(0.02 * true, 1e-4), f"{ours} instead of {true}"


def test_the_estimate_has_no_bias() -> None:
    p = distributions(3, 4, 20_000, 2.0)
    q = changed(p, 5, "1")
    tries = np.array([estimate(p, q, seed) for seed in range(200)])
    error = tries.std(axis=0, ddof=1) / np.sqrt(len(tries))
    assert (np.abs(tries.mean(axis=0) - exact(p, q)) < 4 * error).all()


def test_top_tokens_with_one_lumped_tail_would_be_biased_low() -> None:
    """Why the tail is drawn: the cheaper method misses some per cent of a usual quantisation's divergence."""
    p = distributions(3, ROWS, VOCABULARIES[0], 2.0)
    q = changed(p, 5, "0.2")
    size = sketch.SketchShape.of(VOCABULARIES[0]).exact
    order = np.argsort(-p, axis=1)[:, :size]
    top_p, top_q = (np.exp(np.take_along_axis(each, order, 1)) for each in (p, q))
    rest_p, rest_q = 1 - top_p.sum(axis=1), 1 - top_q.sum(axis=1)
    lumped = (top_p * np.log(top_p / top_q)).sum(axis=1) + rest_p * np.log(rest_p / rest_q)
    assert lumped.mean() < 0.98 * exact(p, q).mean()


def test_the_reference_itself_has_no_divergence() -> None:
    p = distributions(1, ROWS, VOCABULARIES[0], 2.5)
    own = estimate(p, p)
    assert own.min() >= 0
    assert own.max() < 1e-6


@given(st.integers(0, 10_000), st.integers(1025, 9000), st.floats(0.01, 30.0))
@settings(deadline=None, max_examples=40)
def test_it_is_never_negative_and_always_finite(seed: int, vocab: int, scale: float) -> None:
    generator = np.random.default_rng(seed)
    p = log_softmax(generator.standard_normal((3, vocab)) * scale)
    q = log_softmax(generator.standard_normal((3, vocab)) * scale * 3)
    ours = estimate(p, q)
    assert np.isfinite(ours).all()
    assert (ours >= 0).all()


def test_a_small_vocabulary_is_kept_whole_and_its_divergence_is_exact() -> None:
    p = distributions(2, ROWS, sketch.WHOLE_VOCABULARY, 3.0)
    q = changed(p, 4, "1")
    np.testing.assert_allclose(estimate(p, q), exact(p, q), rtol=1e-5, atol=1e-7)


def test_a_certain_reference_leaves_nothing_to_draw_from() -> None:
    p = np.full((2, 5000), -1e4)
    p[:, 7] = 0.0
    q = log_softmax(np.zeros((2, 5000)))
    np.testing.assert_allclose(estimate(p, q), np.log(5000), rtol=0.02)


def test_a_sketch_does_not_depend_on_the_size_of_blocks() -> None:
    p = distributions(2, 9, 3000, 2.0)
    shape, targets = sketch.SketchShape.of(3000), np.arange(9)
    whole = sketch.sketch(p, targets, shape, 5, 100)
    parts = [sketch.sketch(p[at : at + 2], targets[at : at + 2], shape, 5, 100 + at) for at in range(0, 9, 2)]
    assert whole.tobytes() == b"".join(part.tobytes() for part in parts)


def test_the_file_gives_back_what_the_exact_file_gives(tmp_path: Path) -> None:
    p = distributions(2, 20, 4000, 2.0)
    q = changed(p, 3, "0.5")
    targets = np.random.default_rng(1).integers(0, 4000, 20)
    usable = np.ones(20, dtype=np.bool_)
    usable[[0, 7]] = False
    logits = q.astype(np.float32)[usable]
    lse = scoring.log_sum_exp(logits, logits.max(axis=1))
    found = []
    for name, whole in (("a", True), ("b", False)):
        with reference.ReferenceWriter(tmp_path / name, 20, 4000, exact=whole) as writer:
            writer.write(p[:13], targets[:13])
            writer.write(p[13:], targets[13:])
            writer.finish()
        with reference.open_reference(tmp_path / name) as reader:
            assert (reader.positions, reader.vocab_size) == (20, 4000)
            found.append(reader.compare(logits, lse, targets[usable], usable))
    exactly, sketched = found
    np.testing.assert_array_equal(exactly.top, sketched.top)
    np.testing.assert_allclose(exactly.target_logp, sketched.target_logp, rtol=1e-6)
    assert sketched.kld.mean() == pytest.approx(exactly.kld.mean(), rel=0.02)
    assert (tmp_path / "b").stat().st_size < (tmp_path / "a").stat().st_size / 6


def damaged(path: Path) -> list[tuple[bytes, str]]:
    good = path.read_bytes()
    line, _, records = good.partition(b"\n")
    return [
        (good[:-1], "its size"),
        (b'{"format": "other"}\n' + records, "another format"),
        (b"{}\n", "another format"),
        (b"{nonsense", "reference log-probabilities"),
        (line.replace(b'"positions": 4', b'"positions": "4"') + b"\n" + records, "lacks a number"),
        (line.replace(b'"drawn": ', b'"drawn": 1') + b"\n" + records, "another shape"),
        (b"", "not a file of reference"),
    ]


def test_a_damaged_file_is_an_error_that_names_it(tmp_path: Path) -> None:
    path = tmp_path / "reference.sketch"
    with reference.ReferenceWriter(path, 4, 3000, exact=False) as writer:
        writer.write(distributions(2, 4, 3000, 2.0), np.zeros(4, dtype=np.int64))
        writer.finish()
    for content, message in damaged(path):
        path.write_bytes(content)
        with pytest.raises(ValueError, match=message) as caught, reference.open_reference(path):
            pass
        assert "reference.sketch" in str(caught.value)
