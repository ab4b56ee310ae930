"""Scoring: every artifact once against its model's quality reference, before anything is timed.

Owns the scoring key, the reference's log-probabilities in the cache, and the artifact's verdict. The arithmetic runs
in the worker. Contract: a score that the database holds under the same key is used again and not computed; the
reference of a model, text and window is computed once per cache.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from harness.runner.execute import Execution
from harness.runner.passages import ScoredText, position_errors, read_positions, worst_passages
from harness.runner.setup import TokenFile
from harness.store.facts import ScoreFacts
from harness.store.records import ScoreRecord, VerdictRecord, WindowRecord
from harness.suite import Scoring
from harness.table.verdict import artifact_broken
from harness.worker.bodies import from_body
from harness.worker.protocol import ScoreResult, ScoreSpec

#: How divergence is estimated unless a suite asks for the exact one; another number where its figures would change.
SKETCH_METHOD = "sketch-1"
#: More than any text has.
_EVERY_WINDOW = 2**31 - 1


@dataclass(frozen=True, slots=True)
class ScoringTarget:
    """What is scored: everything that changes the result, and nothing else.

    Attributes:
        artifact: artifact id.
        framework: framework id.
        environment: environment id.
        device: device id.
        api: its API.
        options: the framework's settings asked for.
    """

    artifact: str
    framework: str
    environment: str
    device: str
    api: str
    options: Mapping[str, str]


def scoring_key(
    target: ScoringTarget,
    scoring: Scoring,
    tokens: TokenFile,
    reference: str | None,
    max_kld: float | None = None,
) -> str:
    """Equal where scoring again would give the same figures and the same verdict.

    Args:
        target: what is scored.
        scoring: windows.
        tokens: the text.
        reference: key of the quality reference, None when this is the reference.
        max_kld: beyond it the artifact is broken, None: nothing is checked.
    """
    content = {
        "artifact": target.artifact,
        "framework": target.framework,
        "environment": target.environment,
        "device": target.device,
        "api": target.api,
        "options": dict(sorted(target.options.items())),
        "corpus": tokens.corpus_sha256,
        "bos": tokens.bos,
        "window": scoring.window,
        "stride": scoring.stride,
        "score_from": scoring.score_from,
        "max_windows": scoring.max_windows,
        "reference": reference,
        "max_kld": max_kld,
        "method": "exact" if scoring.exact else SKETCH_METHOD,
    }
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()[:32]


def score_spec(
    scoring: Scoring,
    tokens: TokenFile,
    *,
    reference_in: Path | None,
    reference_out: Path | None,
    positions_out: Path | None = None,
) -> ScoreSpec:
    """The request of a scoring run."""
    return ScoreSpec(
        tokens_file=str(tokens.path),
        window=scoring.window,
        stride=scoring.stride,
        score_from=scoring.score_from,
        max_windows=_EVERY_WINDOW if scoring.max_windows is None else scoring.max_windows,
        bos=tokens.bos,
        reference_in=None if reference_in is None else str(reference_in),
        reference_out=None if reference_out is None else str(reference_out),
        exact=scoring.exact,
        positions_out=None if positions_out is None else str(positions_out),
        text_file=str(tokens.text.resolve()),
    )


@dataclass(frozen=True, slots=True)
class ReferenceScore:
    """The quality reference of one model and text, computed.

    Attributes:
        key: its scoring key.
        run_id: the run that computed it.
        log_probabilities: the file of its distributions, exact or sketches (`harness.worker.reference`).
        text: what it is, in words.
        nll_by_window: for the verdict's perplexity ratio.
    """

    key: str
    run_id: str
    log_probabilities: Path
    text: str
    nll_by_window: Mapping[int, float]


def reference_of(score: ScoreFacts, log_probabilities: Path, text: str) -> ReferenceScore:
    """The reference from its stored score."""
    return ReferenceScore(
        key=score.scoring_key,
        run_id=score.run_id,
        log_probabilities=log_probabilities,
        text=text,
        nll_by_window={window.window: window.nll_sum for window in score.windows},
    )


def score_record(
    execution: Execution,
    *,
    key: str,
    artifact: str,
    scoring: Scoring,
    tokens: TokenFile,
    reference: ReferenceScore | None,
    quality_reference: str,
    cells: tuple[str, ...],
    precision: str,
    spec: ScoreSpec,
    text: ScoredText,
    max_kld: float | None = None,
) -> ScoreRecord:
    """What a finished scoring run gave, with the artifact's verdict."""
    body: dict[str, Any] = {
        name: value for name, value in execution.result.items() if name not in ("score_s", "memory")
    }
    result = from_body(ScoreResult, body)
    details = dict(result.details)
    data: list[bytes | None] = [None] * len(result.windows)
    errors: dict[str, float] = {}
    if spec.positions_out is not None:
        positions = read_positions(Path(spec.positions_out), spec, text)
        data = [each.tobytes() for each in positions]
        details["passages"] = worst_passages(positions, spec, text)
        errors = position_errors(positions)
    return ScoreRecord(
        scoring_key=key,
        artifact_id=artifact,
        corpus=tokens.corpus,
        corpus_sha256=tokens.corpus_sha256,
        window_tokens=scoring.window,
        stride_tokens=scoring.stride,
        score_from=scoring.score_from,
        bos=tokens.bos,
        finite=result.finite,
        vocab_size=result.vocab_size,
        windows=[
            WindowRecord.of(window, text_bytes=count, data=points)
            for window, count, points in zip(result.windows, text.window_bytes(spec), data, strict=True)
        ],
        reference_run_id=None if reference is None else reference.run_id,
        quality_reference=quality_reference,
        kld=result.kld,
        delta_p=result.delta_p,
        errors=errors,
        method="exact" if scoring.exact else SKETCH_METHOD,
        cells=cells,
        verdict=verdict_of(result, spec, precision, max_kld),
        details=details,
    )


def _first_not_finite(result: ScoreResult, spec: ScoreSpec) -> str | None:
    """The window, and the token in it counted from 0, whose logits are the first that are not all finite."""
    number = result.details.get("first_non_finite")
    if not isinstance(number, int):
        return None
    place, position = divmod(number, spec.window - 1 - spec.score_from)
    return f"at token {spec.score_from + position} of window {result.windows[place].window}"


def verdict_of(result: ScoreResult, spec: ScoreSpec, precision: str, max_kld: float | None) -> VerdictRecord:
    """Whether the artifact computes the model's function."""
    positions = sum(window.positions for window in result.windows)
    sums = [window.kld_sum for window in result.windows if window.kld_sum is not None]
    kld = sum(sums) / positions if positions and sums and len(sums) == len(result.windows) else None
    broken = artifact_broken(
        finite=result.finite,
        first=_first_not_finite(result, spec),
        kld=kld,
        max_kld=max_kld,
        precision=precision,
    )
    return VerdictRecord("broken", broken) if broken else VerdictRecord("ok")
