"""An explanation as a person reads it, in a terminal or as Markdown, and as JSON.

Owns the layout. Imports the table's formats and the safe text. Contract: nothing is shortened without saying where the
whole stands; text from a database is never taken for markup or for a terminal's commands.
"""

from __future__ import annotations

import textwrap
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from harness.explain.explanation import Explained, Explanation
from harness.explain.measured import number
from harness.frameworks import frameworks
from harness.safe_text import json_text, printable
from harness.store.origins import Origins
from harness.table.metrics import METRICS
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
    return (
        json_text(
            {
                "session": explanation.session_id,
                "rows": [
                    {
                        **{key: one.row[key] for key in keys},
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
    yield from origin_lines(explanation.origins)


def figure_lines(one: Explained, key: str, figure: Mapping[str, Any]) -> Iterator[Line]:
    """One figure of a row: a heading, and its definition, arithmetic, runs and what they rest on below it."""
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
    if "note" in figure:
        yield Line(f"note: {figure['note']}")
    yield from _behind(figure)


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


def origin_lines(origins: Origins) -> Iterator[Line]:
    """Where runs come from: sessions, machines, environments and artifacts, each below a heading."""
    yield Line("Where these runs come from (edgebench show ID shows each in full)", 1)
    yield Line("Runs", 2)
    for run_id, run in origins.runs.items():
        marks = [str(run["status"]), *([run["validity"]] if run["validity"] != "ok" else [])]
        yield Line(
            f"{run_id}: {run['kind']} run {run['run_index']}, attempt {run['attempt']}, {', '.join(marks)}, "
            f"{run['started_at']}, session {run['session_id']}, artifact {run['artifact_id'] or '–'}, "
            f"environment {run['environment_id'] or '–'}"
        )
    yield Line("Sessions", 2)
    for session_id, session in origins.sessions.items():
        yield from _session(session_id, session)
    yield Line("Machines", 2)
    for machine_id, machine in origins.machines.items():
        yield Line(
            f"{machine_id}: {machine['name']} ({machine['arch']}, {machine['logical_cores']} hardware threads, "
            f"{machine['memory_bytes']} bytes of memory)"
        )
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
