"""Scored positions beside their text: bytes, errors by bootstrap, worst passages."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

from harness.model.gguf_header import GgufTokens
from harness.model.vocabulary import vocabulary_of
from harness.runner.passages import (
    PASSAGE_TOKENS,
    QUANTILES,
    ScoredText,
    position_errors,
    read_positions,
    worst_passages,
)
from harness.runner.scoring import verdict_of
from harness.worker.protocol import ScoreResult, ScoreSpec, WindowScore
from harness.worker.scoring import POSITION

TEXT = ("All that is gold does not glitter, not all those who wander are lost. " * 8).encode()
BYTES = vocabulary_of(GgufTokens("llama", tuple(f"<0x{byte:02X}>" for byte in range(256)), (6,) * 256))


@pytest.fixture
def text(tmp_path: Path) -> ScoredText:
    corpus, tokens = tmp_path / "text.txt", tmp_path / "text.i32"
    corpus.write_bytes(TEXT)
    np.frombuffer(TEXT, dtype=np.uint8).astype("<i4").tofile(tokens)
    return ScoredText.read(tokens, corpus, BYTES)


def spec(**changes: Any) -> ScoreSpec:
    values: dict[str, Any] = {
        "tokens_file": "x", "window": 128, "stride": 128, "score_from": 64, "max_windows": 3, "bos": None,
        "reference_in": "y", "reference_out": None,
    }  # fmt: skip
    return ScoreSpec(**(values | changes))


def positions(klds: npt.NDArray[np.float64]) -> npt.NDArray[Any]:
    made = np.zeros(len(klds), dtype=POSITION)
    made["kld"], made["delta_p"] = klds, -klds / 10
    made["reference_top"], made["top"] = ord("a"), ord("b")
    return made


def test_bytes_are_those_of_the_predicted_tokens(text: ScoredText) -> None:
    assert text.window_bytes(spec()) == [63, 63, 63]
    assert [(each.start, each.stop) for each in text.target_begins(spec())] == [
        (65, 128),
        (193, 256),
        (321, 384),
    ]


def test_tokens_that_do_not_spell_the_text_give_no_bytes_and_no_passages(
    tmp_path: Path,
) -> None:
    corpus, tokens = tmp_path / "text.txt", tmp_path / "text.i32"
    corpus.write_bytes(TEXT.upper())
    np.frombuffer(TEXT, dtype=np.uint8).astype("<i4").tofile(tokens)
    other = ScoredText.read(tokens, corpus, BYTES)
    assert other.window_bytes(spec()) == [None, None, None]
    assert worst_passages([positions(np.ones(63))] * 3, spec(), other) == []
    assert ScoredText.read(tokens, corpus, None).vocabulary is None


def test_the_worst_passage_is_told_with_its_worst_token_and_what_both_would_have_said(
    text: ScoredText,
) -> None:
    quiet = [np.full(63, 0.01) for _ in range(3)]
    quiet[1][PASSAGE_TOKENS + 5] = 9.0
    found = worst_passages([positions(each) for each in quiet], spec(), text)
    first = 193 + PASSAGE_TOKENS
    worst = found[0]
    assert (worst["window"], worst["first"]) == (1, first)
    assert worst["text"] == TEXT[first : first + PASSAGE_TOKENS].decode()
    assert worst["before"] == TEXT[first - 24 : first].decode()
    assert worst["after"] + worst["token"] == TEXT[first : first + 6].decode()
    assert (worst["reference_says"], worst["artifact_says"]) == ("a", "b")
    assert worst["kld"] == pytest.approx(9.0)
    assert worst["kld_mean"] == pytest.approx((9 + 15 * 0.01) / 16)
    assert [each["kld_mean"] for each in found] == sorted((each["kld_mean"] for each in found), reverse=True)


def test_passages_with_logits_that_are_not_finite_or_without_a_reference_are_left_out(
    text: ScoredText,
) -> None:
    assert worst_passages([positions(np.full(63, np.nan))] * 3, spec(), text) == []


def test_a_file_of_another_number_of_positions_is_an_error(tmp_path: Path, text: ScoredText) -> None:
    path = tmp_path / "positions"
    path.write_bytes(positions(np.arange(189.0)).tobytes())
    found = read_positions(path, spec(), text)
    assert [len(each) for each in found] == [63, 63, 63]
    assert found[2]["kld"][0] == 126
    path.write_bytes(positions(np.arange(188.0)).tobytes())
    with pytest.raises(ValueError, match="188 positions, 189 were scored"):
        read_positions(path, spec(), text)


def test_errors_are_near_the_spread_of_the_statistic_over_fresh_texts() -> None:
    generator = np.random.default_rng(3)

    def draw() -> list[npt.NDArray[Any]]:
        # Windows differ: some texts are harder than others, and positions inside one go together.
        return [positions(generator.exponential(generator.uniform(0.5, 1.5), 50)) for _ in range(40)]

    medians = [float(np.median(np.concatenate([each["kld"] for each in draw()]))) for _ in range(200)]
    estimates = [position_errors(draw())["kld_median"] for _ in range(10)]
    assert np.mean(estimates) == pytest.approx(np.std(medians), rel=0.25)
    once = draw()
    assert position_errors(once) == position_errors(once)
    assert set(position_errors(once)) == {name for each in QUANTILES.values() for name in each} | {"kld_max"}
    assert {"kld_median", "kld_p99", "kld_p999", "delta_p_p1", "delta_p_p25"} < set(position_errors(once))


def test_one_window_has_no_error() -> None:
    assert position_errors([positions(np.ones(9))]) == {}
    assert position_errors([positions(np.full(9, np.nan))] * 3) == {}


@pytest.mark.parametrize(
    ("first", "where"),
    [(0, "at token 64 of window 0"), (62, "at token 126 of window 0"), (63, "at token 64 of window 1")],
)
def test_a_broken_verdict_names_where_the_first_logit_is_that_is_no_number(first: int, where: str) -> None:
    windows = [WindowScore(number, 0, 0.0, None, None, None) for number in range(3)]
    result = ScoreResult(windows, None, False, 256, {"first_non_finite": first})
    found = verdict_of(result, spec(), "int4", None)
    assert (found.verdict, found.reason) == ("broken", f"some logits are not finite numbers, first {where}")
