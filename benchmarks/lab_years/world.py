"""What is so in the laboratory: machines, cells, releases, and how fast each series is on every night.

Owns the choice of figures; imports numpy and the store's records. Contract: everything follows from `Size`; the steps
that were put into the series are all in `World.steps`, and nothing else moves a level at once.
"""

from __future__ import annotations

import hashlib
import itertools
import math
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

import numpy as np
from numpy.typing import NDArray

from harness.store import records

#: The last night; every database ends here, so that a longer one begins earlier.
LAST_NIGHT = datetime(2026, 11, 23, 2, 0, tzinfo=UTC)
#: Timed runs of a cell in a night.
RUNS_A_CELL = 3
_CELLS = (4, 48)
#: Share of nights that end early and are never taken up again, and of runs lost by it: see `nights`.
_LOST = 0.004

_MODELS = (("smollm2-135m-instruct", 134_515_008, 49152), ("qwen2.5-0.5b-instruct", 494_032_768, 151936))
_WORKLOADS = (("pp512+tg128", 512, 128), ("pp32+tg16", 32, 16))
_RECIPES = {
    "llamacpp": (("F16", "fp16"), ("Q4_K_M", "int4"), ("Q8_0", "int8")),
    "openvino": (("FP16", "fp16"), ("INT4_ASYM_g64", "int4"), ("INT8_ASYM", "int8")),
    "mlx": (("FP16", "fp16"), ("4bit_g64", "int4"), ("8bit_g64", "int8")),
    "olive": (("FP32", "fp32"), ("RTN_INT4_g32", "int4"), ("BLOCK_RTN_INT8_g32", "int8")),
}
_BITS = {"fp32": 32.0, "fp16": 16.0, "int8": 8.5, "int4": 4.9}
#: Distribution, first version's numbers, nights between two releases.
_DISTRIBUTIONS = {
    "llamacpp": ("llama-cpp-python", (0, 2, 11), 40),
    "openvino": ("openvino", (2021, 1, 0), 110),
    "mlx": ("mlx", (0, 1, 0), 60),
    "olive": ("olive-ai", (0, 1, 0), 120),
}
#: Releases between two that make other bytes of an artifact.
_REMADE_EVERY = 4
_PROCESSORS = (
    ("AMD EPYC 7B13", 8, 32, "powercap"), ("Intel Core i5-1240P", 12, 16, "powercap"),
    ("Raspberry Pi 5 Model B", 4, 8, None), ("Ampere Altra", 32, 64, None),
)  # fmt: skip
METRICS = ("prefill_s", "decode_s")


@dataclass(frozen=True, slots=True)
class Size:
    """What was asked for. Everything follows from it."""

    runs: int = 1_000_000
    samples_per_run: int = 10
    machines: int = 4
    years: float = 10.0
    seed: int = 0

    def __post_init__(self) -> None:
        if min(self.runs, self.samples_per_run, self.machines) < 1 or not 0 < self.years <= 100:
            raise ValueError(f"no laboratory has this size: {self}")


@dataclass(frozen=True, slots=True)
class Release:
    """One version of a framework, in use from a night on; ``epoch`` counts the releases that change artifacts."""

    version: str
    night: int
    epoch: int
    environment: records.EnvironmentRecord


@dataclass(frozen=True, slots=True)
class Step:
    """A level that changes at once: ``ratio`` is seconds after over seconds before, ``cause`` None: unexplained.

    ``session_index`` counts the planned sessions of the machine from 0; the first one at the new level.
    """

    machine: int
    cell: int
    metric: str
    session_index: int
    ratio: float
    cause: str | None


@dataclass(slots=True)
class World:
    """The laboratory. Levels are natural logarithms of seconds: float64[machines, cells, nights] by metric."""

    size: Size
    began: list[datetime]
    machines: list[records.MachineRecord]
    meters: list[str | None]
    models: list[records.ModelRecord]
    vocabulary: dict[str, int]
    cells: list[records.CellRecord]
    skipped: records.CellRecord
    references: dict[str, records.CellRecord]
    releases: dict[str, list[Release]]
    levels: dict[str, NDArray[np.float64]] = field(default_factory=dict)
    steps: list[Step] = field(default_factory=list)
    #: By machine: nights on which its system was updated, the first one being night 0.
    updates: list[list[int]] = field(default_factory=list)

    @property
    def nights(self) -> int:
        """How many nights there are, each with a session of every machine."""
        return len(self.began)

    def release(self, framework: str, night: int) -> Release:
        """What a framework's version was on a night."""
        return next(one for one in reversed(self.releases[framework]) if one.night <= night)

    def artifact(self, cell: records.CellRecord, epoch: int) -> str:
        """The id of the artifact that a cell has from one epoch of its framework's releases to the next."""
        return sha(f"artifact {self.size.seed} {cell.model} {cell.framework} {cell.recipe} {epoch}")

    def weight_bytes(self, cell: records.CellRecord) -> int:
        """Bytes of the cell's weights."""
        parameters = next(count for name, count, _ in _MODELS if name == cell.model)
        return int(parameters * _BITS[cell.precision] / 8)


