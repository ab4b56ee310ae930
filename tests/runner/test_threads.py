"""What a run asks for: the workload's number, the framework's own setting, or the session's."""

from __future__ import annotations

import pytest

from harness.backends.llamacpp import LlamaCpp
from harness.backends.openvino import OpenVINO
from harness.runner.threads import asked_threads
from harness.suite import Cell, Workload
from harness.worker.api import Backend


@pytest.mark.parametrize(
    ("backend", "of_workload", "options", "asked"),
    [
        (OpenVINO, None, {}, 8),
        (OpenVINO, None, {"INFERENCE_NUM_THREADS": "3"}, 3),
        (OpenVINO, 2, {}, 2),
        # Both, and they differ: what is in force is then not what the workload says, which marks the run.
        (OpenVINO, 2, {"INFERENCE_NUM_THREADS": "3"}, 2),
        (OpenVINO, None, {"INFERENCE_NUM_THREADS": "0"}, 8),
        (OpenVINO, None, {"INFERENCE_NUM_THREADS": "many"}, 8),
        (LlamaCpp, None, {"INFERENCE_NUM_THREADS": "3"}, 8),
    ],
)
def test_the_users_own_number_is_what_is_asked_for(
    backend: type[Backend], of_workload: int | None, options: dict[str, str], asked: int
) -> None:
    workload = Workload(16, 4, threads=of_workload)
    cell = Cell("f", "m", "int8", "r", "cpu", "cpu", workload, options)
    assert asked_threads(cell, backend, 8) == asked
