"""openvino-genai's `LLMPipeline` and its performance metrics, used as its sample ``benchmark_genai.py`` does.

The loop is `loops/openvino_pipeline.py`; it runs in the framework's environment. Definitions that differ, and what was
done about each:

- The attention. By default the pipeline turns the graph into one with paged attention and continuous batching; ours
  infers the stateful graph as it is. The pipeline is told ``ATTENTION_BACKEND=SDPA``, which makes it do that too. What
  is compared is therefore the measurement of one graph, not two attention implementations.
- Prefix caching. The sample switches it off in the scheduler's settings; the stateful pipeline has no scheduler and
  empties its cache before each prompt. Prompts are fresh for each repetition all the same.
- Settings. Those of `SAME` that our backend read back from its compiled graph are given to the pipeline, so both
  compile with the same precision, KV cache, threads and streams, in 32 bits where the artifact is to be computed so.
- The last position. Both compute the last position's logits only: the pipeline puts the same slice before the last
  projection as our backend.
- TTFT. From the call of ``generate`` to the end of the first inference: no sampling is in it, and no tokenising,
  because the prompt is given as ids. It is compared with our ``prefill_s``. The pipeline's copying of ids and mask is
  in it: microseconds.
- TPOT. The pipeline's is the mean gap between the ends of inferences, with its sampler in between, which takes 0.1 ms
  or more of a token. Ours is the forward pass alone, and so are the pipeline's raw ``token_infer_durations``: their
  sum over the decoded tokens is what is compared. ``get_ipot()`` is not it: that one counts the prompt's inference too.
- Inputs. Ours binds the token's and the mask's tensors inside the timed span (a tenth of a millisecond was seen, under
  one per cent of a token), the pipeline before its span; it copies the mask for each token, ours grows a view. Left as
  it is.
- The number of tokens. The first token comes from the prefill, so N + 1 are asked for to get N decodes.
- The end of the text. Ignored (``ignore_eos``); ours never looks.
- Tokeniser. An artifact of ours has none; the pipeline does without one for ids. No text is streamed or detokenised.
- Warm-up. One untimed pass of the same shape on both sides.
- The process. Ours is Python around an infer request, the tool's loop is C++; that is what is on trial.
"""

from __future__ import annotations

import json
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

_LOOP = Path(__file__).resolve().parent / "loops" / "openvino_pipeline.py"
_MODEL = "openvino_model.xml"

#: Settings of our compiled graph that the pipeline compiles with too.
SAME = (
    "PERFORMANCE_HINT",
    "NUM_STREAMS",
    "INFERENCE_NUM_THREADS",
    "INFERENCE_PRECISION_HINT",
    "KV_CACHE_PRECISION",
    "DYNAMIC_QUANTIZATION_GROUP_SIZE",
)


class GenaiPipeline(Tool):
    """`LLMPipeline` in a process of its own."""

    framework = "openvino"
    help = (
        "a Python that has openvino-genai, or a script with the arguments of parity_tools/loops/openvino_pipeline.py; "
        "default: the environment's Python"
    )
    default_shape = Shape(prompt_tokens=256, decode_tokens=32, repetitions=3)

    def artifact(self, path: Path) -> Path:
        """The model file, given by itself or by its folder."""
        return folder_with(path, _MODEL, "OpenVINO artifact") / _MODEL

    def command(self, tool: Path | None, python: Path) -> list[str]:
        """Our loop over the pipeline, or the user's."""
        return python_command(tool, python, [str(_LOOP)])

    def seconds(self, command: Sequence[str], case: Case, seed: int) -> Seconds:
        """Prefill and decode of the same process."""
        properties = {name: case.hints[name] for name in SAME if name in case.hints}
        words = [*command, "--model", str(case.artifact.parent), "--properties", json.dumps(properties)]
        words += ["--prompt-tokens", str(case.shape.prompt_tokens)]
        words += ["--decode-tokens", str(case.shape.decode_tokens)]
        words += ["--repetitions", str(case.shape.repetitions)]
        words += ["--vocab-size", str(case.vocab_size), "--seed", str(seed)]
        return medians(loop_times(run(words), command, case.shape.repetitions))
