"""The model as lm-eval sees it: every question is put to the lab and answered by whichever framework computes.

Owns turning lm-eval's requests into token ids and batches. Runs in lm-eval's environment. Contract: the same token ids
whatever computes; answers stand in the order of lm-eval's requests; what is asked twice is computed once.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from harness.evaluation.chat import render
from harness.evaluation.exchange import EvaluateSpec
from harness.evaluation.loading import TaskError

#: Pairs that travel together: enough to share what they have in common, few enough to see that it goes on.
BATCH_PAIRS = 64
#: Prompts that travel together: enough to go on in batches where the framework has them.
BATCH_PROMPTS = 64
#: Texts that are tokenised together.
BATCH_TEXTS = 512

#: Put a question to the lab: its name, its body, how many were answered and how many there are.
Ask = Callable[[Literal["encode", "likelihood", "generate"], dict[str, Any], int, int], dict[str, Any]]

Ids = tuple[int, ...]


class Tokens:
    """Token ids of texts, asked for in batches and kept.

    Args:
        ask: puts a question to the lab.
        special: words for special tokens are these tokens.
        bos: id that every text begins with, None: none.
    """

    def __init__(self, ask: Ask, *, special: bool, bos: int | None) -> None:
        self._ask = ask
        self._special = special
        self._bos = bos
        self._known: dict[str, Ids] = {}

    def learn(self, texts: Iterable[str]) -> None:
        """Ask for the texts that are not known yet, all at once."""
        missing = [text for text in dict.fromkeys(texts) if text not in self._known]
        for start in range(0, len(missing), BATCH_TEXTS):
            batch = missing[start : start + BATCH_TEXTS]
            answer = self._ask("encode", {"texts": batch, "special": self._special}, start, len(missing))
            for text, ids in zip(batch, answer["tokens"], strict=True):
                self._known[text] = tuple(ids)

    def of(self, text: str, *, bos: bool = True) -> list[int]:
        """Ids of a text, with the BOS that the model wants where it does not begin with it already."""
        self.learn([text])
        ids = self._known[text]
        if bos and self._bos is not None and ids[:1] != (self._bos,):
            ids = (self._bos, *ids)
        return list(ids)


def moved_spaces(context: str, continuation: str) -> tuple[str, str]:
    """lm-eval's rule: spaces at the end of a context belong to what follows, as tokenizers have it."""
    kept = context.rstrip()
    return kept, context[len(kept) :] + continuation


class Questions:
    """Batches of questions about the loaded model.

    Args:
        ask: puts a question to the lab.
        max_length: tokens that fit.
    """

    def __init__(self, ask: Ask, max_length: int) -> None:
        self._ask = ask
        self._max_length = max_length
        self.truncated = 0
        self.requests: dict[str, int] = {}

    def likelihoods(self, pairs: Sequence[tuple[Sequence[int], Sequence[int]]]) -> list[tuple[float, bool]]:
        """Sum of the continuation's log-probabilities and whether it is the greedy one, of each pair.

        Raises:
            TaskError: a continuation is empty, or longer than what fits.
        """
        cut = [self._fitted(context, continuation) for context, continuation in pairs]
        # Neighbours then have the longest beginning in common: a few-shot prompt, a context with its choices.
        order = sorted(set(cut), key=lambda pair: (pair[0] + pair[1], len(pair[0])))
        known: dict[tuple[Ids, Ids], tuple[float, bool]] = {}
        for start in range(0, len(order), BATCH_PAIRS):
            batch = order[start : start + BATCH_PAIRS]
            body = {"pairs": [{"context": list(one), "continuation": list(other)} for one, other in batch]}
            answer = self._ask("likelihood", body, start, len(order))
            for pair, score in zip(batch, answer["scores"], strict=True):
                known[pair] = float(score["logprob"]), bool(score["greedy"])
        self.requests["likelihood"] = self.requests.get("likelihood", 0) + len(pairs)
        return [known[pair] for pair in cut]

    def _fitted(self, context: Sequence[int], continuation: Sequence[int]) -> tuple[Ids, Ids]:
        if not continuation:
            raise TaskError("a choice of a task has no tokens: it is empty")
        if len(continuation) > self._max_length:
            raise TaskError(
                f"a choice of a task has {len(continuation)} tokens, and {self._max_length} fit: "
                "raise context_tokens in the suite's `tasks:`"
            )
        whole = (*context, *continuation)
        # The last token is only predicted, so one more than the model's length fits.
        if len(whole) > self._max_length + 1:
            self.truncated += 1
            whole = whole[-(self._max_length + 1) :]
        split = len(whole) - len(continuation)
        return whole[:split], whole[split:]

    def generations(self, prompts: Sequence[tuple[str, list[int], int, list[str]]]) -> list[str]:
        """Greedy text after each prompt: its text, its ids, number of new tokens at most, and what ends it.

        Raises:
            TaskError: more new tokens are wanted than fit.
        """
        cut = [self._prompt(*prompt) for prompt in prompts]
        # Those that need most room first: neighbours then need about as much, and what does not fit shows at once.
        order = sorted(set(cut), key=lambda prompt: (-len(prompt.tokens) - prompt.count, prompt.tokens))
        known: dict[_Prompt, str] = {}
        for start in range(0, len(order), BATCH_PROMPTS):
            batch = order[start : start + BATCH_PROMPTS]
            answer = self._ask("generate", {"prompts": [one.body() for one in batch]}, start, len(order))
            for prompt, text in zip(batch, answer["texts"], strict=True):
                known[prompt] = _stopped(str(text), prompt.stops)
        self.requests["generate"] = self.requests.get("generate", 0) + len(prompts)
        return [known[prompt] for prompt in cut]

    def _prompt(self, text: str, tokens: Sequence[int], count: int, stops: Sequence[str]) -> _Prompt:
        room = self._max_length - count
        if room < 1:
            raise TaskError(
                f"a task wants {count} new tokens, and {self._max_length} fit with the question: "
                "raise context_tokens in the suite's `tasks:`"
            )
        cut = len(tokens) > room
        self.truncated += cut
        return _Prompt(None if cut else text, tuple(tokens[-room:]), count, tuple(stops))


