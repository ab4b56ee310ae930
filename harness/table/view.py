"""The table as a person reads it, before any format: texts in columns, and what stands below.

Owns the choice of columns and rows, marks, spreads, claims, and the notes: holes with their reasons, yardsticks,
session, machine. Knows no format. Contract: no figure without its mark; no hole without its reason; rows are never
pooled: an identity that tells rows apart is shown even when it was not asked for.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from harness.errors import UsageError
from harness.precision import class_rank, precision_rank
from harness.safe_text import printable
from harness.table import imported
from harness.table.claims import claim_for
from harness.table.facts import About
from harness.table.metrics import METRICS, as_fallbacks, as_percent
from harness.table.rows import BASELINE_SUSPECT, QUALITY_KEYS, Row
from harness.table.task_lines import task_lines
from harness.table.uncertainty import uncertain_text
from harness.table.where import columns as column_names
from harness.table.where import parse_where

IDENTITY: tuple[str, ...] = (
    "framework",
    "precision",
    "recipe",
    "device",
    "model",
    "workload",
    "options",
    "session",
    "machine",
)
DEFAULT_ROWS: tuple[str, ...] = ("precision_class", "framework", "precision", "recipe", "device")
DEFAULT_COLUMNS: tuple[str, ...] = tuple(
    metric.name
    for metric in sorted(
        (each for each in METRICS.values() if each.column is not None), key=lambda m: m.column or 0
    )
    if metric.kind != "identity"
)

SUSPECT, BROKEN, PARTIAL, FELL_BACK, OTHER_POSITIONS, MISSING = "†", "‡", "*", "§", "¶", "–"

#: Figures that a spoiled run spoils.
_TIMED = frozenset(
    {
        "prefill_tps", "decode_tps", "ttft_s", "itl_s_p50", "itl_s_p99", "stream_tps", "speedup_prefill",
        "speedup_decode", "tokenize_tps", "detokenize_tps", "sampling_s_per_token", "throughput_tps",
        "energy_joules_per_prefill_token", "energy_joules_per_decode_token",
        "mbu_decode", "mfu_prefill",
    }
)  # fmt: skip
#: Shown unasked only where some row has one: a machine that was never benched needs no columns that say so.
_WHERE_KNOWN = frozenset({"mbu_decode", "mfu_prefill"})
_QUALITY = frozenset({"perplexity", "perplexity_ratio", "kld_mean", "same_top"})

#: Rows that are named for one reason; ``--json`` has all.
_NAMED = 3
#: What a narrow terminal leaves out first.
_DISPENSABLE = (
    "runs", "precision_class", "claim_memory", "claim_speed_up", "mfu_prefill", "perplexity_ratio", "speedup_prefill",
    "mbu_decode",
    "energy_joules_per_decode_token", "same_top", "memory_reduction", "device", "kld_mean",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Column:
    """A column: its key, its head, and whether it holds figures (set flush right)."""

    key: str
    title: str
    figures: bool

    @property
    def dispensable(self) -> int:
        """Order in which a narrow terminal leaves columns out, from 1; 0: never."""
        return _DISPENSABLE.index(self.key) + 1 if self.key in _DISPENSABLE else 0


@dataclass(frozen=True, slots=True)
class Section:
    """A head and its lines, below the table."""

    title: str
    lines: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class View:
    """Everything that a format has to set.

    Attributes:
        title: above the table.
        columns: heads, left to right.
        body: texts, a tuple a row.
        sections: below the table.
        groups: rows, counted from 0, that begin another class of precision than the row above.
    """

    title: str
    columns: tuple[Column, ...]
    body: tuple[tuple[str, ...], ...]
    sections: tuple[Section, ...] = field(default_factory=tuple)
    groups: tuple[int, ...] = ()

    def blocks(self) -> list[tuple[tuple[str, ...], ...]]:
        """The body in its groups; in one where it has none."""
        bounds = [0, *self.groups, len(self.body)]
        return [self.body[first:last] for first, last in itertools.pairwise(bounds)]


def select(
    rows: Sequence[Row], *, row_keys: str | Sequence[str] | None = None, where: str | None = None
) -> list[Row]:
    """The rows that pass ``where``: by ``row_keys`` if there are any, else by class and then in their own order."""
    test = parse_where(where) if where else lambda _row: True
    kept = [row for row in rows if test(row.values)]
    if row_keys:
        keys = column_names(row_keys)
        kept.sort(key=lambda row: [_rank(key, row[key]) for key in keys])
    else:
        kept.sort(key=lambda row: class_rank(row["precision_class"]))
    return kept


def _rank(key: str, value: Any) -> tuple[int, float, str]:
    """Sorts figures as figures, precisions from wide to narrow, words as words, holes last."""
    if value is None:
        return 2, 0.0, ""
    if key == "precision_class":
        return 0, float(class_rank(value)), ""
    if key == "precision" and (place := precision_rank(value)) is not None:
        return 0, float(place), ""
    if isinstance(value, int | float):
        return 0, float(value), ""
    return 1, 0.0, str(value)


def shown_keys(
    rows: Sequence[Row], row_keys: str | Sequence[str] | None, columns: str | Sequence[str] | None
) -> tuple[list[str], list[str]]:
    """Keys at the left of a row, and keys of its figures."""
    left = column_names(row_keys) if row_keys else list(DEFAULT_ROWS)
    figures = column_names(columns) if columns else _default_figures(rows)
    for key in IDENTITY:
        if key not in left and key not in figures and _tells_apart(rows, left, key):
            left.append(key)
    return left, [key for key in figures if key not in left]


def _default_figures(rows: Sequence[Row]) -> list[str]:
    return [
        key for key in DEFAULT_COLUMNS if key not in _WHERE_KNOWN or any(row[key] is not None for row in rows)
    ]


def _tells_apart(rows: Sequence[Row], left: Sequence[str], key: str) -> bool:
    values: dict[tuple[str, ...], set[str]] = {}
    for row in rows:
        values.setdefault(tuple(str(row[each]) for each in left), set()).add(str(row[key]))
    return any(len(each) > 1 for each in values.values())


def build_view(
    rows: Sequence[Row],
    about: Sequence[About],
    *,
    row_keys: str | Sequence[str] | None = None,
    columns: str | Sequence[str] | None = None,
    where: str | None = None,
    counted: bool = False,
) -> View:
    """The table of these rows.

    Args:
        rows: from `comparison_rows`, of one or several sessions.
        about: the sessions they come from.
        row_keys: columns at the left, by which rows are sorted; None: class, framework, precision, device, by
            class and then in the suite's order.
        columns: figures to show; None: the default ones with the claims. Bits per weight always are.
        where: conditions, see `harness.table.where`.
        counted: every figure with half its interval in its own unit and the runs behind it, ``121 ± 2 (5 runs)``, as
            documents have it; else short, ``121 ±1.7%``, with a column of the runs unless columns are told.

    Raises:
        UsageError: an unknown column or a malformed condition.
    """
    if any(row["source"] is not None for row in rows):
        return _imported_view(rows, about, row_keys, columns, where)
    kept = select(rows, row_keys=row_keys, where=where)
    left, figures = shown_keys(kept, row_keys, columns)
    # The label of a precision says little of what is stored: what was measured stands beside it, asked for or not.
    if "bits_per_weight" not in (*left, *figures):
        figures.insert(0, "bits_per_weight")
    if columns is None and not counted and "runs" not in left:
        figures.insert(0, "runs")
    # A precision and the framework's name for it are one thing to a reader: int4 (Q4_K_M).
    joined = "precision" in left and "recipe" in left
    heads = [_column(key) for key in left if not (joined and key == "recipe")] + [
        _column(key) for key in figures
    ]
    claimed = columns is None and any(claim_for(row.values) for row in kept)
    if claimed:
        heads += [
            Column("claim_memory", "Memory (claim)", False),
            Column("claim_speed_up", "Speed-up (claim)", False),
        ]

    def text(row: Row, key: str) -> str:
        if counted and METRICS.get(key, METRICS["runs"]).kind == "metric" and row[key] not in (None, [], {}):
            return uncertain_text(row, key) + figure_marks(row, key)
        return _text(row, key, joined)

    body = tuple(tuple(text(row, head.key) for head in heads) for row in kept)
    groups = () if row_keys else _groups(kept)
    sections = tuple(_sections(kept, about, left, figures, claimed))
    return shown(View(_title(kept, left), tuple(heads), body, sections, groups))


def shown(view: View) -> View:
    """Words of a database from elsewhere are shown, not obeyed: here for every format that people read.

    Sections without lines are left out.
    """
    return replace(
        view,
        title=printable(view.title),
        columns=tuple(replace(one, title=printable(one.title)) for one in view.columns),
        body=tuple(tuple(map(printable, row)) for row in view.body),
        sections=tuple(
            Section(one.title, tuple(map(printable, one.lines))) for one in view.sections if one.lines
        ),
    )


def row_name(row: Row, keys: Sequence[str]) -> str:
    """What a row is, in a line: these of its identity, without options where they are the defaults."""
    return " ".join(str(row[key]) for key in keys if not (key == "options" and row[key] == "defaults"))


def some_of(names: Sequence[str]) -> str:
    """The first names, and how many there are besides."""
    more = len(names) - _NAMED
    return "; ".join(names[:_NAMED]) + (f"; and {more} more" if more > 0 else "")


def _imported_view(
    rows: Sequence[Row],
    about: Sequence[About],
    row_keys: str | Sequence[str] | None,
    columns: str | Sequence[str] | None,
    where: str | None,
) -> View:
    """The table of an imported session, whose figures are another tool's."""
    sources = list(dict.fromkeys(row["source"] for row in rows))
    if len(sources) > 1:
        raise UsageError(
            "figures of several origins stand in no one table: "
            + ", ".join(str(each or "edgebench") for each in sources),
            next_step="show one session at a time with --session",
        )
    kept = imported.where_test(rows, where)
    keys = column_names(row_keys) if row_keys else None
    if keys:
        kept.sort(key=lambda row: [_rank(key, row[key]) for key in keys])
    left, figures = imported.pick(kept, row_keys=keys, columns=columns)
    joined = "precision" in left and "recipe" in left
    heads = [_column(key) for key in left if not (joined and key == "recipe")]
    heads += [_column(key) if key in METRICS else Column(key, key, True) for key in figures]

    def text(row: Row, key: str) -> str:
        if key == "options" and key in left:
            return imported.options_text(row, kept)
        if key in METRICS:
            return _text(row, key, joined)
        return imported.figure_text(key, row["imported"].get(key))

    sections = (
        Section("Imported", tuple(imported.about_lines(about))),
        Section("Marks", tuple(f"{label(row)}: {'; '.join(row['flags'])}" for row in kept if row["flags"])),
        Section("Tasks", tuple(task_lines(kept, label))),
        Section("Definitions", tuple(imported.definition_lines(about, figures))),
        Section("Reading", tuple(imported.reading_lines(kept, figures))),
        Section("Measured", tuple(_measured(kept, about))),
    )
    return shown(
        View(
            f"Imported from {sources[0]}",
            tuple(heads),
            tuple(tuple(text(row, head.key) for head in heads) for row in kept),
            tuple(section for section in sections if section.lines),
        )
    )


