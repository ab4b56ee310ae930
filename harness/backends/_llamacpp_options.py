"""The options of a llama.cpp load: names, defaults, and how each is read.

Imports how a value is read. Contract: names and defaults are llama-bench's, so that figures compare; an unknown
option or value is an error that names what would do.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from harness.backends._option_values import choice, positive

#: Environment variable that names an RPC server: ``host:port``. No option: the machine it runs on is no setting.
RPC_VARIABLE = "EDGEBENCH_LLAMACPP_RPC"

#: Words of ``flash_attn`` and the numbers that llama.cpp takes for them.
FLASH_ATTENTION: Mapping[str, int] = {"auto": -1, "off": 0, "on": 1}


def _flag(text: str) -> bool:
    """``0`` or ``1``, as llama-bench's switches."""
    if text not in ("0", "1"):
        raise ValueError("0 or 1")
    return text == "1"


def _poll(text: str) -> int:
    number = int(text)
    if not 0 <= number <= 100:
        raise ValueError("0 to 100")
    return number


#: Options of `LoadSpec.options`: how each is read. The names and defaults are llama-bench's.
_OPTIONS: Mapping[str, tuple[Callable[[str], Any], str]] = {
    "n_batch": (positive, "2048"),
    "n_ubatch": (positive, "512"),
    "type_k": (str, "f16"),
    "type_v": (str, "f16"),
    "flash_attn": (choice(*FLASH_ATTENTION), "auto"),
    "load_mode": (choice("auto", "none", "mmap", "mlock", "mmap+mlock", "dio"), "auto"),
    "repack": (_flag, "1"),
    "swa_full": (_flag, "0"),
    "poll": (_poll, "50"),
}


def parse_options(options: Mapping[str, str]) -> dict[str, Any]:
    """Every option with its value, given or default; with a KV cache of 32 bits without flash attention.

    Raises:
        ValueError: an unknown option, or a value that is none; the message names it and what would do.
    """
    if unknown := sorted(options.keys() - _OPTIONS.keys()):
        raise ValueError(f"llama.cpp has no option {unknown[0]!r} here; it has: {', '.join(_OPTIONS)}")
    values = {}
    for name, (parse, default) in _OPTIONS.items():
        text = options.get(name, default)
        try:
            values[name] = parse(text)
        except ValueError as error:
            raise ValueError(f"option {name}={text!r} of llama.cpp: expected {error}") from error
    if "f32" in (values["type_k"], values["type_v"]):
        # Its flash attention casts keys and values of 32 bits to 16 first: the cache would be f32, the sums not.
        if values["flash_attn"] == "on":
            raise ValueError(
                "option flash_attn='on' of llama.cpp computes with f16 copies of an f32 KV cache: "
                "expected flash_attn off with type_k or type_v f32"
            )
        values["flash_attn"] = "off"
    return values
