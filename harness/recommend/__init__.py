"""Which configuration to ship: limits, preferences, the Pareto frontier, and how sure the choice is."""

from harness.recommend.choice import Recommendation, recommend
from harness.recommend.wishes import Limits, Preference

__all__ = ["Limits", "Preference", "Recommendation", "recommend"]
