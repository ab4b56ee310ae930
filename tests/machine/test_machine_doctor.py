"""`harness.machine.doctor`: every entry is there, or has a reason and a next step."""

from __future__ import annotations

import json
from pathlib import Path

from harness.backends.fake import Fake
from harness.machine.doctor import DoctorReport, EnvironmentFacts, doctor
from harness.worker import api


class NoNvml:
    """NVML without a library."""

    class NVMLError(Exception):
        """Any failure."""

    @classmethod
    def nvmlInit(cls) -> None:  # noqa: N802
        raise cls.NVMLError("no library")


class Here(Fake):
    """A framework that runs on every CPU, and could on a GPU."""

    framework = "here"
    title = "Here"
    known_devices = (("cpu", "cpu"), ("gpu:0", "vulkan"))


class Elsewhere(Fake):
    """A framework for another system."""

    framework = "elsewhere"
    title = "Elsewhere"
    known_devices = (("gpu:0", "directml"),)


FRAMEWORKS: dict[str, type[api.Backend]] = {"here": Here, "elsewhere": Elsewhere}


def look(root: Path, **environments: EnvironmentFacts) -> DoctorReport:
    return doctor(
        {"here": Here, "elsewhere": Elsewhere},
        environments,
        cache=root / "cache",
        root=root,
        nvml=NoNvml,
        watch_s=0.01,
    )


def test_whatever_is_missing_has_a_reason_and_a_next_step(tmp_path: Path) -> None:
    report = look(tmp_path)
    frameworks = [device for each in report.frameworks for device in each.devices]
    environments = [each.environment for each in report.frameworks]
    for entry in [*report.devices, *report.meters, *report.host, *frameworks, *environments]:
        assert entry.present or (entry.reason and entry.next_step), entry


def test_a_framework_is_available_where_one_of_its_devices_can_be_tried(tmp_path: Path) -> None:
    here, elsewhere = look(tmp_path).frameworks
    assert here.available
    assert [each.present for each in here.devices] == [True, False]
    assert here.environment.next_step == "edgebench env make here"
    assert not elsewhere.available
    assert elsewhere.devices[0].reason == "no machine has a fake NPU"


def test_a_made_environment_shows_its_versions(tmp_path: Path) -> None:
    here, _ = look(tmp_path, here=EnvironmentFacts(True, {"here": "1.0"})).frameworks
    assert here.environment.present
    assert here.environment.detail == "here 1.0"


def test_the_report_is_json_and_creates_nothing(tmp_path: Path) -> None:
    text = json.dumps(look(tmp_path).to_dict())
    assert {"machine", "state", "devices", "meters", "frameworks", "host", "harms"} == set(json.loads(text))
    assert list(tmp_path.iterdir()) == []
