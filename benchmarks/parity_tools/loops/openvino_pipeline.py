"""Time openvino-genai's `LLMPipeline` by its own performance metrics; one line of JSON.

Runs in the framework's environment and imports nothing of edgebench. Prints ``{"prefill_s": [...], "decode_s":
[...]}``, seconds of each timed repetition: TTFT, and the sum of the inferences of ``--decode-tokens`` tokens.
`parity_tools/openvino.py` says what that includes.
"""

from __future__ import annotations

import argparse
import json
import sys
from typing import Any

import numpy as np


def times(openvino: Any, pipeline: Any, config: Any, ids: Any, decode_tokens: int) -> tuple[float, float]:
    """Seconds of prefill and decode of one generation."""
    result = pipeline.generate(openvino.Tensor(ids), config)
    metrics = result.perf_metrics
    each_us = list(metrics.raw_metrics.token_infer_durations)
    if len(result.tokens[0]) != decode_tokens + 1 or len(each_us) != decode_tokens + 1:
        raise RuntimeError(f"{len(result.tokens[0])} tokens by {len(each_us)} inferences came out")
    return metrics.get_ttft().mean / 1e3, sum(each_us[1:]) / 1e6


def main() -> None:
    parser = argparse.ArgumentParser(description="Time LLMPipeline by its own metrics.")
    parser.add_argument("--model", required=True, help="folder of openvino_model.xml")
    parser.add_argument("--properties", type=json.loads, default={}, help="JSON: properties to compile with")
    for name in ("prompt-tokens", "decode-tokens", "repetitions", "vocab-size", "seed"):
        parser.add_argument(f"--{name}", type=int, required=True)
    options = parser.parse_args()

    # Importing openvino reports it to an analytics service unless this package is missing.
    sys.modules.setdefault("openvino_telemetry", None)  # type: ignore[arg-type]
    import openvino
    import openvino_genai

    config = openvino_genai.GenerationConfig()
    config.max_new_tokens = options.decode_tokens + 1
    config.do_sample = False
    config.ignore_eos = True
    config.eos_token_id = 0  # the pipeline refuses to go without one
    # The stateful graph as it is, without paged attention; its cache is emptied before each prompt.
    pipeline = openvino_genai.LLMPipeline(
        options.model, "CPU", ATTENTION_BACKEND="SDPA", **options.properties
    )
    random = np.random.default_rng(options.seed)
    taken = []
    for _ in range(1 + options.repetitions):
        ids = random.integers(0, options.vocab_size, (1, options.prompt_tokens), dtype=np.int64)
        taken.append(times(openvino, pipeline, config, ids, options.decode_tokens))
    prefill, decode = zip(*taken[1:], strict=True)  # the first one is the warm-up
    print(json.dumps({"prefill_s": prefill, "decode_s": decode}))


if __name__ == "__main__":
    main()
