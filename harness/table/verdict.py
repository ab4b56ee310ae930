"""When an artifact is broken: it does not compute the model's function.

Owns the rule; the limits are the suite's (`harness.suite.schema.Check`), and ``docs/method.md`` says why. Contract:
a pure function of figures; what is unknown breaks nothing.
"""

from __future__ import annotations

from harness.worker.api import PRECISIONS, precision_class


def artifact_broken(
    *,
    finite: bool,
    first: str | None = None,
    kld: float | None,
    max_kld: float | None,
    precision: str | None = None,
) -> str | None:
    """Why an artifact is broken; None where it is not.

    Args:
        finite: every scored logit was a finite number.
        first: where the first is that is not; None: not known.
        kld: mean divergence from the quality reference, in nats; None where it was not compared.
        max_kld: the suite's limit for the artifact's precision class; None where nothing is checked.
        precision: its canonical precision, for the words.
    """
    if not finite:
        return "some logits are not finite numbers" + (f", first {first}" if first else "")
    if kld is not None and max_kld is not None and kld > max_kld:
        kind = "" if precision not in PRECISIONS else f" for {precision_class(precision)} precision"
        return f"its divergence from the quality reference is {kld:.3g} nats (limit{kind}: {max_kld:g})"
    return None
