"""``mlx_lm.benchmark``: the text that it prints.

Owns what its lines mean. The text has neither the model, nor a version, nor the device; ``--model`` says which model it
was. Contract: every trial is a repetition; lines that are none of the tool's are kept.
"""

from __future__ import annotations

import re
from typing import Any

from harness.importing.document import Document
from harness.importing.fields import GB, Fields
from harness.importing.registry import Format
from harness.importing.result import Contents, Result, Statistic

_TIMING = re.compile(r"^Timing with (prompt_tokens=\d+(?:, \w+=\d+)*)\.?\s*$", re.MULTILINE)
_TRIAL = re.compile(r"^Trial (\d+):\s+(\S.*?)\s*$")
_AVERAGES = re.compile(r"^Averages:\s+(\S.*?)\s*$")
_FIGURE = re.compile(r"(\w+)=(\S+?)(?:,\s*|\s*$)")

#: The tool's name of a figure: ours with its unit, and the factor.
_METRICS = {
    "prompt_tps": ("prompt_tps", 1.0),
    "generation_tps": ("generation_tps", 1.0),
    "peak_memory": ("peak_memory_bytes", GB),
    "total_time": ("total_s", 1.0),
}

_DEFINITIONS = {
    "prompt_tps": "prompt tokens over the time to the first token: sampling it is in it, and where MLX waits before it"
    " returns (on a CPU) most of one decode step; edgebench's prefill is the forward pass of the prompt alone",
    "generation_tps": "all N generated tokens over the time from the first to the last, which"
    " holds N - 1 steps; sampling"
    " is in it. edgebench's decode_tps counts forward passes; its stream_tps is (N - 1) over that time",
    "peak_memory_bytes": "peak of MLX's own allocator since the process began, not of the"
    " process; three decimals of GB",
    "total_s": "wall time of a whole trial, prompt and generation",
}


class MlxBenchmark(Format):
    """What it prints, with or without what a terminal had around it."""

    tool = "mlx-lm"
    files = "text"

    def recognise(self, document: Document) -> bool:
        begin = document.data[: 2**20].decode("utf-8-sig", errors="replace")
        return (
            _TIMING.search(begin) is not None and re.search(r"^Trial \d+:", begin, re.MULTILINE) is not None
        )

    def read(self, document: Document) -> Contents:
        results: list[Result] = []
        block: _Block | None = None
        others: list[str] = []
        for number, line in enumerate(document.text.splitlines(), 1):
            if match := _TIMING.match(line):
                results += [block.result()] if block else []
                block = _Block(document, number, dict(_FIGURE.findall(match[1])))
            elif match := _TRIAL.match(line):
                if block is None:
                    document.refuse(f"line {number}", "a trial before the line that says what is timed")
                block.add(number, int(match[1]), match[2])
            elif match := _AVERAGES.match(line):
                if block is not None:
                    block.averages = (number, match[1])
            elif line.strip():
                others.append(line)
        if block is None:
            document.refuse("", "no line of it says what is timed (`Timing with prompt_tokens=...`)")
        results.append(block.result())
        return Contents(
            format="text", version=None, results=results, definitions=_DEFINITIONS, document={"lines": others}
        )


class _Block:
    """What stands below one ``Timing with`` line."""

    def __init__(self, document: Document, line: int, shape: dict[str, str]) -> None:
        self._document = document
        self._shape = Fields(document, shape, f"line {line}")
        self._trials: list[Fields] = []
        self.averages: tuple[int, str] | None = None

    def add(self, line: int, number: int, figures: str) -> None:
        if number != len(self._trials) + 1:
            self._document.refuse(f"line {line}", f"trial {number} follows trial {len(self._trials)}")
        self._trials.append(self._fields(line, figures))

    def _fields(self, line: int, text: str) -> Fields:
        return Fields(self._document, dict(_FIGURE.findall(text)), f"line {line}")

    def result(self) -> Result:
        prompt = self._shape.whole("prompt_tokens")
        generated = self._shape.whole("generation_tokens", 0)
        batch = self._shape.whole("batch_size", 1)
        raw: dict[str, list[float | None]] = {}
        for key, (metric, factor) in _METRICS.items():
            if any(trial.has(key) for trial in self._trials):
                raw[metric] = [trial.positive(key) * factor for trial in self._trials]
        statistics: list[Statistic] = []
        record: dict[str, Any] = {
            **self._shape.values,
            "trials": [trial.values for trial in self._trials],
        }
        if self.averages is not None:
            averages = self._fields(*self.averages)
            record["averages"] = averages.values
            if not raw:
                statistics = [
                    Statistic(metric, "mean", averages.positive(key) * factor)
                    for key, (metric, factor) in _METRICS.items()
                    if averages.has(key)
                ]
        if not raw and not statistics:
            self._shape.refuse("prompt_tokens", "no trial follows")
        text = f"pp{prompt}" + (f"+tg{generated}" if generated else "") + (f"@b{batch}" if batch != 1 else "")
        return Result(
            framework="mlx",
            model=None,
            workload=text,
            record=record,
            prompt_tokens=prompt,
            decode_tokens=generated,
            batch=batch,
            raw=raw,
            statistics=statistics,
            place=self._shape.place,
            fields={metric: key for key, (metric, _) in _METRICS.items()},
        )


FORMAT = MlxBenchmark()
