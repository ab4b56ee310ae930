"""What llama.cpp says in its log and nowhere else.

Owns the log callback and the reading of its lines. Imports the standard library. Contract: the lines are those of the
llama.cpp vendored in the pinned llama-cpp-python; what is not found is None or empty, never guessed.
"""

from __future__ import annotations

import collections
import os
import re
from collections.abc import Callable
from typing import Any

# enum ggml_log_level; the bindings' own table is one off for this version.
_LOG_DEBUG, _LOG_INFO, _LOG_WARN, _LOG_ERROR, _LOG_CONT = 1, 2, 3, 4, 5


class Log:
    """Receives llama.cpp's log: passes it on to stderr, keeps what was said and what went wrong.

    llama.cpp tells some things nowhere else: why a load failed, which buffers hold the weights, what an automatic
    setting became, how many tensors fell back to another type. Debug lines are dropped. llama.cpp writes nothing
    while it decodes, so the callback costs nothing there.
    """

    def __init__(self, make_callback: Callable[[Callable[..., None]], Any]) -> None:
        self._lines: list[str] = []
        self._problems: collections.deque[str] = collections.deque(maxlen=4)
        self._open = ""
        self._level = _LOG_INFO
        #: The C callback; lives as long as this object, which must outlive llama.cpp's use of it.
        self.callback = make_callback(self._receive)

    def clear(self) -> None:
        """Forget everything: what follows belongs to the next call."""
        self._lines.clear()
        self._problems.clear()
        self._open = ""

    @property
    def text(self) -> str:
        """Everything said since `clear`, without debug lines."""
        return "\n".join(self._lines)

    def problem(self, otherwise: str) -> str:
        """llama.cpp's last errors and warnings as one line; ``otherwise`` where it said nothing."""
        return "; ".join(self._problems) or otherwise

    def _receive(self, level: int, text: bytes, _user_data: object) -> None:
        if level != _LOG_CONT:
            self._level = level
        if self._level == _LOG_DEBUG:
            return
        os.write(2, text)
        # A line may come in pieces; it counts once it is whole.
        *whole, self._open = (self._open + text.decode(errors="replace")).split("\n")
        for line in filter(None, (part.strip() for part in whole)):
            self._lines.append(line)
            # Rules of "====" around a message say nothing.
            if self._level in (_LOG_WARN, _LOG_ERROR) and any(map(str.isalnum, line)):
                self._problems.append(line)


def buffer_bytes(log: str, kind: str) -> dict[str, int]:
    """Bytes per ggml buffer that llama.cpp reports, to its own resolution of 0.01 MiB.

    Args:
        log: the log of a load.
        kind: ``model``, ``KV`` or ``compute``.

    Returns:
        For instance ``{"CPU_Mapped": 107520000}``; empty where nothing of that kind was reported.
    """
    sizes: collections.Counter[str] = collections.Counter()
    for name, mib in re.findall(rf"(\S+) +{kind} buffer size = +([\d.]+) MiB", log):
        sizes[name] += round(float(mib) * 2**20)
    return dict(sizes)


def fallbacks(log: str) -> dict[str, int]:
    """Tensors that the quantiser gave another type than the recipe's, because of their shape.

    Args:
        log: the log of a quantisation.

    Returns:
        ``{"q4_K to q5_0": 150}``: how many, from which type to which; empty where none was.

    Raises:
        ValueError: the log counts more or fewer such tensors than it names.
    """
    taken = collections.Counter(
        f"{wanted} to {instead}"
        for wanted, instead in re.findall(r"\(required for type +(\S+?)\).*?-> falling back to +(\S+)", log)
    )
    found = re.search(r"WARNING: (\d+) of \d+ tensor\(s\) required fallback quantization", log)
    counted = int(found[1]) if found else 0
    if counted != taken.total():
        raise ValueError(f"llama.cpp counts {counted} tensors that fell back and names {taken.total()}")
    return dict(taken)


def cache_types(log: str) -> tuple[str, str] | None:
    """The types of keys and values in the KV cache; None where the log does not tell."""
    found = re.search(r"\bK \((\w+)\): +[\d.]+ MiB, V \((\w+)\): +[\d.]+ MiB", log)
    return (found[1], found[2]) if found else None


def load_mode(log: str) -> str | None:
    """How the weights were read: ``mmap``, ``none`` ...; None where the log does not tell."""
    found = re.search(r"\(load_mode = ([^)]+)\)", log)
    return found[1] if found else None


def flash_attention(log: str) -> str | None:
    """What an automatic flash attention became: ``on`` or ``off``; None where it was not automatic."""
    if "Flash Attention not supported, set to disabled" in log:
        return "off"
    # A quantised V cache needs it, and then nothing is probed.
    taken = ("Flash Attention enabled", "enabling flash_attn since it is required")
    return "on" if any(words in log for words in taken) else None


def kv_unified(log: str) -> str | None:
    """``1`` where all sequences share one KV cache, ``0`` where each has its own part; None: the log does not tell."""
    found = re.search(r"kv_unified += (true|false)", log)
    return {"true": "1", "false": "0"}[found[1]] if found else None


def offloaded_layers(log: str) -> tuple[int, int] | None:
    """(layers on the GPU, layers of the model); None where nothing was offloaded."""
    found = re.search(r"offloaded (\d+)/(\d+) layers to GPU", log)
    return (int(found[1]), int(found[2])) if found else None
