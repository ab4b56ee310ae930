"""Token ids of the timed passes: uniform random ones, or cut out of a tokenised text.

Owns which ids a pass gets. Imports numpy and the worker half. Contract: the same seed and repetition give the same ids
everywhere and in every framework; two repetitions never get the same ones, so that no cache of prompts helps.
"""

from __future__ import annotations

import functools

import numpy as np
from numpy.random import PCG64, Generator  # here, so that it counts as import and not as the model's memory

from harness.worker.api import Tokens
from harness.worker.protocol import TimedSpec


def random_tokens(seed: int, repetition: int, count: int, vocab_size: int) -> Tokens:
    """Fresh uniform token ids, ``int32[count]`` in ``[0, vocab_size)``, the same for the same arguments everywhere."""
    generator = Generator(PCG64([seed, repetition]))
    return generator.integers(0, vocab_size, size=count, dtype=np.int32)


def text_tokens(seed: int, repetition: int, count: int, text: Tokens) -> Tokens:
    """``int32[count]`` consecutive ids of a text from a place of its own for every repetition.

    The places are a seeded permutation of the text's positions: as many repetitions as it has tokens begin at
    different ones. At its end the text begins again.
    """
    begin = int(Generator(PCG64(seed)).permutation(len(text))[repetition % len(text)])
    return np.take(text, np.arange(begin, begin + count), mode="wrap")


def pass_tokens(spec: TimedSpec, repetition: int, count: int, vocab_size: int) -> Tokens:
    """The ids of one pass, ``int32[count]`` in ``[0, vocab_size)``.

    Raises:
        ValueError: the prompts' text is empty, or has ids that the loaded model does not.
    """
    if spec.prompt_file is None:
        return random_tokens(spec.seed, repetition, count, vocab_size)
    return text_tokens(spec.seed, repetition, count, _text(spec.prompt_file, vocab_size))


@functools.lru_cache(maxsize=1)
def _text(path: str, vocab_size: int) -> Tokens:
    ids = np.fromfile(path, dtype="<i4").astype(np.int32)
    if not len(ids):
        raise ValueError(f"the prompts' text {path} has no tokens")
    if int(ids.min()) < 0 or int(ids.max()) >= vocab_size:
        raise ValueError(f"the prompts' text {path} has ids outside of 0 .. {vocab_size - 1}")
    return ids
