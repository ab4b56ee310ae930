"""The scored text beside its figures: bytes of each window, worst passages, errors of what is no sum over windows.

Owns the way from scored positions back to the text. Imports numpy, the vocabulary, the table's bootstrap and the
scoring's record of a position. Contract: pure functions of what was scored; bytes and passages are None or empty where
tokens do not spell the text.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from harness.model.vocabulary import Vocabulary
from harness.table import bootstrap
from harness.worker.protocol import ScoreSpec
from harness.worker.scoring import DELTA_P_PERCENTILES, POSITION, window_begins

#: A passage has this many scored tokens, and some before it for the reader.
PASSAGE_TOKENS, CONTEXT_TOKENS = 16, 24
#: Passages that are kept of a score.
PASSAGES = 10

Positions = npt.NDArray[Any]

#: Percentiles over positions, which have no sum over windows: field -> name -> quantile.
QUANTILES: Mapping[str, Mapping[str, float]] = {
    "kld": {"kld_median": 0.5, "kld_p99": 0.99, "kld_p999": 0.999},
    "delta_p": {f"delta_p_{name}": level for name, level in DELTA_P_PERCENTILES.items()},
}


@dataclass(frozen=True, slots=True)
class ScoredText:
    """A text as its tokens.

    Attributes:
        ids: ``int32[tokens]``, without BOS.
        vocabulary: the bytes of each token; None where the tokens do not spell the text byte for byte.
    """

    ids: npt.NDArray[np.int32]
    vocabulary: Vocabulary | None

    @classmethod
    def read(cls, tokens_file: Path, corpus: Path, vocabulary: Vocabulary | None) -> ScoredText:
        """The tokens of a file, with a vocabulary that was seen to spell the text."""
        ids = np.fromfile(tokens_file, dtype="<i4").astype(np.int32)
        spelled = vocabulary is not None and vocabulary.covers(
            ids.tolist(), corpus.read_text(encoding="utf-8").encode()
        )
        return cls(ids, vocabulary if spelled else None)

    def target_begins(self, spec: ScoreSpec) -> list[range]:
        """For each window the numbers of the tokens that its scored positions predict."""
        return [
            range(begin + spec.score_from + 1, begin + spec.window)
            for begin in window_begins(len(self.ids), spec)
        ]

    def window_bytes(self, spec: ScoreSpec) -> list[int | None]:
        """Bytes of text that the predicted tokens of each window stand for."""
        vocabulary = self.vocabulary
        if vocabulary is None:
            return [None] * len(self.target_begins(spec))
        lengths = np.array([len(piece) for piece in vocabulary.pieces])
        return [
            int(lengths[self.ids[targets.start : targets.stop]].sum()) for targets in self.target_begins(spec)
        ]

    def text(self, first: int, last: int) -> str:
        """The text of some tokens, for people: a character cut in two shows as a replacement."""
        if self.vocabulary is None:
            return ""
        ids = self.ids[max(first, 0) : max(last, 0)].tolist()
        return self.vocabulary.text_bytes(ids).decode("utf-8", "replace")

    def token(self, token: int) -> str:
        """One token, for people."""
        if self.vocabulary is None or not 0 <= token < len(self.vocabulary.pieces):
            return ""
        return self.vocabulary.pieces[token].decode("utf-8", "replace")


def read_positions(path: Path, spec: ScoreSpec, text: ScoredText) -> list[Positions]:
    """The scored positions of each window, ``POSITION[positions]``.

    Raises:
        ValueError: the file does not hold as many as were scored.
    """
    found = np.fromfile(path, dtype=POSITION)
    targets = text.target_begins(spec)
    if len(found) != sum(len(each) for each in targets):
        raise ValueError(f"{path} holds {len(found)} positions, {sum(map(len, targets))} were scored")
    ends = np.cumsum([len(each) for each in targets])
    return [found[end - len(each) : end] for end, each in zip(ends, targets, strict=True)]


def position_errors(windows: Sequence[Positions]) -> dict[str, float]:
    """Standard errors of `QUANTILES` and of ``kld_max``, by a bootstrap over whole windows.

    Empty with fewer than two windows, or without a reference.
    """
    finite = [each[np.isfinite(each["kld"]) & np.isfinite(each["delta_p"])] for each in windows]
    errors: dict[str, float] = {}
    for name, levels in QUANTILES.items():
        found = bootstrap.quantile_errors([each[name] for each in finite], list(levels.values()))
        if found is not None:
            errors |= dict(zip(levels, found, strict=True))
    largest = bootstrap.maximum_error([each["kld"] for each in finite])
    return errors if largest is None else {**errors, "kld_max": largest}


def worst_passages(windows: Sequence[Positions], spec: ScoreSpec, text: ScoredText) -> list[dict[str, Any]]:
    """The passages with the highest mean divergence, worst first; none where there is no reference or no text.

    Returns:
        For each ``window``, ``first`` (number of its first token in the text), ``kld_mean`` in nats, ``before``,
        ``text``, and of its worst position ``kld``, the true token ``token``, what the reference and the artifact
        would have said.
    """
    if text.vocabulary is None:
        return []
    found: list[tuple[float, int, int, int]] = []
    for index, (positions, targets) in enumerate(zip(windows, text.target_begins(spec), strict=True)):
        kld = positions["kld"]
        for at in range(0, len(kld), PASSAGE_TOKENS):
            part = kld[at : at + PASSAGE_TOKENS]
            # A short rest at a window's end would win by one surprise.
            if len(part) == PASSAGE_TOKENS and np.isfinite(part).all():
                found.append((float(part.mean(dtype=np.float64)), index, at, targets.start + at))
    told = []
    for mean, index, at, first in sorted(found, key=lambda each: (-each[0], each[3]))[:PASSAGES]:
        part = windows[index][at : at + PASSAGE_TOKENS]
        worst = int(part["kld"].argmax())
        told.append(
            {
                "window": index,
                "first": first,
                "kld_mean": mean,
                "before": text.text(first - CONTEXT_TOKENS, first),
                "text": text.text(first, first + PASSAGE_TOKENS),
                "kld": float(part["kld"][worst]),
                "after": text.text(first, first + worst),
                "token": text.token(int(text.ids[first + worst])),
                "reference_says": text.token(int(part["reference_top"][worst])),
                "artifact_says": text.token(int(part["top"][worst])),
            }
        )
    return told
