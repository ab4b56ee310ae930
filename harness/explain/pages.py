"""An explanation as a person reads it, in a terminal or as Markdown, and as JSON.

Owns the layout. Imports the table's formats and the safe text. Contract: nothing is shortened without saying where the
whole stands; text from a database is never taken for markup or for a terminal's commands.
"""

from __future__ import annotations

import textwrap
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from harness.explain.explanation import Explained, Explanation
from harness.explain.measured import number
from harness.frameworks import frameworks
from harness.safe_text import json_text, printable
from harness.store.imports import SourceRecord
from harness.store.origins import Origins
from harness.table.imported import figure_text as imported_text
from harness.table.metrics import METRICS, significant
from harness.table.render_markdown import escape
from harness.table.view import figure_text

#: Repetitions of a run that are told on its line.
_REPETITIONS = 8


@dataclass(frozen=True, slots=True)
class Line:
    """A heading (level 1 to 3), or text (level 0) so deep below it."""

    text: str
    level: int = 0
    depth: int = 0


def explanation_json(explanation: Explanation, keys: Sequence[str]) -> str:
    """The table's JSON, each row with its ``explain``; ``origins`` of all runs beside the rows."""
    origins = explanation.origins
    source = explanation.source
    return (
        json_text(
            {
                "session": explanation.session_id,
                "rows": [
                    {
                        **{key: one.row[key] for key in (keys if source is None else one.row.values)},
                        "explain": {
                            "cell_id": one.cell_id,
                            "figures": one.figures,
                            "run_ids": one.run_ids,
                        },
                    }
                    for one in explanation.rows
                ],
                "origins": {
                    name: getattr(origins, name)
                    for name in ("runs", "sessions", "machines", "environments", "artifacts")
                },
                **({} if source is None else {"source": asdict(source)}),
            }
        )
        + "\n"
    )


def explanation_text(
    explanation: Explanation, *, markdown: bool, width: int = 120, color: bool = False
) -> str:
    """The explanation for a person: headings, and what stands below them."""
    lines = list(_lines(explanation))
    return _markdown(lines) if markdown else _terminal(lines, width, color=color)


def _markdown(lines: Sequence[Line]) -> str:
    out: list[str] = []
    for line in lines:
        text = escape(printable(line.text))
        if line.level:
            out += ["", f"{'#' * (line.level + 2)} {text}", ""]
        else:
            out.append(f"{'  ' * line.depth}- {text}")
    return "\n".join(out).strip() + "\n"


def _terminal(lines: Sequence[Line], width: int, *, color: bool) -> str:
    bold, plain = ("\x1b[1m", "\x1b[0m") if color else ("", "")
    out: list[str] = []
    for line in lines:
        text = " ".join(printable(line.text).split())
        if line.level:
            out += [*([] if line.level == 3 else [""]), f"{bold}{text}{plain}"]
            continue
        indent = "  " * (line.depth + 1)
        # Ids and command lines are copied from here: never broken inside a word.
        out += textwrap.wrap(
            text, max(width, 40), initial_indent=indent, subsequent_indent=indent + "    ",
            break_long_words=False, break_on_hyphens=False,
        )  # fmt: skip
    return "\n".join(out).strip("\n") + "\n"


def _lines(explanation: Explanation) -> Iterator[Line]:
    if not explanation.rows:
        yield Line(f"session {explanation.session_id}: no row fits")
        return
    for one in explanation.rows:
        status = "" if one.row["status"] == "ok" else f", {one.row['status']}: {one.row['reason']}"
        yield Line(f"{one.label}, {one.row['model']}, {one.row['workload']} (cell {one.cell_id}){status}", 1)
        for key, figure in one.figures.items():
            yield from figure_lines(one, key, figure)
    yield from origin_lines(explanation.origins, explanation.source)


