"""The pieces of SQL that the views are made of: which runs count, and what a run's, a cell's and a score's figures are.

Owns these definitions in SQL; `harness.table.rows` is the authority on them, and the tests hold both to the same
figures. Imports nothing. Contract: one text that SQLite (3.25, without optional functions) and PostgreSQL both take.
Every figure is a scalar subquery on the key of one run or one score: a query that does not ask for it does not pay for
it, and a condition on a cell, a machine or a session reaches the indexes.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass


def median(values: str) -> str:
    """The median of a query's column ``v``; NULLs are left out, of nothing it is NULL."""
    return (
        "(SELECT avg(CAST(v AS DOUBLE PRECISION)) FROM (SELECT v, row_number() OVER (ORDER BY v IS NULL, v) AS place,"
        f" count(v) OVER () AS n FROM ({values}) AS every_value) AS ranked"
        " WHERE place IN ((n + 1) / 2, (n + 2) / 2))"
    )


# -- which runs count ------------------------------------------------------------------------------------------------


def is_last_attempt(run: str) -> str:
    """Whether no later attempt of the same run is stored."""
    return (
        f"NOT EXISTS (SELECT 1 FROM run AS later WHERE later.session_id = {run}.session_id"
        f" AND later.cell_id = {run}.cell_id AND later.kind = {run}.kind"
        f" AND later.run_index = {run}.run_index AND later.attempt > {run}.attempt)"
    )


def is_measured(run: str) -> str:
    """Whether a run has figures: timed, ok, and the last attempt."""
    return f"{run}.kind = 'timed' AND {run}.status = 'ok' AND {is_last_attempt(run)}"


def has_run(session_id: str, cell_id: str, more: str = "") -> str:
    """Whether a cell has a run with figures in a session; ``more`` is a further condition on it, `measured`."""
    return (
        f"EXISTS (SELECT 1 FROM run AS measured WHERE measured.session_id = {session_id}"
        f" AND measured.cell_id = {cell_id}{more} AND {is_measured('measured')})"
    )


def is_in_figures(run: str) -> str:
    """Whether a run is behind its cell's figures: suspect ones only where the cell has no other in that session."""
    clean = has_run(f"{run}.session_id", f"{run}.cell_id", " AND measured.validity = 'ok'")
    return f"{is_measured(run)} AND ({run}.validity = 'ok' OR NOT {clean})"


# -- figures of a run ------------------------------------------------------------------------------------------------


def _samples(metric: str, value: str, more: str = "") -> Callable[[str], str]:
    """The median over a run's repetitions, warm-ups left out."""

    def figure(run: str) -> str:
        return median(
            f"SELECT {value} AS v FROM sample WHERE sample.run_key = {run}.key AND sample.metric_key ="
            f" (SELECT metric.key FROM metric WHERE metric.name = '{metric}') AND NOT sample.warmup{more}"
        )

    return figure


def _per_second(tokens: str, metric: str) -> Callable[[str], str]:
    count = f"cell.batch * {tokens}"
    return _samples(metric, f"{count} / sample.value", f" AND sample.value > 0 AND {count} > 0")


def _reading(column: str, order: str, phase: str | None = None) -> Callable[[str], str]:
    """One memory reading of a run that has the column: the first or the last."""
    which = "" if phase is None else f" AND reading.phase = '{phase}'"

    def figure(run: str) -> str:
        return (
            f"(SELECT reading.{column} FROM memory_reading AS reading WHERE reading.run_key = {run}.key"
            f" AND reading.{column} IS NOT NULL{which} ORDER BY reading.position {order} LIMIT 1)"
        )

    return figure


_peak = _reading("peak_rss_bytes", "DESC")
_imported = _reading("rss_bytes", "ASC", "import")


def _own(run: str) -> str:
    return f"({_peak(run)} - {_imported(run)})"


def _device(run: str) -> str:
    return (
        f"(SELECT max(reading.device_bytes) FROM memory_reading AS reading WHERE reading.run_key = {run}.key)"
    )


def _joules(phase: str) -> Callable[[str], str]:
    def figure(run: str) -> str:
        return median(
            "SELECT reading.gross_joules / reading.tokens AS v FROM energy_reading AS reading"
            f" WHERE reading.run_key = {run}.key AND reading.phase = '{phase}' AND reading.tokens > 0"
        )

    return figure


@dataclass(frozen=True, slots=True)
class Figure:
    """A headline figure under its name in the comparison table.

    ``of_run`` gives its SQL for one run, whose alias it is told, within a query that has that run's `cell`.
    """

    name: str
    what: str
    of_run: Callable[[str], str]


FIGURES: tuple[Figure, ...] = (
    Figure("prefill_tps", "prompt tokens per second", _per_second("cell.prompt_tokens", "prefill_s")),
    Figure("decode_tps", "generated tokens per second", _per_second("cell.decode_tokens", "decode_s")),
    Figure("ttft_s", "prompt submitted to first token", _samples("ttft_s", "sample.value")),
    Figure("peak_rss_bytes", "peak of the worker, its own high-water mark", _peak),
    Figure("own_bytes", "that peak less the worker's size after importing its framework", _own),
    Figure("device_bytes", "most memory of the device; NULL where none was told", _device),
    Figure(
        "energy_joules_per_prefill_token",
        "gross, of the domains in `energy_source`; NULL: not measured",
        _joules("prefill"),
    ),
    Figure(
        "energy_joules_per_decode_token",
        "gross, of the domains in `energy_source`; NULL: not measured",
        _joules("decode"),
    ),
)


