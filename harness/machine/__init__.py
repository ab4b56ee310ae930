"""What this machine is, its state during a run, and the doctor's report.

`identity` says what the machine is, `state` what can change between sessions, `accelerators` what it can compute on,
`watch` what could have spoiled a run, `validity` whether it did, `doctor` puts it together for a person. Imports psutil
and nothing heavier; `doctor` is imported by who needs it.
"""

from harness.machine.accelerators import Accelerator, find_accelerators, host
from harness.machine.identity import Machine, describe_machine, physical_cores
from harness.machine.state import describe_session_state
from harness.machine.validity import LIMITS, Limits, verdict
from harness.machine.watch import RunWatch, Window

__all__ = [
    "LIMITS",
    "Accelerator",
    "Limits",
    "Machine",
    "RunWatch",
    "Window",
    "describe_machine",
    "describe_session_state",
    "find_accelerators",
    "host",
    "physical_cores",
    "verdict",
]
