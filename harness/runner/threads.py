"""How many compute threads a run asks its framework for.

Owns that choice. Contract: pure; what the user said by name wins over the session's number.
"""

from __future__ import annotations

from harness.suite import Cell
from harness.worker.api import Backend


def asked_threads(cell: Cell, backend: type[Backend], default: int) -> int:
    """The workload's number, else that of the framework's own setting, else the session's.

    Args:
        cell: what is run.
        backend: of its framework.
        default: the session's.
    """
    if cell.workload.threads is not None:
        return cell.workload.threads
    told = None if backend.threads_option is None else cell.options.get(backend.threads_option)
    # Anything but a number is for the framework to refuse; 0 lets it choose.
    return int(told) if told is not None and told.isdecimal() and int(told) else default
