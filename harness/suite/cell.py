"""Cells: what one row of the table is about, with an id that stays.

Owns `Workload`, `Cell`, `PlannedCell` and `RunSettings`, and how a cell's id and name are made. Imports the standard
library and a label. Contract: the id is a hash of what identifies the cell and of nothing else; no version, no
machine and no count of runs is in it, and new kinds of settings leave the ids of cells that do not use them as they
are.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from harness.labels import device_label

#: What prompts are made of: uniform random token ids, or text.
Prompt = Literal["random", "text"]

#: A workload in one word, as in `Workload.__str__`.
WORKLOAD_PATTERN = (
    r"^pp([1-9][0-9]{0,7})(\+tg([0-9]{1,8}))?(@d([0-9]{1,8}))?(@t([1-9][0-9]{0,3}))?"
    r"(@c([1-9][0-9]{0,3}))?(@b([1-9][0-9]{0,3}))?(@text)?$"
)
_WORKLOAD = re.compile(WORKLOAD_PATTERN, re.ASCII)

#: What pytest's expressions cannot have in a word, and the hyphen that separates a name's parts.
_NOT_IN_NAME = re.compile(r"[^\w.+:\[\]\\/]")


@dataclass(frozen=True, slots=True, order=True)
class Workload:
    """How much is processed in one timed pass.

    Attributes:
        prompt_tokens: tokens of the timed prefill, at least 1.
        decode_tokens: timed single-token passes after it.
        depth: tokens already in the KV cache before the prefill.
        threads: compute threads; None: the machine's physical cores.
        concurrency: requests at the same time, each with a prompt of its own.
        prompt: ``random`` token ids, or ``text``: cut out of the calibration text.
        batch: sequences that each pass processes together; all other counts are of each of them.
    """

    prompt_tokens: int
    decode_tokens: int = 0
    depth: int = 0
    threads: int | None = None
    concurrency: int = 1
    prompt: Prompt = "random"
    batch: int = 1

    def __str__(self) -> str:
        """``pp512+tg128@d512@t4@c8@b2@text``; what is zero, one, random or not given is left out."""
        text = f"pp{self.prompt_tokens}"
        if self.decode_tokens:
            text += f"+tg{self.decode_tokens}"
        if self.depth:
            text += f"@d{self.depth}"
        if self.threads is not None:
            text += f"@t{self.threads}"
        if self.concurrency != 1:
            text += f"@c{self.concurrency}"
        text = text if self.batch == 1 else f"{text}@b{self.batch}"
        return text if self.prompt == "random" else f"{text}@{self.prompt}"

    @classmethod
    def parse(cls, text: str) -> Workload:
        """The workload of one word.

        Raises:
            ValueError: not such a word; the message shows what one looks like.
        """
        match = _WORKLOAD.match(text.strip())
        if match is None:
            hint = ": every workload begins with a prompt" if text.strip().startswith("tg") else ""
            raise ValueError(f"{text!r} is no workload such as pp512+tg128 or pp512+tg128@d512{hint}")
        prompt, _, decode, _, depth, _, threads, _, concurrency, _, batch, text_prompt = match.groups()
        return cls(
            int(prompt),
            int(decode or 0),
            int(depth or 0),
            int(threads) if threads else None,
            int(concurrency or 1),
            "text" if text_prompt else "random",
            int(batch or 1),
        )


@dataclass(frozen=True, slots=True)
class Cell:
    """Framework x model x precision x device x workload.

    Attributes:
        framework: its id.
        model: its id in the model list.
        precision: canonical; follows from framework and recipe.
        recipe: the framework's own name; the precision's name where the framework has no such recipe.
        device: ``cpu``, ``gpu:0``, ``npu:0``.
        api: what drives it: ``cpu``, ``cuda``, ``vulkan`` ...
        workload: prompt, decode, depth and threads.
        options: the framework's own settings by its own names; treat as read-only.
    """

    framework: str
    model: str
    precision: str
    recipe: str
    device: str
    api: str
    workload: Workload
    options: Mapping[str, str] = field(default_factory=dict, hash=False)

    def identity(self) -> dict[str, Any]:
        """What the id is made of. What is 0, 1, random, the default or not given is left out."""
        workload: dict[str, int | str] = {
            "decode_tokens": self.workload.decode_tokens,
            "prompt_tokens": self.workload.prompt_tokens,
        }
        if self.workload.depth:
            workload["depth"] = self.workload.depth
        if self.workload.threads is not None:
            workload["threads"] = self.workload.threads
        if self.workload.concurrency != 1:
            workload["concurrency"] = self.workload.concurrency
        if self.workload.prompt != "random":
            workload["prompt"] = self.workload.prompt
        if self.workload.batch != 1:
            workload["batch"] = self.workload.batch
        identity: dict[str, Any] = {
            "api": self.api,
            "device": self.device,
            "framework": self.framework,
            "model": self.model,
            "recipe": self.recipe,
            "workload": workload,
        }
        if self.options:
            identity["options"] = dict(self.options)
        return identity

    @property
    def id(self) -> str:
        """The first 16 hexadecimal digits of the SHA-256 of the identity's canonical JSON.

        Canonical: UTF-8, keys sorted, no white space, no escapes but JSON's own.
        """
        text = json.dumps(self.identity(), sort_keys=True, separators=(",", ":"), ensure_ascii=False)
        return hashlib.sha256(text.encode()).hexdigest()[:16]

    @property
    def device_label(self) -> str:
        """``cpu``; ``gpu:0.vulkan`` where the API is not the device's own name."""
        return device_label(self.device, self.api)

    @property
    def name(self) -> str:
        """Readable name for pytest and ``-k``: parts joined by hyphens, each in characters that ``-k`` can read."""
        parts = [
            self.framework,
            self.model,
            self.precision,
            self.recipe,
            self.device_label,
            str(self.workload),
        ]
        parts += [f"{key}:{value}" for key, value in sorted(self.options.items())]
        return "-".join(_in_name(part) for part in parts)

    @property
    def parts(self) -> tuple[str, ...]:
        """The words by which ``-k`` finds the cell, beside its name."""
        return (
            self.framework, self.model, self.precision, self.recipe, self.device, self.api, str(self.workload), self.id,
            *(f"{key}:{value}" for key, value in sorted(self.options.items())),
        )  # fmt: skip


