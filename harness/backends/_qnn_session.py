"""ONNX Runtime sessions on QNN's plug-in: devices, compiling for a SoC, and what really ran where.

Owns every call of onnxruntime and onnxruntime_qnn. Contract: a session computes on the device it was made for; nodes
that the plug-in did not take are counted, never hidden.
"""

from __future__ import annotations

import csv
import json
import platform
import sys
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from harness.backends._qnn_host import Arrays
from harness.worker.api import Device

#: Name -> QNN's number of the SoC, and the version of its Hexagon NPU. Without a number the emulator stands for the
#: oldest NPU, which computes no floats: a graph with float nodes then fails with QNN_COMMON_ERROR_MEM_ALLOC.
SOCS: Mapping[str, tuple[int, int]] = {
    "SM8550": (43, 73),
    "SM8650": (57, 75),
    "SM8750": (69, 79),
    "SC8380XP": (60, 73),
}

#: The plug-in's options that a cell may set, with the values that it takes.
OPTIONS: Mapping[str, tuple[str, ...]] = {
    "htp_performance_mode": (
        "default", "burst", "balanced", "high_performance", "sustained_high_performance", "low_balanced",
        "high_power_saver", "low_power_saver", "power_saver", "extreme_power_saver",
    ),
    "htp_graph_finalization_optimization_mode": ("0", "1", "2", "3"),
    "profiling_level": ("off", "basic", "detailed"),
}  # fmt: skip

#: Whether an emulated NPU, and one that prepares graphs for others, is in this platform's wheel.
EMULATES = (sys.platform, platform.machine()) == ("linux", "x86_64")


class Plugin:
    """The registered execution provider."""

    def __init__(self) -> None:
        import onnxruntime
        import onnxruntime_qnn

        self.ort: Any = onnxruntime
        self.qnn: Any = onnxruntime_qnn
        self.name = str(onnxruntime_qnn.get_ep_name())
        onnxruntime.register_execution_provider_library(self.name, onnxruntime_qnn.get_library_path())

    def devices(self) -> list[tuple[Device, Any]]:
        """What ONNX Runtime lists for the plug-in, each with ONNX Runtime's own object.

        A Hexagon is listed as an NPU. What is listed as a CPU can only be the emulator.
        """
        kinds = self.ort.OrtHardwareDeviceType
        found: list[tuple[Device, Any]] = []
        npus = 0
        for entry in self.ort.get_ep_devices():
            if entry.ep_name != self.name:
                continue
            driver = entry.ep_metadata.get("version")
            if entry.device.type == kinds.NPU:
                name = entry.device.metadata.get("Description", f"{entry.device.vendor} Hexagon NPU")
                found.append((Device(f"npu:{npus}", "qnn-htp", name, driver), entry))
                npus += 1
            elif entry.device.type == kinds.CPU and EMULATES:
                name = "Hexagon NPU, emulated on the CPU"
                found.append((Device("cpu", "qnn-htp-emulator", name, driver, emulated=True), entry))
        return found

    def options(self, soc: str | None) -> dict[str, str]:
        """The plug-in's options for the NPU of a SoC; None: the one that is there."""
        base = {
            "backend_path": str(self.qnn.get_qnn_htp_path()),
            # The NPU itself turns the graph's float inputs into integers and its outputs back: no node is off it.
            "offload_graph_io_quantization": "0",
            "enable_htp_fp16_precision": "1",
        }
        if soc is None:
            return base
        number, version = SOCS[soc]
        return base | {"soc_model": str(number), "htp_arch": str(version)}

    def session(
        self,
        graph: Path,
        device: Any,
        provider_options: Mapping[str, str],
        *,
        config: Mapping[str, str] | None = None,
        profile: Path | None = None,
    ) -> Any:
        """A session of ``graph`` on one of `devices`."""
        options = self.ort.SessionOptions()
        options.log_severity_level = 3
        for key, value in (config or {}).items():
            options.add_session_config_entry(key, value)
        if profile is not None:
            options.enable_profiling = True
            options.profile_file_prefix = str(profile)
        options.add_provider_for_devices([device], dict(provider_options))
        return self.ort.InferenceSession(str(graph), options)

    def compile(self, graph: Path, out: Path, device: Any, soc: str) -> dict[str, int]:
        """Write ``graph`` compiled for a SoC: ``out`` and its binary beside it.

        Args:
            graph: float or QDQ.
            out: an ONNX file with nothing but the compiled graph in it.
            device: of `devices`.
            soc: of `SOCS`.

        Returns:
            The number of nodes that each provider took.
        """
        config = {
            "ep.context_enable": "1",
            "ep.context_file_path": str(out),
            "ep.context_embed_mode": "0",
            "session.record_ep_graph_assignment_info": "1",
        }
        # Prepare only: nothing is loaded here, and the binary is the one that the SoC itself loads.
        wanted = self.options(soc) | {"enable_htp_prepare_only": "1"}
        session = self.session(graph, device, wanted, config=config)
        taken: Counter[str] = Counter()
        for part in session.get_provider_graph_assignment_info():
            taken[part.ep_name] += len(part.get_nodes())
        if not out.exists():
            raise RuntimeError(f"QNN wrote no compiled graph for {soc}")
        return dict(taken)