def energy_source(run: str) -> str:
    """Meter, domains and method behind a run's joules."""
    return (
        "(SELECT min(reading.meter || ' ' || reading.domain || ' (' || reading.method || ')')"
        f" FROM energy_reading AS reading WHERE reading.run_key = {run}.key AND reading.gross_joules IS NOT NULL)"
    )


# -- figures of a cell in a session ----------------------------------------------------------------------------------


def _runs(value: str, session_id: str, cell_id: str, which: Callable[[str], str]) -> str:
    return (
        f"SELECT {value} AS v FROM run AS one WHERE one.session_id = {session_id} AND one.cell_id = {cell_id}"
        f" AND {which('one')}"
    )


def over_runs(figure: Figure, session_id: str, cell_id: str) -> str:
    """The median over the runs behind a cell's figures in a session."""
    # Grouped by what is single anyway: otherwise SQLite computes a run's figure again wherever the median names it.
    return median(f"{_runs(figure.of_run('one'), session_id, cell_id, is_in_figures)} GROUP BY one.key")


def count_runs(session_id: str, cell_id: str, which: Callable[[str], str]) -> str:
    """How many runs of a cell in a session are such."""
    return f"(SELECT count(*) FROM ({_runs('1', session_id, cell_id, which)}) AS counted)"


def versions(session_id: str, cell_id: str) -> str:
    """The framework's version in the measured runs of a cell in a session; the first and the last where they differ."""
    told = _runs("one.framework_version", session_id, cell_id, is_measured)
    return (
        "(SELECT CASE WHEN min(v) = max(v) THEN min(v) ELSE min(v) || ', ' || max(v) END"
        f" FROM ({told}) AS told)"
    )


def least(value: str, session_id: str, cell_id: str) -> str:
    """The first in order of what the runs behind a cell's figures tell."""
    return f"(SELECT min(v) FROM ({_runs(value, session_id, cell_id, is_in_figures)}) AS told)"


# -- figures of a score ----------------------------------------------------------------------------------------------

#: A divisor that is never zero.
_POSITIONS = "NULLIF(sum(own.positions), 0)"
_LN2 = "0.6931471805599453"


def _over_windows(value: str, run_key: str, join: str = "") -> str:
    return f"(SELECT {value} FROM score_window AS own{join} WHERE own.run_key = {run_key})"


def _all(column: str, value: str) -> str:
    """A value where every window has the column."""
    return f"CASE WHEN count(own.{column}) = count(*) THEN {value} END"


def exponential(value: str) -> str:
    """Euler's number to the power of a value, as its power series: not every SQLite has ``exp``.

    Its terms end where they no longer change the sum; beyond 700 there is no number, as in the table.
    """
    return (
        f"(WITH RECURSIVE exponent(x) AS (SELECT {value}), series(k, term, x) AS ("
        "SELECT 0, CAST(1 AS DOUBLE PRECISION), x FROM exponent WHERE x > -700 AND x < 700"
        " UNION ALL SELECT k + 1, term * x / (k + 1), x FROM series WHERE abs(term) > 1e-30"
        ") SELECT sum(term) FROM series)"
    )


def quality(run_key: str, reference_run_key: str) -> dict[str, str]:
    """The SQL of a score's figures by name, from the key of its run and that of its reference's."""
    other = (
        f" LEFT JOIN score_window AS other ON other.run_key = {reference_run_key}"
        " AND other.window_index = own.window_index"
    )
    same = "sum(CASE WHEN other.positions = own.positions THEN 1 ELSE 0 END) = count(*)"
    excess = f"CASE WHEN {same} THEN sum(own.nll_sum - other.nll_sum) / {_POSITIONS} END"
    mean = f"sum(own.nll_sum) / {_POSITIONS}"
    return {
        "nll_mean": _over_windows(mean, run_key),
        "perplexity": exponential(_over_windows(mean, run_key)),
        "perplexity_ratio": exponential(_over_windows(excess, run_key, other)),
        "bits_per_byte": _over_windows(
            _all("bytes", f"sum(own.nll_sum) / {_LN2} / NULLIF(sum(own.bytes), 0)"), run_key
        ),
        "kld_mean": _over_windows(_all("kld_sum", f"sum(own.kld_sum) / {_POSITIONS}"), run_key),
        "same_top": _over_windows(
            _all("same_top", f"CAST(sum(own.same_top) AS DOUBLE PRECISION) / {_POSITIONS}"), run_key
        ),
    }


QUALITY_WORDS = {
    "nll_mean": "nats per scored token; the perplexity is its exponential",
    "perplexity": "over the scored positions",
    "perplexity_ratio": "over the quality reference's on the same windows; NULL without one",
    "bits_per_byte": "bits per byte of scored text; NULL where bytes were not counted",
    "kld_mean": "mean divergence from the quality reference in nats; NULL without one",
    "same_top": "share of positions with the reference's top token; NULL without one",
}