def _in_name(part: str) -> str:
    return _NOT_IN_NAME.sub("_", part.replace("@", "+"))


@dataclass(frozen=True, slots=True)
class RunSettings:
    """How the runs of one cell are made; no part of its identity.

    Attributes:
        repetitions: timed passes in a run.
        warmups: untimed passes first; with ``warmup_change`` at most.
        timeout_s: of one run.
        memory_limit_bytes: of one run, None: none.
        runs: processes; with ``runs_width`` at least.
        max_windows: windows that are scored at most, where that is not the suite's number; None: the suite's.
        runs_width: runs repeat until the 95 % interval of the median is this narrow: half of it as a share of the
            median. None: a fixed number.
        runs_max: runs at most, where there is a width.
        warmup_change: warm-up passes repeat until the newest lie within this share of each other; None: a fixed number.
        warmup_max_s: no further warm-up pass begins after this time, where there is a change.
    """

    repetitions: int
    warmups: int
    timeout_s: float
    memory_limit_bytes: int | None
    runs: int = 3
    max_windows: int | None = None
    runs_width: float | None = None
    runs_max: int | None = None
    warmup_change: float | None = None
    warmup_max_s: float | None = None


@dataclass(frozen=True, slots=True)
class PlannedCell:
    """A cell of a suite on this machine.

    Attributes:
        cell: what it is.
        reason: why it cannot run here; None: it will be run.
        expected_s: rough duration of its timed runs, for planning only; None where it will not run.
        settings: how its runs are made.
    """

    cell: Cell
    reason: str | None
    expected_s: float | None
    settings: RunSettings
