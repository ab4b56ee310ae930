"""onnxruntime-genai's own benchmark loop, on artifacts that Olive made.

The loop is `loops/genai_generator.py`, which makes the calls of that project's ``benchmark_e2e.py`` and takes the same
spans; it runs in the framework's environment. Definitions that differ, and what was done about each:

- Prompt processing. The tool's is ``append_tokens`` of the whole prompt; so is our ``prefill_s``.
- Token generation. The tool's is ``generate_next_token``, which since version 0.6 computes the logits and chooses the
  token in one call; ours is ``append_tokens`` of the token chosen before, and the choice is apart. The tool times a
  choice by itself as well: the first one after the prompt, whose logits exist already. That time (0.2 ms, which is one
  or two per cent of a token of a small model) is taken off each token.
- The next token. Greedy on both sides; the tool's script samples from one candidate (``top_k=1``), which is the same.
- The number of tokens. The first token comes from the prefill, so N more are decoded.
- The end of the text. The script keeps it away with ``min_length``, a processor that runs in the timed span; here, as
  in our backend, no token is the end of the text (``eos_token_id`` -1).
- The cache. Ours empties one `Generator` by ``rewind_to(0)``, the tool makes a new one for each repetition, outside its
  spans. Both reserve P + N + 1 tokens in one buffer for past and present.
- Prompts. The tool's script repeats one prompt for all repetitions; here they are random and fresh on both sides.
- Settings. ``intra_op_num_threads`` and one inter-op thread on both sides; the script has no flag for them and would
  take what is in ``genai_config.json``.
- Warm-up. One untimed pass of the same shape on both sides.
- The statistic. The script prints means over repetitions, here the median counts, as on our side.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from parity_tools.tool import (
    Case,
    Seconds,
    Shape,
    Tool,
    folder_with,
    loop_times,
    medians,
    python_command,
    run,
)

_LOOP = Path(__file__).resolve().parent / "loops" / "genai_generator.py"


class GenaiLoop(Tool):
    """The loop in a process of its own."""

    framework = "olive"
    help = (
        "a Python that has onnxruntime-genai, or a script with the arguments of parity_tools/loops/genai_generator.py; "
        "default: the environment's Python"
    )
    default_shape = Shape(prompt_tokens=256, decode_tokens=32, repetitions=3)

    def artifact(self, path: Path) -> Path:
        """The folder."""
        return folder_with(path, "genai_config.json", "artifact of onnxruntime-genai")

    def command(self, tool: Path | None, python: Path) -> list[str]:
        """Our loop over the generator, or the user's."""
        return python_command(tool, python, [str(_LOOP)])

    def seconds(self, command: Sequence[str], case: Case, seed: int) -> Seconds:
        """Prefill and decode of the same process."""
        words = [*command, "--model", str(case.artifact), "--threads", str(case.threads)]
        words += ["--prompt-tokens", str(case.shape.prompt_tokens)]
        words += ["--decode-tokens", str(case.shape.decode_tokens)]
        words += ["--repetitions", str(case.shape.repetitions)]
        words += ["--vocab-size", str(case.vocab_size), "--seed", str(seed)]
        return medians(loop_times(run(words), command, case.shape.repetitions))