@dataclass(frozen=True, slots=True)
class PassTimes:
    """QNN's own figures of one pass over a graph.

    Attributes:
        execute_s: seconds in QNN.
        cycles: the NPU's cycles, None below the profiling level ``detailed``.
    """

    execute_s: float
    cycles: float | None


class Graph:
    """One loaded graph, its first pass profiled node by node.

    Args:
        plugin: registered.
        path: the graph, compiled or not.
        device: of `Plugin.devices`.
        provider_options: the plug-in's.
        fallback: whether nodes may be off the device (they are counted either way).
        work: a folder for profiles.
    """

    def __init__(
        self,
        plugin: Plugin,
        path: Path,
        device: Any,
        provider_options: Mapping[str, str],
        *,
        fallback: bool,
        work: Path,
    ) -> None:
        self._csv = work / f"{path.stem}.csv"
        self._plugin_name = plugin.name
        profiled = provider_options.get("profiling_level", "off") != "off"
        extra = {"profiling_file_path": str(self._csv)} if profiled else {}
        self._session = plugin.session(
            path,
            device,
            {**provider_options, **extra},
            config={"session.disable_cpu_ep_fallback": "0" if fallback else "1"},
            profile=work / path.stem,
        )
        self._names = [output.name for output in self._session.get_outputs()]
        self.options: Mapping[str, str] = self._session.get_provider_options().get(plugin.name, {})

    def __call__(self, feeds: Arrays) -> Arrays:
        """One pass; returns when its outputs are there."""
        return dict(zip(self._names, self._session.run(self._names, dict(feeds)), strict=True))

    def providers(self) -> Counter[str]:
        """Executed nodes by provider, of the passes so far; ends the profile."""
        return executed(Path(self._session.end_profiling()))

    def pass_times(self) -> list[PassTimes]:
        """QNN's own figures of every pass so far, oldest first; empty where its profile is off."""
        return read_times(self._csv) if self._csv.exists() else []


def executed(profile: Path) -> Counter[str]:
    """Nodes by provider in an ONNX Runtime profile, each counted once however often it ran."""
    nodes: dict[str, str] = {}
    for event in json.loads(profile.read_text(encoding="utf-8")):
        if event.get("cat") == "Node" and str(event.get("name", "")).endswith("_kernel_time"):
            nodes[event["name"]] = event["args"]["provider"]
    return Counter(nodes.values())


def read_times(profile: Path) -> list[PassTimes]:
    """Passes in a QNN profile: a row ``QNN (execute) time`` each, after a row of cycles where they were asked for."""
    found: list[PassTimes] = []
    cycles: float | None = None
    with profile.open(encoding="utf-8", newline="") as lines:
        for row in csv.DictReader(lines):
            message = row.get("Message")
            what = row["Event Identifier"]
            if what == "Accelerator (execute) time (cycles)":
                cycles = float(row["Time"])
            elif message == "EXECUTE" and what == "QNN (execute) time":
                found.append(PassTimes(float(row["Time"]) / 1e6, cycles))
                cycles = None
    return found