def figure_lines(one: Explained, key: str, figure: Mapping[str, Any]) -> Iterator[Line]:
    """One figure of a row: a heading, and its definition, arithmetic, runs and what they rest on below it."""
    if "file" in figure:
        yield from _imported_figure(one, key, figure)
        return
    value = figure["value"]
    if value in (None, []):
        yield Line(f"{figure['title']} ({key}): none: {figure['why_missing']}", 3)
        yield from _left_out(figure.get("left_out", {}), "left out")
        return
    raw = "" if key == "tasks" else f", exactly {value!r}{' ' + figure['unit'] if figure['unit'] else ''}"
    yield Line(f"{figure['title']} ({key}): {figure_text(one.row, key)}{raw}", 3)
    yield Line(f"definition: {figure['formula']}; from {figure['source']}")
    if "arithmetic" in figure:
        yield Line(f"here: {figure['arithmetic']}")
    if figure["interval"]:
        low, high = (METRICS[key].format(bound) for bound in figure["interval"])
        yield Line(f"95 % interval: {low} to {high}")
    if "standard_error" in figure:
        yield Line(f"standard error over windows: {significant(figure['standard_error'])}")
    if "note" in figure:
        yield Line(f"note: {figure['note']}")
    yield from _behind(figure)


def _imported_figure(one: Explained, key: str, figure: Mapping[str, Any]) -> Iterator[Line]:
    """A figure of another tool's: its definition, the stored samples, and where in the file they stand."""
    if figure["value"] in (None, []):
        yield Line(f"{figure['title']}: none: {figure['why_missing']}", 3)
        return
    if key == "tasks":
        yield Line(f"{figure['title']} ({key}): {figure_text(one.row, key)}", 3)
    else:
        statistic = figure["statistic"]
        yield Line(f"{key}: {imported_text(key, one.row['imported'][key])}, exactly {figure['value']!r}", 3)
        yield Line(f"definition: {figure['formula']}; from {figure['source']}")
        over = "" if statistic["n"] is None else f" over {statistic['n']}"
        yield Line(f"here: {figure['arithmetic']} (the {statistic['statistic']}{over})")
    place = figure["file"]["place"] or "it was imported before places were kept"
    field = "" if figure["file"]["field"] is None else f", field {figure['file']['field']}"
    yield Line(f"in the file: {place}{field}")
    samples = figure.get("samples", ())
    for sample in samples[:_REPETITIONS]:
        left_out = ", a warm-up: left out" if sample["warmup"] else ""
        yield Line(f"sample of repetition {sample['repetition']}: {sample['value']!r}{left_out}", depth=1)
    if len(samples) > _REPETITIONS:
        yield Line(f"and {len(samples) - _REPETITIONS} more: --format json", depth=1)
    if "numbers" in figure:
        yield Line(
            f"an array of {figure['numbers']} numbers: edgebench show {figure['run_ids'][0]} --json", depth=1
        )
    yield from _behind({**figure, "left_out": {}})


def _behind(figure: Mapping[str, Any]) -> Iterator[Line]:
    if "by_run" in figure:
        warmups = figure["warmups_left_out"]
        for run_id, value in figure["by_run"].items():
            count = warmups.get(run_id, 0)
            skipped = f"; {count} warm-up{'s' if count != 1 else ''} left out" if count else ""
            yield Line(f"run {run_id}: {number(value)}{_inputs(figure['inputs'][run_id])}{skipped}", depth=1)
    elif figure["run_ids"]:
        yield Line(f"run{'s' if len(figure['run_ids']) > 1 else ''} {', '.join(figure['run_ids'])}", depth=1)
    yield from _left_out(figure["left_out"], "left out")
    if "baseline_by_run" in figure:
        yield Line(f"against {figure['baseline']} (cell {figure['baseline_cell_id']}):")
        for run_id, value in figure["baseline_by_run"].items():
            yield Line(f"run {run_id}: {number(value)}", depth=1)
        yield from _left_out(figure["baseline_left_out"], "left out of the baseline")
    if figure.get("reference_run_ids"):
        yield Line(f"quality reference: run {', '.join(figure['reference_run_ids'])}", depth=1)
    if "corpus" in figure:
        corpus = figure["corpus"]
        yield Line(f"text: {corpus['name']} (SHA-256 {corpus['sha256']})", depth=1)
    if "artifact_id" in figure:
        yield Line(f"artifact {figure['artifact_id']}", depth=1)
    if "bench_id" in figure:
        yield Line(f"bench of the machine: {figure['bench_id']}", depth=1)
    for item in figure.get("items", ()):
        total = "" if item["items_sum"] is None else f", their sum {number(item['items_sum'])}"
        yield Line(
            f"{item['task']} {item['metric']}: {number(item['value'])} over {item['items']} items{total}",
            depth=1,
        )


