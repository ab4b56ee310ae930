"""llama-bench of the vendored llama.cpp.

Both sides get the same file and the same settings (threads, batch sizes, KV cache types, flash attention, load mode;
one table, `_SETTINGS`, gives both command lines). Definitions that differ, and what was done about each:

- The depth of decoding. Ours decodes after its own prompt, so the tool decodes at depth ``--prompt-tokens``
  (``-p 0 -n N -d P``), in a process apart from its prefill (``-p P -n 0``).
- The span of decoding. Ours is the sum of the synchronised forward passes; the tool's is its whole loop, with drawing a
  random token and filling a batch. That is microseconds a token; left as it is.
- The next token. Ours is the greedy choice, the tool's is random. Both draw random prompts (the tool's begins with BOS
  where the model wants one). A dense model's time does not depend on which token; left as it is. Our argmax is outside
  the timed span, but runs between two passes.
- The context. The tool reserves P for prefill and P + N for decode, ours P + N for both; attention covers the cells in
  use, rounded up to 256, so this changes memory and not time.
- Warm-up. Both process the whole prompt once untimed. Before decoding the tool computes one token at depth 0 and then
  fills the cache, ours decodes N tokens once.
- Repetitions. Ours fills the cache anew each time, the tool restores a copy of its state from the first one on.
- Counters. Ours keeps llama.cpp's own counters on (two clock readings a pass), the tool keeps them off.
- Threads. Both attach a ggml thread pool with polling level 50 and use one thread count for both phases.
- The process. Ours is Python calling the same C functions; that is what is on trial.
"""

from __future__ import annotations

import json
import os
import statistics
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import ClassVar

from harness.errors import UsageError
from parity_tools.tool import Case, Seconds, Shape, Tool, existing, no_figure, run

#: Load option of the backend, the tool's flag, the value on both sides.
_SETTINGS = (
    ("n_batch", "--batch-size", "2048"),
    ("n_ubatch", "--ubatch-size", "512"),
    ("type_k", "--cache-type-k", "f16"),
    ("type_v", "--cache-type-v", "f16"),
    ("flash_attn", "--flash-attn", "auto"),
    ("load_mode", "--load-mode", "auto"),
    ("poll", "--poll", "50"),
)


class LlamaBench(Tool):
    """llama-bench, one process for each phase."""

    framework = "llamacpp"
    help = "llama-bench of the same source; default: the one that benchmarks/llama_tools.py builds"
    default_shape = Shape(prompt_tokens=512, decode_tokens=64, repetitions=3)
    load_options: ClassVar[Mapping[str, str]] = {name: value for name, _, value in _SETTINGS}

    def artifact(self, path: Path) -> Path:
        """A GGUF file."""
        if not path.is_file():
            raise UsageError(f"--artifact: there is no file {path}", next_step="give a GGUF file")
        return path

    def command(self, tool: Path | None, python: Path) -> list[str]:
        """The file given, or the one that is built."""
        if tool is None:
            # Not at the top: with --tool nothing of the build is needed.
            from llama_tools import build

            (tool,) = build(["llama-bench"], variant="cpu", sdist=None, jobs=os.cpu_count() or 1)
        return [str(existing(tool))]

    def seconds(self, command: Sequence[str], case: Case, seed: int) -> Seconds:
        """Prefill and decode in a process each; the tool has no seed for its prompts."""
        prompt, decode = str(case.shape.prompt_tokens), str(case.shape.decode_tokens)
        words = [*command, "-m", str(case.artifact), "-t", str(case.threads)]
        words += [word for _, flag, value in _SETTINGS for word in (flag, value)]
        words += ["-ngl", "0", "-dev", "none", "-r", str(case.shape.repetitions), "-o", "json"]
        return {
            "prefill": phase_seconds(run([*words, "-p", prompt, "-n", "0", "-d", "0"]), command),
            "decode": phase_seconds(run([*words, "-p", "0", "-n", decode, "-d", prompt]), command),
        }


def phase_seconds(text: str, command: Sequence[str]) -> float:
    """The median repetition of the one test in llama-bench's JSON.

    Raises:
        EdgebenchError: it is something else.
    """
    try:
        (test,) = json.loads(text)
        return float(statistics.median(test["samples_ns"])) / 1e9
    except (ValueError, KeyError, TypeError) as error:
        raise no_figure(command, f"{type(error).__name__}: {error}") from error
