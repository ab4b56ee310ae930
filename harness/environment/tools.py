"""Programs that are no framework but need an environment of their own.

Owns their pins. Imports only the worker half's declarations. Contract: a tool is never installed into the user's
environment nor into a framework's.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from harness.worker.api import Backend, Requirements


@dataclass(frozen=True, slots=True)
class Tool:
    """What the environments' manager must know of a tool: the same that it reads from a backend's class."""

    framework: str
    title: str
    requirements: Requirements


#: Drives evaluation tasks. Its tasks and its arithmetic are part of a result: the version is pinned exactly.
LM_EVAL = Tool(
    framework="lm-eval",
    title="lm-eval",
    requirements=Requirements(packages=("lm-eval==0.4.13",), import_name="lm_eval", lock="lm-eval.txt"),
)

TOOLS: Mapping[str, Tool] = {LM_EVAL.framework: LM_EVAL}

#: Whatever has an environment.
Tenant = type[Backend] | Tool
