"""Where one run is made: what whoever carries it out is given."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from harness.machine import RunWatch
from harness.runner.execute import Limits
from harness.runner.launch import Launch
from harness.worker.api import LoadSpec


@dataclass(frozen=True, slots=True)
class Workplace:
    """A run's worker and its surroundings.

    Attributes:
        launch: how to start the framework's worker.
        load: what it loads.
        limits: what the run may take.
        log: file for what the worker prints.
        watch: reads the machine's state around the work.
    """

    launch: Launch
    load: LoadSpec
    limits: Limits
    log: Path
    watch: RunWatch
