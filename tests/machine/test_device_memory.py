"""Device memory of processes, on a recorded NVML and recorded trees."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from harness.machine.device_memory import device_memory, shares_host_memory

CUDA = {"id": "gpu:0", "api": "cuda", "name": "NVIDIA RTX"}


class FakeNvml:
    """Plays pynvml: for each card, memory by process that computes and by process that draws."""

    class NVMLError(Exception):
        """Any failure of NVML."""

    def __init__(self, *cards: tuple[Mapping[int, int | None], Mapping[int, int | None]], fails: str = ""):
        self._cards = cards
        self._fails = fails
        self.open = 0

    def nvmlInit(self) -> None:  # noqa: N802
        if self._fails == "init":
            raise self.NVMLError("Driver Not Loaded")
        self.open += 1

    def nvmlShutdown(self) -> None:  # noqa: N802
        self.open -= 1

    def nvmlDeviceGetCount(self) -> int:  # noqa: N802
        return len(self._cards)

    def nvmlDeviceGetHandleByIndex(self, index: int) -> int:  # noqa: N802
        return index

    def _listed(self, of_card: Mapping[int, int | None]) -> list[Any]:
        if self._fails == "list":
            raise self.NVMLError("Not Supported")
        return [type("P", (), {"pid": pid, "usedGpuMemory": used})() for pid, used in of_card.items()]

    def nvmlDeviceGetComputeRunningProcesses(self, handle: int) -> list[Any]:  # noqa: N802
        return self._listed(self._cards[handle][0])

    def nvmlDeviceGetGraphicsRunningProcesses(self, handle: int) -> list[Any]:  # noqa: N802
        return self._listed(self._cards[handle][1])


def test_the_runs_processes_are_summed_over_all_cards_and_others_left_out(tmp_path: Path) -> None:
    nvml = FakeNvml(({10: 500, 99: 7}, {}), ({11: 30}, {10: 4}))
    found = device_memory([10, 11], CUDA, root=tmp_path, nvml=nvml)
    assert (found.device_bytes, found.shared) == (534, False)
    assert found.note.startswith("NVML")
    assert nvml.open == 0


def test_a_process_that_computes_and_draws_counts_once(tmp_path: Path) -> None:
    nvml = FakeNvml(({10: 500}, {10: 500}))
    assert device_memory([10], CUDA, root=tmp_path, nvml=nvml).device_bytes == 500


@pytest.mark.parametrize(
    ("nvml", "reason"),
    [
        (FakeNvml(({10: None}, {})), "without its memory"),
        (FakeNvml(({77: 5}, {})), "none of the run's processes"),
        (FakeNvml(({10: 5}, {}), fails="init"), "Driver Not Loaded"),
        (FakeNvml(({10: 5}, {}), fails="list"), "Not Supported"),
    ],
    ids=["windows", "container", "no driver", "refused"],
)
def test_what_nvml_does_not_tell_is_missing_with_the_reason(
    nvml: FakeNvml, reason: str, tmp_path: Path
) -> None:
    found = device_memory([10], CUDA, root=tmp_path, nvml=nvml)
    assert found.device_bytes is None
    assert reason in found.note
    assert nvml.open == 0


@pytest.mark.parametrize(
    ("device", "word"),
    [
        ({"id": "cpu", "api": "cpu"}, "CPU"),
        ({"id": "gpu:0", "api": "metal"}, "Apple"),
        ({"id": "npu:0", "api": "qnn-htp"}, "Hexagon"),
        ({"id": "npu:0", "api": "qnn-htp-emulator", "emulated": True}, "emulated"),
    ],
)
def test_devices_without_memory_of_their_own_are_labelled(
    device: dict[str, Any], word: str, tmp_path: Path
) -> None:
    found = device_memory([10], device, root=tmp_path, nvml=FakeNvml(({10: 5}, {})))
    assert (found.device_bytes, found.shared) == (None, True)
    assert word in found.note


def test_a_jetsons_gpu_is_labelled_though_it_speaks_cuda(tmp_path: Path) -> None:
    (tmp_path / "proc/device-tree").mkdir(parents=True)
    (tmp_path / "proc/device-tree/compatible").write_bytes(b"nvidia,p3768\0nvidia,tegra234\0")
    assert "Jetson" in (shares_host_memory(CUDA, tmp_path) or "")


def _card(root: Path, place: str, vendor: str) -> None:
    folder = root / "sys/bus/pci/devices" / place
    folder.mkdir(parents=True)
    (folder / "class").write_text("0x030000\n")
    (folder / "vendor").write_text(f"{vendor}\n")


def test_intels_integrated_gpu_is_labelled_unless_there_is_another(tmp_path: Path) -> None:
    device = {"id": "gpu:0", "api": "opencl", "name": "Intel(R) Graphics"}
    _card(tmp_path, "0000:00:02.0", "0x8086")
    assert "integrated" in (shares_host_memory(device, tmp_path) or "")
    _card(tmp_path, "0000:03:00.0", "0x8086")
    assert shares_host_memory(device, tmp_path) is None
    found = device_memory([10], device, root=tmp_path)
    assert (found.device_bytes, found.shared) == (None, None)
    assert "opencl" in found.note
