"""Change points: where a series of measurements moved from one level to another, how far, and how sure.

Owns the analysis of one series as plain arrays, reading a series from a CSV file or out of the results database, and
which changes are worth an alert. `stored` and `alerts` read the database; everything else imports numpy and the errors
that a person reads alone. Contract: the same values give the same answer, and values that are appended never withdraw a
change point, nor move it out of its interval. The method is in ``docs/history.md``.
"""

from harness.history.analysis import Analysis, Change, Level, change_points

__all__ = ["Analysis", "Change", "Level", "change_points"]
