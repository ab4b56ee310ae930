"""Tokenising and detokenising: timed apart, with a reason where they are not."""

from __future__ import annotations

import hashlib
import itertools
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from harness.backends.fake import SCRIPT_VARIABLE, Fake
from harness.worker.api import Tokenizer, Unsupported
from harness.worker.protocol import TextSpec
from harness.worker.text import TextResult, time_text

TEXT = "héllo, wörld\n"


@pytest.fixture
def spec(tmp_path: Path) -> TextSpec:
    path = tmp_path / "text.txt"
    path.write_text(TEXT, encoding="utf-8")
    return TextSpec(str(path), None)


def _timed(spec: TextSpec, backend: Fake | None = None) -> TextResult:
    ticks = itertools.count(step=1000)
    return time_text(backend or Fake(), spec, 2, clock=lambda: next(ticks))


def test_every_repetition_has_its_figures_and_the_text_comes_back(spec: TextSpec) -> None:
    result = _timed(spec)
    tokens = float(len(TEXT.encode()))
    assert result.values == [{"tokenize_s": 1e-6, "detokenize_s": 1e-6, "text_tokens": tokens}] * 2
    assert (result.round_trip, result.reasons) == (True, {})
    assert result.sha256 == hashlib.sha256(TEXT.encode()).hexdigest()


class _OneWay(Fake):
    def tokenizer(self, model: Path | None) -> Tokenizer:
        class OneWay(Tokenizer):
            def tokenize(self, text: str) -> list[int]:
                return [len(text)]

        return OneWay()


class _Wrong(Fake):
    def tokenizer(self, model: Path | None) -> Tokenizer:
        class Wrong(Tokenizer):
            def tokenize(self, text: str) -> list[int]:
                return [len(text)]

            def detokenize(self, tokens: Sequence[int]) -> str:
                return "something else"

        return Wrong()


def test_a_tokenizer_without_the_way_back_has_one_figure_and_one_reason(spec: TextSpec) -> None:
    result = _timed(spec, _OneWay())
    assert [set(values) for values in result.values] == [{"tokenize_s", "text_tokens"}] * 2
    assert result.reasons == {"detokenize_s": "this tokenizer gives no text back"}


def test_a_text_that_does_not_come_back_is_told(spec: TextSpec) -> None:
    assert _timed(spec, _Wrong()).round_trip is False


@pytest.mark.parametrize(
    ("script", "reasons"),
    [
        (
            {"tokenizer": [{"do": "raise", "type": "Unsupported", "message": "none here"}]},
            {"tokenize_s": "none here", "detokenize_s": "none here"},
        ),
        (
            {"tokenize": [{"do": "raise", "message": "at the second", "at": 1}]},
            {"tokenize_s": "RuntimeError: at the second", "detokenize_s": "the text was not tokenised"},
        ),
        (
            {"detokenize": [{"do": "raise", "type": "KeyError", "message": "7"}]},
            {"detokenize_s": "KeyError: '7'"},
        ),
    ],
)
def test_what_fails_has_its_reason_and_no_figure(
    spec: TextSpec, script: dict[str, Any], reasons: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(SCRIPT_VARIABLE, json.dumps(script))
    result = _timed(spec)
    assert result.reasons == reasons
    assert not {name for values in result.values for name in values} & reasons.keys()
    assert len(result.values) == 2


def test_a_backend_that_declares_nothing_has_no_tokenizer() -> None:
    from harness.worker.api import Backend

    with pytest.raises(Unsupported, match="has no tokenizer here"):
        Backend.tokenizer(Fake(), None)
