"""A suite's words for devices, and what they mean to each framework.

Owns the mapping from ``cpu``, ``gpu``, ``gpu:1``, ``cuda``, ``vulkan:1``, ``gpu:0.vulkan`` to the (device, API)
pairs that a backend declares. Imports declarations only. Contract: every word gives at least one pair; a device
that the framework does not know comes back with the reason.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from harness.worker.api import Backend, Host

#: Words that are devices or APIs somewhere, known even where no installed framework has them, with their kind.
COMMON: Mapping[str, str] = {
    "cpu": "cpu", "gpu": "gpu", "npu": "npu", "cuda": "gpu", "rocm": "gpu", "metal": "gpu", "vulkan": "gpu",
    "opencl": "gpu", "sycl": "gpu", "directml": "gpu", "coreml": "npu", "qnn-htp": "npu", "qnn-gpu": "gpu",
    "qnn-cpu": "cpu", "rpc": "gpu", "auto": "cpu", "hetero": "cpu",
}  # fmt: skip

_WORD = re.compile(r"([a-z][a-z0-9_-]*)(?::([0-9]{1,3}))?(?:\.([a-z][a-z0-9_-]*))?", re.ASCII)


@dataclass(frozen=True, slots=True)
class Target:
    """Where a cell would run. ``reason`` says why it cannot, None: it may be tried."""

    device: str
    api: str
    reason: str | None


@dataclass(frozen=True, slots=True)
class DeviceWord:
    """A parsed word.

    Attributes:
        head: a kind of device, or an API.
        index: which one; None: the first.
        api: the API, where the word names it beside the device.
    """

    head: str
    index: int | None
    api: str | None

    @classmethod
    def parse(cls, text: str) -> DeviceWord | None:
        """The word, None where it is none."""
        match = _WORD.fullmatch(text.strip().lower())
        if match is None:
            return None
        head, index, api = match.groups()
        return cls(head, None if index is None else int(index), api)

    def names(self, device: str, api: str) -> bool:
        """Whether the word means this pair, whatever its index where the word has none."""
        kind, _, number = device.partition(":")
        if self.index is not None and self.index != int(number or 0):
            return False
        if self.api is not None:
            return self.head == kind and self.api == api
        return self.head in (kind, api)


def vocabulary(backends: Iterable[type[Backend]]) -> list[str]:
    """Every word that some framework understands, for messages."""
    words = {"all", *COMMON}
    for backend in backends:
        for device, api in backend.known_devices:
            words |= {device, device.partition(":")[0], api}
    return sorted(words)


def targets(text: str, backend: type[Backend], host: Host) -> list[Target]:
    """What a word means to a framework on this machine: one target, or all of them for ``all``.

    A kind of device that the framework reaches by several APIs is the first of them that is usable here, in the
    framework's own order; an API's name means that API alone.
    """
    if text.strip().lower() == "all":
        return [
            Target(device, api, backend.unavailable(host, device, api))
            for device, api in backend.known_devices
        ]
    word = DeviceWord.parse(text)
    if word is None:  # the words were checked before
        return [Target(text, text, f"{backend.title} has no {text} device")]
    any_index = DeviceWord(word.head, None, word.api)
    pairs = [pair for pair in backend.known_devices if any_index.names(*pair)]
    if word.index is None:
        # gpu:0 and gpu:1 by one API are one choice: the first.
        pairs = list({api: (device, api) for device, api in reversed(pairs)}.values())[::-1]
    else:
        pairs = list(dict.fromkeys((_numbered(device, word.index), api) for device, api in pairs))
    if not pairs:
        return [_unknown(text, word, backend)]
    tried = [Target(device, api, backend.unavailable(host, device, api)) for device, api in pairs]
    usable = next((target for target in tried if target.reason is None), None)
    if usable is not None or len(tried) == 1:
        return [usable or tried[0]]
    apis: dict[str | None, list[str]] = {}
    for target in tried:
        apis.setdefault(target.reason, []).append(target.api)
    reasons = "; ".join(f"{', '.join(names)}: {reason}" for reason, names in apis.items())
    return [Target(tried[0].device, tried[0].api, reasons)]


def _numbered(device: str, index: int) -> str:
    kind, colon, _ = device.partition(":")
    return f"{kind}:{index}" if colon or index else kind


def _unknown(text: str, word: DeviceWord, backend: type[Backend]) -> Target:
    kind = COMMON.get(word.head, word.head)
    device = kind if kind == "cpu" and not word.index else f"{kind}:{word.index or 0}"
    has = ", ".join(dict.fromkeys(api or device for device, api in backend.known_devices))
    return Target(
        device,
        word.api or word.head,
        f"{backend.title} has no {text.strip().lower()} device (it knows {has})",
    )
