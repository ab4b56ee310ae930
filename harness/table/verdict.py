"""When an artifact is broken: it does not compute the model's function.

Owns the rule and its limits; ``docs/method.md`` says why. Imports nothing of the rest. Contract: a pure function
of figures; what is unknown breaks nothing.
"""

from __future__ import annotations

#: Below this share of equal top tokens an artifact follows the reference no better than by frequent tokens.
MIN_SAME_TOP = 0.05

#: Above this ratio of perplexities an artifact's predictions are useless.
MAX_PERPLEXITY_RATIO = 20.0


def artifact_broken(*, finite: bool, same_top: float | None, perplexity_ratio: float | None) -> str | None:
    """Why an artifact is broken; None where it is not.

    Args:
        finite: every scored logit was a finite number.
        same_top: share of positions whose top token is the reference's, 0 to 1.
        perplexity_ratio: perplexity over the reference's on the same windows.
    """
    if not finite:
        return "some logits are not finite numbers"
    if same_top is not None and same_top < MIN_SAME_TOP:
        return f"only {100 * same_top:.1f} % of the top tokens are the reference's (limit {100 * MIN_SAME_TOP:.0f} %)"
    if perplexity_ratio is not None and perplexity_ratio > MAX_PERPLEXITY_RATIO:
        return (
            f"perplexity is {perplexity_ratio:.3g} times the reference's (limit {MAX_PERPLEXITY_RATIO:.0f})"
        )
    return None