def _left_out(runs: Mapping[str, str], what: str) -> Iterator[Line]:
    for run_id, why in runs.items():
        yield Line(f"{what}: run {run_id}: {why}", depth=1)


def _inputs(inputs: Mapping[str, Any]) -> str:
    """What a run's value comes from, on its line."""
    if repetitions := inputs.get("repetitions"):
        told = "; ".join(_repetition(one) for one in repetitions[:_REPETITIONS])
        more = len(repetitions) - _REPETITIONS
        return f" = over {len(repetitions)} repetitions: {told}" + (
            f"; and {more} more: --format json" if more > 0 else ""
        )
    parts = [_pairs(one) for one in inputs.get("readings", ())]
    if terms := inputs.get("terms"):
        parts.append(_pairs(terms))
    if not parts:
        return ""
    counts = f" ({inputs['counts']})" if "counts" in inputs else ""
    return f" from {'; '.join(parts)}{counts}"


def _repetition(one: Mapping[str, Any]) -> str:
    value = f" {number(one['value'])}" if one.get("value") is not None else ""
    parts = []
    for name, given in one["inputs"].items():
        if isinstance(given, Mapping):
            parts.append(f"{name}: {given['numbers']} numbers, sum {given['sum']}, last {given['last']}")
        else:
            parts.append(f"{name} {number(given)}")
    return f"#{one['repetition']}{value} ({', '.join(parts)})"


def _pairs(values: Mapping[str, Any]) -> str:
    told = []
    for name, value in values.items():
        if value is not None:
            told.append(f"{name} {number(value) if isinstance(value, int | float) else value}")
    return ", ".join(told)


# -- where the runs come from --------------------------------------------------------------------------------------


def origin_lines(origins: Origins, source: SourceRecord | None = None) -> Iterator[Line]:
    """Where runs come from: sessions, machines, environments and artifacts, each below a heading.

    Args:
        origins: of the runs.
        source: of an imported session; such runs have neither environment nor artifact here.
    """
    yield Line("Where these runs come from (edgebench show ID shows each in full)", 1)
    yield Line("Runs", 2)
    for run_id, run in origins.runs.items():
        marks = [str(run["status"]), *([run["validity"]] if run["validity"] not in ("ok", None) else [])]
        yield Line(
            f"{run_id}: {run['kind']} run {run['run_index']}, attempt {run['attempt']}, {', '.join(marks)}, "
            f"{run['started_at']}, session {run['session_id']}, artifact {run['artifact_id'] or '–'}, "
            f"environment {run['environment_id'] or '–'}"
        )
    yield Line("Sessions", 2)
    for session_id, session in origins.sessions.items():
        if source is None:
            yield from _session(session_id, session)
        else:
            yield from _imported_session(session_id, session, source)
    yield Line("Machines", 2)
    for machine_id, machine in origins.machines.items():
        yield Line(
            f"{machine_id}: {machine['name']} ({machine['arch']}, {machine['logical_cores']} hardware threads, "
            f"{machine['memory_bytes']} bytes of memory)"
        )
    if source is not None:
        return
    yield Line("Environments", 2)
    for environment_id, environment in origins.environments.items():
        yield from _environment(environment_id, environment)
    yield Line("Artifacts", 2)
    for artifact_id, artifact in origins.artifacts.items():
        yield from _artifact(artifact_id, artifact)


