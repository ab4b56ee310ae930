"""What the gate judges: for each metric its kind, its practical margin and what it should be able to see.

Owns the defaults; a presets file or the command line may change margins. Imports the table's registry and the
design's limits. Contract: names and directions are those of `harness.table.metrics`.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

from harness.gate.design import Limits
from harness.table.metrics import METRICS

#: One value per process; sums per scored window; right or wrong per item; a fact of the artifact.
Unit = Literal["process", "window", "item", "artifact"]


@dataclass(frozen=True, slots=True)
class GateMetric:
    """One judged metric.

    Attributes:
        name: as in the table's registry.
        unit: what is paired.
        margin: practical margin, a share: a change is a regression only beyond it.
        wanted: the change, a share, that a pass should have been able to see.
        absolute: the change must also be beyond this, in the metric's unit; None: no such limit.
    """

    name: str
    unit: Unit
    margin: float
    wanted: float
    absolute: float | None = None

    @property
    def higher_is_better(self) -> bool:
        """Its direction, from the registry."""
        return METRICS[self.name].better == "higher"

    @property
    def log_margin(self) -> float:
        """The margin on the scale of worsening logarithms, below 0: ``log(1 - 0.03)`` for 3 % fewer tokens/s.

        A figure that should be low is turned over first, so that 3 % more of it is ``-log(1 + 0.03)``.
        """
        return math.log1p(-self.margin) if self.higher_is_better else -math.log1p(self.margin)

    @property
    def log_gain(self) -> float:
        """The margin of an improvement on the same scale, above 0."""
        return math.log1p(self.margin) if self.higher_is_better else -math.log1p(-self.margin)

    @property
    def log_wanted(self) -> float:
        """The wanted change, as a size on the same scale."""
        return -math.log1p(-self.wanted) if self.higher_is_better else math.log1p(self.wanted)

    @property
    def limits(self) -> Limits:
        """What the design judges it by."""
        return Limits(self.log_margin, self.log_gain, self.log_wanted)

    def worsening(self, base: float, head: float) -> float:
        """Log ratio of a pair, below 0 where head is worse. Both must be above 0."""
        ratio = math.log(head / base)
        return ratio if self.higher_is_better else -ratio

    def ratio(self, logarithm: float) -> float:
        """Head / base from a mean of `worsening`."""
        return math.exp(logarithm if self.higher_is_better else -logarithm)


#: The defaults, by name: speed 3 %, memory 2 %, energy 5 %, divergence 10 % and 0.001 nats, tasks by McNemar's test.
DEFAULTS: dict[str, GateMetric] = {
    one.name: one
    for one in (
        GateMetric("prefill_tps", "process", 0.03, 0.05),
        GateMetric("decode_tps", "process", 0.03, 0.05),
        GateMetric("peak_rss_bytes", "process", 0.02, 0.04),
        GateMetric("energy_joules_per_decode_token", "process", 0.05, 0.08),
        GateMetric("bits_per_weight", "artifact", 0.02, 0.02),
        GateMetric("kld_mean", "window", 0.10, 0.10, absolute=0.001),
    )
}