def _groups(rows: Sequence[Row]) -> tuple[int, ...]:
    classes = [row["precision_class"] for row in rows]
    return tuple(place for place in range(1, len(classes)) if classes[place] != classes[place - 1])


def _column(key: str) -> Column:
    metric = METRICS[key]
    return Column(key, metric.title, metric.kind == "metric" or key == "runs")


def _text(row: Row, key: str, joined: bool) -> str:
    if key.startswith("claim_"):
        claim = claim_for(row.values)
        return MISSING if claim is None else str(getattr(claim, key.removeprefix("claim_")))
    if key == "precision" and joined:
        return precision_text(row)
    return figure_text(row, key)


def precision_text(row: Row) -> str:
    """``int4 (Q4_K_M)``, or the precision alone where the framework calls it the same."""
    precision, recipe = str(row["precision"]), str(row["recipe"])
    return precision if recipe.lower() == precision.lower() else f"{precision} ({recipe})"


def figure_text(row: Row, key: str) -> str:
    """A value as a person reads it: formatted, with its spread and its mark; a dash where there is none."""
    value = row[key]
    if value is None or value in ([], {}):
        if key == "decode_tps" and row["status"] != "ok":
            return str(row["status"])
        return MISSING
    text = METRICS[key].format(value)
    if key == "device":
        return device_text(row)
    if key == "model":
        return model_text(row)
    interval = (row["intervals"] or {}).get(key)
    if interval and interval[0] < interval[1]:
        half = (interval[1] - interval[0]) / 2
        if METRICS[key].format is as_percent:  # points: a share of a share is nobody's spread
            text += f" ±{100 * half:.2g}"
        elif value:
            text += f" {_spread(100 * half / abs(value))}"
    return text + figure_marks(row, key)