def sha(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


def make_world(size: Size) -> World:
    """The laboratory of a size."""
    wanted_nights = math.ceil(size.years * 365.25)
    cells = _cells()
    count = math.ceil(size.runs / (size.machines * wanted_nights * RUNS_A_CELL))
    cells = cells[: min(max(count, _CELLS[0]), _CELLS[1], len(cells))]
    a_session = len(cells) * RUNS_A_CELL
    nights = max(1, math.ceil(size.runs * (1 + _LOST) / (size.machines * a_session)))
    # Fewer runs than nights can hold: the nights lie further apart, and the years stay. More: so do the years not.
    apart = timedelta(days=max(1, round(size.years * 365.25 / nights)))
    first = LAST_NIGHT - (nights - 1) * apart
    rng = np.random.default_rng([size.seed, 1])
    world = World(
        size=size,
        began=[first + night * apart for night in range(nights)],
        machines=_machines(size.machines),
        meters=[_PROCESSORS[number % len(_PROCESSORS)][3] for number in range(size.machines)],
        models=[
            records.ModelRecord(name, f"pypi:{name}", sha(name), "llama", "Apache-2.0", parameters)
            for name, parameters, _ in _MODELS
        ],
        vocabulary={name: width for name, _, width in _MODELS},
        cells=cells,
        skipped=_cell(_MODELS[0][0], "openvino", "INT4_ASYM_g64", "int4", _WORKLOADS[0], device="npu:0"),
        references={
            name: _cell(name, "llamacpp", "F32", "fp32", _WORKLOADS[0])
            for name in dict.fromkeys(cell.model for cell in cells)
        },
        releases={name: _releases(name, nights, apart, rng) for name in _RECIPES},
    )
    _set_levels(world, rng)
    return world


def _cells() -> list[records.CellRecord]:
    """All that can be, the half precisions of every framework first: without them there is no speed-up."""
    made = []
    for workload, (model, _, _) in itertools.product(_WORKLOADS, _MODELS):
        for place in range(3):
            for framework, recipes in _RECIPES.items():
                made.append(_cell(model, framework, *recipes[place], workload))
    return made


def _cell(
    model: str,
    framework: str,
    recipe: str,
    precision: str,
    workload: tuple[str, int, int],
    device: str = "cpu",
) -> records.CellRecord:
    name, prompt, decode = workload
    api = device.partition(":")[0]
    return records.CellRecord(framework, model, precision, recipe, device, api, name, prompt, decode)


def _machines(count: int) -> list[records.MachineRecord]:
    made = []
    for number in range(count):
        processor, cores, memory_gib, _ = _PROCESSORS[number % len(_PROCESSORS)]
        again = number // len(_PROCESSORS)
        model = processor if not again else f"{processor} rev {again + 1}"
        arch = "x86_64" if memory_gib in (32, 16) else "aarch64"
        made.append(records.MachineRecord(model, arch, cores, cores, memory_gib * 2**30, sockets=1))
    return made


def _releases(framework: str, nights: int, apart: timedelta, rng: np.random.Generator) -> list[Release]:
    distribution, (major, minor, patch), every = _DISTRIBUTIONS[framework]
    gap = max(2.0, every / apart.days)
    made: list[Release] = []
    night = 0
    while night < nights:
        number = len(made)
        version = f"{major}.{minor + (patch + number) // 40}.{(patch + number) % 40}"
        packages = [
            records.PackageRecord(distribution, version, "sha256:" + sha(f"{distribution} {version}")),
            records.PackageRecord(
                "numpy", f"1.{21 + number // 8}.0", "sha256:" + sha(f"numpy {number // 8}")
            ),
        ]
        environment = records.EnvironmentRecord(framework, "cpu", "3.11.7", packages)
        made.append(Release(version, night, number // _REMADE_EVERY, environment))
        night += max(1, round(gap * rng.uniform(0.5, 1.5)))
    return made


def _set_levels(world: World, rng: np.random.Generator) -> None:
    """Base, slow drift, seasons and steps of every series."""
    shape = (len(world.machines), len(world.cells), world.nights)
    years = np.array([(night - LAST_NIGHT) / timedelta(days=365.25) for night in world.began])
    for metric in METRICS:
        base = np.empty(shape[:2])
        for (machine, record), (number, cell) in itertools.product(
            enumerate(world.machines), enumerate(world.cells)
        ):
            base[machine, number] = math.log(_seconds(metric, record, cell, world.weight_bytes(cell)))
        base += rng.normal(0.0, 0.15, shape[:2])
        slope = np.where(rng.random(shape[:2]) < 0.2, rng.normal(0.0, 0.01, shape[:2]), 0.0)
        season = np.abs(rng.normal(0.0, 0.003, shape[:2]))
        turn = rng.uniform(0.0, 2 * np.pi, (shape[0], 1, 1))
        world.levels[metric] = (
            base[:, :, None]
            + slope[:, :, None] * years
            + season[:, :, None] * np.sin(2 * np.pi * years + turn)
        )
    _step_with_releases(world, rng)
    _step_with_updates(world, rng)
    _step_unexplained(world, rng)
    world.steps.sort(key=lambda one: (one.session_index, one.machine, one.cell, one.metric))


def _seconds(
    metric: str, machine: records.MachineRecord, cell: records.CellRecord, weight_bytes: int
) -> float:
    """An order of magnitude: decode is bound by memory, prefill by arithmetic."""
    factor = {"llamacpp": 1.0, "openvino": 1.2, "mlx": 2.0, "olive": 1.4}[cell.framework]
    cores = machine.physical_cores or 1
    if metric == "decode_s":
        return factor * cell.decode_tokens * weight_bytes / (4e9 * math.sqrt(cores))
    return factor * cell.prompt_tokens * 2 * weight_bytes * 8 / (40e9 * cores * _BITS[cell.precision])


def _ratio(rng: np.random.Generator) -> float:
    """Of a step: 3 to 30 %, worse as often as better."""
    size = math.exp(rng.uniform(math.log(0.03), math.log(0.30)))
    return 1 + size if rng.random() < 0.5 else 1 / (1 + size)


def _step(
    world: World, machine: int, cell: int, metric: str, night: int, ratio: float, cause: str | None
) -> None:
    if not 0 < night < world.nights:
        return
    world.levels[metric][machine, cell, night:] += math.log(ratio)
    world.steps.append(Step(machine, cell, metric, night, ratio, cause))


def _step_with_releases(world: World, rng: np.random.Generator) -> None:
    """A quarter of the releases change one recipe's speed, on every machine alike."""
    for framework, releases in world.releases.items():
        for release in releases[1:]:
            if rng.random() >= 0.25:
                continue
            recipe = _RECIPES[framework][rng.integers(3)][0]
            metric, ratio = METRICS[rng.integers(len(METRICS))], _ratio(rng)
            cause = f"{framework} {release.version}"
            for machine, number in itertools.product(range(len(world.machines)), range(len(world.cells))):
                cell = world.cells[number]
                if (cell.framework, cell.recipe) == (framework, recipe):
                    _step(world, machine, number, metric, release.night, ratio, cause)


def _step_with_updates(world: World, rng: np.random.Generator) -> None:
    """A fifth of a machine's system updates change all of its cells."""
    apart = max(1, (world.began[-1] - world.began[0]).days // max(1, world.nights - 1))  # days
    for machine in range(len(world.machines)):
        nights = [0]
        while nights[-1] < world.nights:
            nights.append(nights[-1] + max(3, round(200 / apart * rng.uniform(0.6, 1.4))))
        world.updates.append(nights[:-1])
        for update in world.updates[machine][1:]:
            if rng.random() >= 0.2:
                continue
            ratio = _ratio(rng)
            for number, metric in itertools.product(range(len(world.cells)), METRICS):
                _step(world, machine, number, metric, update, ratio, f"system update of machine {machine}")


def _step_unexplained(world: World, rng: np.random.Generator) -> None:
    """Three in ten series have one that no version explains."""
    for machine, number in itertools.product(range(len(world.machines)), range(len(world.cells))):
        if rng.random() < 0.3:
            metric, night = METRICS[rng.integers(len(METRICS))], int(rng.integers(1, max(2, world.nights)))
            _step(world, machine, number, metric, night, _ratio(rng), None)


def labels(world: World, session_ids: dict[tuple[int, int], str]) -> dict[str, Any]:
    """What was put in, ready for JSON: the truth that a search for change points is held against.

    Args:
        world: the laboratory.
        session_ids: by (machine, night).
    """
    return {
        "made_by": "benchmarks/make_database.py",
        "runs": world.size.runs,
        "samples_per_run": world.size.samples_per_run,
        "machines": [one.id for one in world.machines],
        "years": world.size.years,
        "seed": world.size.seed,
        "sessions_a_machine": world.nights,
        "cells": [one.id for one in world.cells],
        "steps": [
            {
                "machine_id": world.machines[one.machine].id,
                "cell_id": world.cells[one.cell].id,
                "metric": one.metric,
                "session_index": one.session_index,
                "session_id": session_ids[one.machine, one.session_index],
                "ratio": one.ratio,
                "cause": one.cause,
            }
            for one in world.steps
        ],
    }
