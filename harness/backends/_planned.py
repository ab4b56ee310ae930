"""The base of frameworks that this version declares but does not run.

Owns: one reason, told the same way wherever such a framework is asked to do something. Never imports the lab half or a
framework. Contract: declarations are real (pins, recipes, devices), so that a plan names every cell and why it is
skipped; every call that would compute raises `Unsupported` with that reason.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar, NoReturn

from harness.worker.api import (
    Backend,
    Capability,
    Device,
    Host,
    Loaded,
    LoadSpec,
    Made,
    MakeRequest,
    Tokens,
    Unsupported,
)


class PlannedBackend(Backend):
    """A framework whose cells are planned and skipped. Subclasses only declare."""

    capabilities: ClassVar[frozenset[Capability]] = frozenset()

    @classmethod
    def unavailable(cls, host: Host, device: str, api: str) -> str | None:
        """What the platform lacks, else that this version does not run the framework; never None."""
        if (device.partition(":")[0], api) not in {
            (name.partition(":")[0], by) for name, by in cls.known_devices
        }:
            known = ", ".join(f"{name} by {by}" for name, by in cls.known_devices)
            return f"{cls.title} reaches {known}, not {device} by {api}"
        return cls.platform_reason(host, device, api) or cls.planned_reason()

    @classmethod
    def platform_reason(cls, host: Host, device: str, api: str) -> str | None:
        """Why this machine could not run one of `known_devices` in any version; None where it could."""
        del host, device, api
        return None

    @classmethod
    def planned_reason(cls) -> str:
        """Why nothing runs yet, wherever it is asked for."""
        return f"this version of edgebench plans {cls.title} but does not run it yet"

    def _refuse(self) -> NoReturn:
        raise Unsupported(self.planned_reason())

    def start(self) -> None:
        """Refuse."""
        self._refuse()

    def versions(self) -> Mapping[str, str]:
        """Refuse."""
        self._refuse()

    def devices(self) -> list[Device]:
        """Refuse."""
        self._refuse()

    def make(self, request: MakeRequest) -> Made:
        """Refuse."""
        del request
        self._refuse()

    def load(self, spec: LoadSpec) -> Loaded:
        """Refuse."""
        del spec
        self._refuse()

    def reset(self) -> None:
        """Refuse."""
        self._refuse()

    def prefill(self, tokens: Tokens) -> None:
        """Refuse."""
        del tokens
        self._refuse()

    def decode(self, token: int) -> None:
        """Refuse."""
        del token
        self._refuse()

    def sample(self) -> int:
        """Refuse."""
        self._refuse()

    def unload(self) -> None:
        """Refuse."""
        self._refuse()