def figure_marks(row: Row, key: str) -> str:
    """The marks of a value that is there; what they mean stands below the table."""
    marks = ""
    if row["status"] != "ok" and METRICS[key].kind == "metric":
        marks += PARTIAL
    spoiled_baseline = key.startswith("speedup_") and BASELINE_SUSPECT in (row["flags"] or ())
    if (row["validity"] == "suspect" and key in _TIMED) or spoiled_baseline:
        marks += SUSPECT
    if row["artifact_verdict"] == "broken" and key in _TIMED | _QUALITY:
        marks += BROKEN
    if key == "bits_per_weight" and row["fallbacks"]:
        marks += FELL_BACK
    if row.other_positions is not None and key in QUALITY_KEYS:
        marks += OTHER_POSITIONS
    return marks


def device_text(row: Row) -> str:
    """``npu:0 (emulated)``, or the device alone where it computed itself."""
    return f"{row['device']} (emulated)" if row["emulated"] else str(row["device"])


def model_text(row: Row) -> str:
    """``llama-7b (synthetic)``, or the model alone where its weights are somebody's."""
    return f"{row['model']} (synthetic)" if row["synthetic"] else str(row["model"])


def _spread(percent: float) -> str:
    if percent > 100:
        # Two runs that disagree leave an interval of any length: its digits would say nothing.
        return ">±100%"
    return f"±{percent:.2g}%" if percent < 10 else f"±{percent:.0f}%"


