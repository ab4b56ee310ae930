"""Whether an artifact's own tokenizer makes the token ids that it is scored on.

Owns this check. Imports numpy and the worker half. Contract: runs before anything is scored; a framework that declares
no tokenizer, or an artifact that holds none, has nothing to compare.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np

from harness.worker.api import Backend, Unsupported
from harness.worker.protocol import ScoreSpec

#: Characters at the text's beginning that are tokenised: enough for every kind of token.
CHARACTERS = 8_000
#: Tokens before the cut that may come out otherwise because the text ends there.
_AT_THE_CUT = 8


class TokenizersDifferError(ValueError):
    """The artifact's tokenizer is not the model's: its scores would be of another text."""


def check_tokens(backend: Backend, spec: ScoreSpec) -> None:
    """Compare the ids of the text's beginning with those that are scored.

    Raises:
        TokenizersDifferError: they differ; the message has the first token that does.
    """
    if spec.text_file is None or "tokenize" not in backend.capabilities:
        return
    text = Path(spec.text_file).read_text(encoding="utf-8")
    try:
        own = backend.tokenizer(None).tokenize(text[:CHARACTERS])
    except Unsupported:
        return  # an artifact without a tokenizer
    if len(text) > CHARACTERS:
        own = own[:-_AT_THE_CUT]
    scored = np.fromfile(spec.tokens_file, dtype="<i4", count=len(own)).tolist()
    for index, (mine, theirs) in enumerate(zip(own, scored, strict=False)):
        if mine != theirs:
            raise TokenizersDifferError(
                f"the artifact's tokenizer is not the model's: token {index} of the text is {mine} for it and {theirs} "
                "for the model"
            )
    if len(own) != len(scored):
        raise TokenizersDifferError(
            f"the artifact's tokenizer is not the model's: it makes {len(own)} tokens of the text, "
            f"the model {len(scored)}"
        )
