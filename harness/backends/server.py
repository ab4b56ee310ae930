"""HTTP servers that speak OpenAI's API, whatever runs behind them: declared, not run yet.

Owns: how a served model fits the harness's words. Never imports the lab half or a framework. Contract: see `_planned`.
A server made its own model: nothing is converted, and the precision of a cell is what the operator says was loaded,
so there is one recipe ``as-served-PRECISION`` for each canonical precision.
"""

from __future__ import annotations

from typing import ClassVar

from harness.backends._planned import PlannedBackend
from harness.worker.api import PRECISIONS, Recipe, Requirements


class Server(PlannedBackend):
    """A model behind an HTTP server; needs no packages, the client is in the standard library."""

    framework: ClassVar[str] = "server"
    title: ClassVar[str] = "HTTP server"
    requirements: ClassVar[Requirements] = Requirements(packages=(), import_name="http.client")
    recipes: ClassVar[tuple[Recipe, ...]] = tuple(
        Recipe(
            name=f"as-served-{precision}",
            precision=precision,
            made_from="model",
            tool="server",
            parameters={"claimed_precision": precision},
            default=True,
        )
        for precision in PRECISIONS
    )
    #: The device is the server's; a client sees it through HTTP only.
    known_devices: ClassVar[tuple[tuple[str, str], ...]] = (
        ("cpu", "http"),
        ("gpu:0", "http"),
        ("npu:0", "http"),
    )