def label(row: Row) -> str:
    """A row's name in the notes: ``llamacpp int4 (Q4_K_M) cpu``."""
    return f"{row['framework']} {precision_text(row)} {device_text(row)}"


def _title(rows: Sequence[Row], left: Sequence[str]) -> str:
    parts = []
    for key in ("model", "workload"):
        values = list(dict.fromkeys(model_text(row) if key == "model" else str(row[key]) for row in rows))
        if len(values) == 1 and key not in left:
            parts.append(values[0])
    return ", ".join(parts) or "Comparison"


# -- below the table -------------------------------------------------------------------------------------------------


def _sections(
    rows: Sequence[Row], about: Sequence[About], left: Sequence[str], figures: Sequence[str], claimed: bool
) -> tuple[Section, ...]:
    sections = (
        Section("Holes", tuple(_holes(rows, figures))),
        Section("Marks", tuple(_marks(rows))),
        Section("Tasks", tuple(task_lines(rows, label))),
        Section("Yardsticks", tuple(_yardsticks(rows))),
        Section("Reading", tuple(_reading(rows, left, figures, claimed))),
        Section("Measured", tuple(_measured(rows, about))),
    )
    return tuple(section for section in sections if section.lines)


def _grouped(pairs: Sequence[tuple[str, str]]) -> dict[str, list[str]]:
    groups: dict[str, list[str]] = {}
    for text, name in pairs:
        groups.setdefault(text, []).append(name)
    return groups


def _named(names: Sequence[str], of: int) -> str:
    unique = list(dict.fromkeys(names))
    return "every row" if len(names) == of and of > 1 else "; ".join(unique)


def _holes(rows: Sequence[Row], figures: Sequence[str]) -> list[str]:
    ended = [row for row in rows if row["status"] != "ok"]
    lines = [
        f"{'; '.join(dict.fromkeys(names))}: {text}"
        for text, names in _grouped(
            [(f"{row['status']}: {row['reason']}", label(row)) for row in ended]
        ).items()
    ]
    measured = [row for row in rows if row["status"] == "ok"]
    reasons: dict[tuple[str, str], list[str]] = {}
    for key in figures:
        holes = [
            (row.notes.get(key, "no reason was stored"), label(row)) for row in measured if row[key] is None
        ]
        for reason, names in _grouped(holes).items():
            where = (_named(names, len(measured)), reason)
            reasons.setdefault(where, []).append(METRICS[key].title)
    return lines + [f"{', '.join(titles)} ({names}): {reason}" for (names, reason), titles in reasons.items()]


