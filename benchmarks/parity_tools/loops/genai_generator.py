"""Time onnxruntime-genai's `Generator` as its own benchmark does; one line of JSON.

Runs in the framework's environment and imports nothing of edgebench. Prints ``{"prefill_s": [...], "decode_s":
[...]}``, seconds of each timed repetition: appending the prompt, and generating ``--decode-tokens`` tokens behind it
without choosing them. `parity_tools/olive.py` says what that includes.
"""

from __future__ import annotations

import argparse
import json
import time
from typing import Any

import numpy as np


def times(og: Any, model: Any, ids: Any, decode_tokens: int) -> tuple[float, float]:
    """Seconds of prefill and decode of one generation."""
    params = og.GeneratorParams(model)
    params.set_search_options(do_sample=False, max_length=len(ids) + decode_tokens + 1)
    generator = og.Generator(model, params)

    begun = time.perf_counter()
    generator.append_tokens(ids)
    prefill_s = time.perf_counter() - begun

    begun = time.perf_counter()
    generator.generate_next_token()  # its logits exist: this only chooses
    choice_s = time.perf_counter() - begun

    generate_s = 0.0
    for _ in range(decode_tokens):
        begun = time.perf_counter()
        generator.generate_next_token()
        generate_s += time.perf_counter() - begun
    if generator.token_count() != len(ids) + decode_tokens + 1:
        raise RuntimeError(f"{generator.token_count() - len(ids)} tokens came out")
    return prefill_s, generate_s - decode_tokens * choice_s


def main() -> None:
    parser = argparse.ArgumentParser(description="Time onnxruntime-genai's generator.")
    parser.add_argument("--model", required=True, help="folder of genai_config.json")
    for name in ("threads", "prompt-tokens", "decode-tokens", "repetitions", "vocab-size", "seed"):
        parser.add_argument(f"--{name}", type=int, required=True)
    options = parser.parse_args()

    import onnxruntime_genai as og

    config = og.Config(options.model)
    config.clear_providers()  # the CPU is what is left
    session = {"intra_op_num_threads": options.threads, "inter_op_num_threads": 1}
    # No token ends the text: all are generated.
    config.overlay(json.dumps({"model": {"eos_token_id": -1, "decoder": {"session_options": session}}}))
    model = og.Model(config)
    random = np.random.default_rng(options.seed)
    taken = []
    for _ in range(1 + options.repetitions):
        ids = random.integers(0, options.vocab_size, options.prompt_tokens, dtype=np.int32)
        taken.append(times(og, model, ids, options.decode_tokens))
    prefill, decode = zip(*taken[1:], strict=True)  # the first one is the warm-up
    print(json.dumps({"prefill_s": prefill, "decode_s": decode}))


if __name__ == "__main__":
    main()
