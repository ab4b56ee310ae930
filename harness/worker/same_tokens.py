"""Whether an artifact's own tokenizer makes the token ids that it is scored on.

Owns this check. Imports numpy and the worker half. Contract: runs before anything is scored; an artifact that holds no
tokenizer has nothing to compare, and that is told.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from harness.worker.api import Backend, Unsupported
from harness.worker.protocol import ScoreSpec

#: Characters at the text's beginning that are tokenised: enough for every kind of token.
CHARACTERS = 8_000
#: Tokens before the cut that may come out otherwise because the text ends there.
_AT_THE_CUT = 8
#: What some tokenizers read as one special token and others as its letters: a convention, no other tokenizer.
_SPECIAL = re.compile(r"<[^<>\s]+>|\[[A-Z]+\]")


class TokenizersDifferError(ValueError):
    """The artifact's tokenizer is not the model's: its scores would be of another text."""


@dataclass(frozen=True, slots=True)
class OwnTokens:
    """What was compared.

    Attributes:
        compared: tokens at the text's beginning that the artifact's own tokenizer makes, too.
        reason: why none was compared; None where some were.
    """

    compared: int
    reason: str | None = None


def check_tokens(backend: Backend, spec: ScoreSpec) -> OwnTokens:
    """Compare the ids of the text's beginning with those that are scored.

    The beginning ends before the first word that could be a special token. A BOS that the artifact's tokenizer puts
    first is left out: `spec` says whether the model wants one.

    Raises:
        TokenizersDifferError: they differ; the message has the first token that does.
    """
    if spec.text_file is None:
        return OwnTokens(0, "it is not known what text the tokens are of")
    text = Path(spec.text_file).read_text(encoding="utf-8")
    beginning = _SPECIAL.split(text[:CHARACTERS], maxsplit=1)[0]
    try:
        own = backend.tokenizer(None).tokenize(beginning)
    except Unsupported as error:
        return OwnTokens(0, str(error))
    scored = np.fromfile(spec.tokens_file, dtype="<i4", count=len(own) + 1).tolist()
    if spec.bos is not None and own[:1] == [spec.bos] != scored[:1]:
        own = own[1:]
    if len(beginning) < len(text):
        own = own[:-_AT_THE_CUT]
        scored = scored[: len(own)]
    for index, (mine, theirs) in enumerate(zip(own, scored, strict=False)):
        if mine != theirs:
            raise TokenizersDifferError(
                f"the artifact's tokenizer is not the model's: token {index} of the text is {mine} for it and {theirs} "
                "for the model"
            )
    if len(own) != len(scored):
        raise TokenizersDifferError(
            f"the artifact's tokenizer is not the model's: it makes {len(own)} tokens of the text, "
            f"the model {Path(spec.tokens_file).stat().st_size // 4}"
        )
    return OwnTokens(len(own)) if own else OwnTokens(0, "the text begins with what could be a special token")