def _marks(rows: Sequence[Row]) -> list[str]:
    partial = [label(row) for row in rows if row["status"] != "ok" and row["runs"]]
    lines = [f"{PARTIAL} {'; '.join(partial)}: not everything ended as ok, see Holes"] if partial else []
    suspects = [row for row in rows if row["validity"] == "suspect"]
    lines += [
        f"{SUSPECT} {label(row)}: suspect: {'; '.join(row['flags']) or 'no flag was stored'}"
        for row in suspects
    ]
    lines += [
        f"{label(row)}: {'; '.join(row['flags'])}" for row in rows if row["validity"] == "ok" and row["flags"]
    ]
    lines += [
        f"{BROKEN} {label(row)}: broken artifact: {row.notes.get('artifact_verdict', 'no reason was stored')}"
        for row in rows
        if row["artifact_verdict"] == "broken"
    ]
    fallen = [(_fell_back(row), label(row)) for row in rows if row["fallbacks"]]
    lines += [
        f"{FELL_BACK} {'; '.join(dict.fromkeys(names))}: {text}" for text, names in _grouped(fallen).items()
    ]
    elsewhere = [(row.other_positions, label(row)) for row in rows if row.other_positions is not None]
    lines += [
        f"{OTHER_POSITIONS} {'; '.join(dict.fromkeys(names))}: quality rests on {text}: the two do not compare"
        for text, names in _grouped(elsewhere).items()
    ]
    emulated = [label(row) for row in rows if row["emulated"]]
    if emulated:
        lines.append(
            f"emulated: {_named(emulated, len(rows))}: another processor computed what this one would; the accuracy "
            "is real, speed, memory and energy say nothing about silicon and are compared with nothing"
        )
    synthetic = list(dict.fromkeys(str(row["model"]) for row in rows if row["synthetic"]))
    if synthetic:
        lines.append(
            f"synthetic: {'; '.join(synthetic)}: seeded random weights in a real architecture; speed, memory, energy "
            "and bits per weight are measured, accuracy does not exist"
        )
    return lines


def _fell_back(row: Row) -> str:
    total, _, each = as_fallbacks(row["fallbacks"]).partition(": ")
    return f"{total} fell back: {each}"


def _yardsticks(rows: Sequence[Row]) -> list[str]:
    references = list(dict.fromkeys(row["quality_reference"] for row in rows if row["quality_reference"]))
    baselines = list(dict.fromkeys(row["speed_baseline"] for row in rows if row["speed_baseline"]))
    lines = []
    if references:
        lines.append(f"Quality is measured against {'; '.join(references)}.")
    if baselines:
        lines.append(
            f"Speed-up and memory saved are measured against, each framework its own: {'; '.join(baselines)}."
        )
    return lines


def _reading(rows: Sequence[Row], left: Sequence[str], figures: Sequence[str], claimed: bool) -> list[str]:
    lines = []
    shown = [*left, *figures]
    if any((row["intervals"] or {}).keys() & set(shown) for row in rows):
        lines.append(
            "± is half the 95 % interval, of shares in points: of the median over runs, or over scored windows for "
            "quality."
        )
    remarks = {
        f"{METRICS[key].title}: {row.notes[key]}."
        for row in rows
        for key in figures
        if row[key] is not None and METRICS[key].kind == "metric" and key in row.notes
    }
    lines += sorted(remarks)
    if claimed:
        lines.append("Claims are what others say of the framework at this precision, not measurements.")
    return lines


def _measured(rows: Sequence[Row], about: Sequence[About]) -> list[str]:
    versions = dict.fromkeys(
        f"{row['framework']} {row['framework_version']}" for row in rows if row["framework_version"]
    )
    lines = []
    for each in about:
        words = [f"Session {each.session}", *([each.started] if each.started else [])]
        words += [f"{key} {value}" for key, value in each.details.items()]
        lines.append(f"{', '.join(words)}, on {each.machine_name} (machine {each.machine_id}).")
    if versions:
        lines.append(f"Versions: {', '.join(versions)}.")
    return lines