def _session(session_id: str, session: Mapping[str, Any]) -> Iterator[Line]:
    fits = "its stored text has it" if session["suite_text_matches"] else "its stored text has ANOTHER one"
    yield Line(f"{session_id}: {session['trigger']}, {session['status']}, begun {session['started_at']}")
    yield Line(f"machine {session['machine_id']}", depth=1)
    yield Line(
        f"suite {session['suite']}: SHA-256 {session['suite_sha256']} ({fits}: "
        f"edgebench show {session_id} --suite-text)",
        depth=1,
    )
    yield Line(f"commit {session['commit_sha'] or 'none: it was begun outside of a repository'}", depth=1)
    yield Line(f"command line: {' '.join(map(str, session['command_line']))}", depth=1)
    yield Line(f"edgebench {session['edgebench_version']}, seed {session['seed']}", depth=1)


def _imported_session(session_id: str, session: Mapping[str, Any], source: SourceRecord) -> Iterator[Line]:
    version = source.tool_version or "of a version that the file does not tell"
    begun = session["started_at"] or "at a time that the file does not tell"
    yield Line(f"{session_id}: imported, measured {begun}")
    yield Line(f"measured by {source.tool} {version}, not by edgebench", depth=1)
    yield Line(
        f"file {source.file_name}: {source.format}, {source.file_bytes} bytes, SHA-256 {source.file_sha256}",
        depth=1,
    )
    for other in source.other_files:
        yield Line(
            f"and {other.get('name')}: {other.get('bytes')} bytes, SHA-256 {other.get('sha256')}", depth=1
        )
    yield Line(f"machine {session['machine_id']}, as the file or --machine told", depth=1)
    if session["commit_sha"]:
        yield Line(f"commit {session['commit_sha']}, as the file told", depth=1)
    yield Line(f"imported by edgebench {session['edgebench_version']}", depth=1)


def _environment(environment_id: str, environment: Mapping[str, Any]) -> Iterator[Line]:
    packages = environment.get("packages", [])
    weighty = _weighty(str(environment["framework"]))
    told = [one for one in packages if canonicalize_name(one["name"]) in weighty]
    rest = len(packages) - len(told)
    yield Line(
        f"{environment_id}: {environment['framework']} {environment['role']} ({environment['variant']}), "
        f"Python {environment['python']}, {len(packages)} package{'' if len(packages) == 1 else 's'}"
    )
    for one in told:
        yield Line(f"{one['name']} {one['version']} ({one['hash'] or 'the installer told no hash'})", depth=1)
    if rest:
        yield Line(f"and {rest} more: edgebench show {environment_id}", depth=1)


def _weighty(framework: str) -> set[str]:
    """The packages that a framework asks for itself, and numpy; of a framework that is not here numpy alone."""
    names = {"numpy"}
    entry = frameworks(include_hidden=True).get(framework)
    if entry is not None and entry.error is None:
        requirements = entry.backend.requirements
        for each in (requirements, requirements.converter):
            if each is not None:
                names |= {canonicalize_name(Requirement(text).name) for text in each.packages}
    return names


def _artifact(artifact_id: str, artifact: Mapping[str, Any]) -> Iterator[Line]:
    size = "" if artifact.get("weight_bytes") is None else f", {artifact['weight_bytes']} weight bytes"
    yield Line(f"{artifact_id}{size}")
    for file in artifact.get("files", ()):
        yield Line(f"{file.get('path')}: SHA-256 {file.get('sha256')}", depth=1)
    for step in artifact["chain"]:
        yield from _step(step)


def _step(step: Mapping[str, Any]) -> Iterator[Line]:
    if "ends" in step:
        yield Line(f"artifact {step['artifact_id']}: {step['ends']}", depth=1)
        return
    source = step["source_artifact_id"]
    parameters = ", ".join(f"{name}={value}" for name, value in step["parameters"].items()) or "none"
    where = f" in environment {step['environment_id']}" if step["environment_id"] else ""
    yield Line(
        f"artifact {step['artifact_id']} was made by {step['tool']} {step['tool_version']}{where} as "
        f"{step['framework']} {step['recipe']} on {step['made_at']} (making {step['lineage_id']}; parameters: "
        f"{parameters}) from {'artifact ' + source if source else 'the model file'}",
        depth=1,
    )
    model = step.get("model")
    if model is not None:
        yield Line(
            f"model {model['id']}: {model['name']}, SHA-256 {model['sha256']}, licence {model['licence'] or '–'}, "
            f"source {model['source']}",
            depth=1,
        )
