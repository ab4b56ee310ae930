"""Framework environments: pins, wheel builds, overrides.

Never imports a framework. `docs/environments.md` says what it promises.
"""

from __future__ import annotations

from harness.environment.build import Build
from harness.environment.manager import EnvironmentManager
from harness.environment.override import Override, check_overrides
from harness.environment.pip_run import Package
from harness.environment.record import Environment

__all__ = ["Build", "Environment", "EnvironmentManager", "Override", "Package", "check_overrides"]
