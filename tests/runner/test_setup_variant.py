"""`harness.runner.setup.Workshop`: which environment a device's API asks for."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from harness.environment import EnvironmentManager
from harness.frameworks import framework
from harness.runner.progress import QuietProgress
from harness.runner.setup import Workshop


@pytest.mark.parametrize(
    ("api", "variant"), [("cpu", "cpu"), ("cuda", "cuda"), ("vulkan", "vulkan"), ("http", "cpu")]
)
def test_the_build_variant_is_the_devices_api_where_the_framework_has_one(
    api: str, variant: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[str] = []

    def ensure(self: EnvironmentManager, backend: Any, variant: str = "cpu", **more: Any) -> str:
        del self, backend, more
        asked.append(variant)
        return f"environment of {variant}"

    monkeypatch.setattr(EnvironmentManager, "ensure", ensure)
    workshop = Workshop(
        models={},
        entries={"llamacpp": framework("llamacpp")},
        cache_dir=tmp_path,
        threads=1,
        progress=QuietProgress(),
    )
    for _ in range(2):
        assert str(workshop.environment("llamacpp", api=api)) == f"environment of {variant}"
    assert asked == [variant]