@dataclass(frozen=True, slots=True)
class _Prompt:
    """A question for text: what its tokens were made of unless they were cut, and what ends the answer."""

    text: str | None
    tokens: Ids
    count: int
    stops: tuple[str, ...]

    def body(self) -> dict[str, Any]:
        return {
            "tokens": list(self.tokens),
            "text": self.text,
            "count": self.count,
            "stops": list(self.stops),
        }


def _stopped(text: str, stops: Sequence[str]) -> str:
    """What stands before the first stop."""
    for stop in stops:
        text = text.split(stop)[0] if stop else text
    return text


def generation(settings: Mapping[str, Any]) -> tuple[int, list[str]]:
    """Number of new tokens and stops of lm-eval's ``generation_kwargs``; 256 tokens where it says nothing.

    Raises:
        TaskError: it wants samples, which would differ from run to run.
    """
    from lm_eval.models.utils import normalize_gen_kwargs

    plain = normalize_gen_kwargs(dict(settings), 256)
    if plain.get("do_sample"):
        raise TaskError("a task wants sampled text (do_sample), and only greedy text compares")
    return int(plain["max_gen_toks"]), [str(stop) for stop in plain.get("until") or []]


def proxy(ask: Ask, spec: EvaluateSpec) -> Any:
    """An lm-eval model that asks the lab; ``questions`` counts what it asked."""
    from lm_eval import utils
    from lm_eval.api.model import TemplateLM

    class Proxy(TemplateLM):  # type: ignore[misc]  # lm-eval is not there where types are checked
        def __init__(self) -> None:
            super().__init__()
            self.questions = Questions(ask, spec.max_length)
            self._tokens = Tokens(ask, special=spec.chat_template, bos=spec.tokenizer.bos)

        @property
        def eot_token_id(self) -> int:
            return spec.tokenizer.prefix

        @property
        def prefix_token_id(self) -> int:
            return spec.tokenizer.prefix

        @property
        def tokenizer_name(self) -> str:
            return "edgebench"

        def tok_encode(self, string: str, add_special_tokens: bool | None = None, **kwargs: Any) -> list[int]:
            return self._tokens.of(string, bos=add_special_tokens is not False)

        def apply_chat_template(
            self, chat_history: list[dict[str, str]], add_generation_prompt: bool = True
        ) -> str:
            assert spec.tokenizer.chat_template is not None, "the lab asks for no template that is not there"
            return render(
                spec.tokenizer.chat_template,
                chat_history,
                bos_text=spec.tokenizer.bos_text,
                eos_text=spec.tokenizer.eos_text,
                add_generation_prompt=add_generation_prompt,
            )

        def loglikelihood(self, requests: list[Any], disable_tqdm: bool = False) -> list[tuple[float, bool]]:
            texts = []
            for context, continuation in (request.args for request in requests):
                kept, moved = moved_spaces(context, continuation)
                texts += [kept, kept + moved] if context else [continuation]
            self._tokens.learn(texts)
            answers: list[tuple[float, bool]] = super().loglikelihood(requests, disable_tqdm=True)
            return answers

        def _loglikelihood_tokens(self, requests: list[Any], **kwargs: Any) -> list[tuple[float, bool]]:
            return self.questions.likelihoods(
                [(context, continuation) for _, context, continuation in requests]
            )

        def loglikelihood_rolling(self, requests: list[Any], disable_tqdm: bool = False) -> list[float]:
            self._tokens.learn(text for (text,) in (request.args for request in requests))
            windows = [
                [
                    utils.make_disjoint_window(window)
                    for window in utils.get_rolling_token_windows(
                        token_list=self.tok_encode(text),
                        prefix_token=self.prefix_token_id,
                        max_seq_len=spec.max_length,
                        context_len=1,
                    )
                ]
                for (text,) in (request.args for request in requests)
            ]
            scores = iter(self.questions.likelihoods([one for windows_ in windows for one in windows_]))
            return [sum(next(scores)[0] for _ in windows_) for windows_ in windows]

        def generate_until(self, requests: list[Any], disable_tqdm: bool = False) -> list[str]:
            self._tokens.learn(request.args[0] for request in requests)
            return self.questions.generations(
                [
                    (text, self.tok_encode(text), *generation(settings))
                    for text, settings in (r.args for r in requests)
                ]
            )

    return Proxy()


def silence(model: Any) -> None:
    """Let a model of `proxy` answer everything alike and ask nothing: what would be asked is all that is wanted."""
    model.loglikelihood = lambda requests, **_: [(-1.0, False)] * len(requests)
    model.loglikelihood_rolling = lambda requests, **_: [-1.0] * len(requests)
    model.generate_until = lambda requests, **_: [""] * len(requests)
