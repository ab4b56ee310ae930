"""The items of the arithmetic task, `suites/tasks/arithmetic.jsonl`: generated, so that every answer is right.

Owns the templates and the seed. Imports nothing of the harness but where the data folder is. Contract: the same
seed gives the same bytes on every Python; ``python -m harness.suite.arithmetic_items`` writes the file again, and a
test compares it. Another seed or another template makes another task: raise the version in the task file with it.
"""

from __future__ import annotations

import json
import random
import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from harness.paths import data_dir

SEED = 5
ITEMS_PER_TEMPLATE = 5
FILE_NAME = "arithmetic.jsonl"

_NAMES = (
    "Anna", "Ben", "Carla", "David", "Elif", "Farid", "Grace", "Hugo", "Ines", "Jamal",
    "Keiko", "Liam", "Mona", "Nils", "Olga", "Pedro", "Rosa", "Samir", "Tara", "Viktor",
)  # fmt: skip
_THINGS = (
    "apples", "stamps", "marbles", "postcards", "shells", "pencils", "buttons", "coins", "stickers", "pears",
    "beads", "candles", "ribbons", "walnuts", "badges",
)  # fmt: skip
_CONTAINERS = ("box", "bag", "basket", "crate", "jar")
_TIMES = {2: "twice", 3: "three times", 4: "four times", 5: "five times", 6: "six times"}


class Draw:
    """What one item is filled with.

    Of names, things and containers the items of one template get different ones.

    Args:
        rng: only its ``random()`` is used: Python promises the same numbers for the same seed of no other method.
        index: which item of its template this is, from 0.
    """

    def __init__(self, rng: random.Random, index: int) -> None:
        self._rng = rng
        self._index = index

    def number(self, low: int, high: int) -> int:
        """A whole number from ``low`` to ``high``, both included."""
        return low + int(self._rng.random() * (high - low + 1))

    def _turn(self, words: tuple[str, ...], offset: int) -> str:
        return words[(offset + self._index) % len(words)]

    def names(self) -> tuple[str, str]:
        """Two different people."""
        first = self.number(0, len(_NAMES) - 1)
        second = first + self.number(1, len(_NAMES) - 1)
        return _NAMES[first], _NAMES[second % len(_NAMES)]

    def name(self) -> str:
        """One person."""
        return self.names()[0]

    def things(self, offset: int) -> str:
        """Things that can be counted, in the plural; ``offset`` is the template's own start in the list."""
        return self._turn(_THINGS, offset)

    def container(self) -> str:
        """What holds them, in the singular."""
        return self._turn(_CONTAINERS, 0)


@dataclass(frozen=True)
class Template:
    """One kind of question.

    Args:
        steps: operations that the answer takes: the item's difficulty.
        make: question and answer of one item.
    """

    steps: int
    make: Callable[[Draw], tuple[str, int]]


def _found(draw: Draw) -> tuple[str, int]:
    name, things, had, more = draw.name(), draw.things(0), draw.number(4, 40), draw.number(3, 30)
    question = f"{name} has {had} {things} and finds {more} more. How many {things} does {name} have now?"
    return question, had + more


def _sold(draw: Draw) -> tuple[str, int]:
    things, had, sold = draw.things(3), draw.number(40, 90), draw.number(5, 38)
    question = (
        f"A shop had {had} {things} in the morning and sold {sold} of them during the day. "
        f"How many {things} were left in the evening?"
    )
    return question, had - sold


def _held(draw: Draw) -> tuple[str, int]:
    things, container, each, count = draw.things(6), draw.container(), draw.number(4, 12), draw.number(3, 9)
    plural = f"{container}es" if container.endswith("x") else f"{container}s"
    question = f"Each {container} holds {each} {things}. How many {things} do {count} full {plural} hold?"
    return question, each * count


def _shared(draw: Draw) -> tuple[str, int]:
    things, each, children = draw.things(9), draw.number(3, 12), draw.number(3, 9)
    question = (
        f"{each * children} {things} are shared equally among {children} children. "
        f"How many {things} does each child get?"
    )
    return question, each


def _older(draw: Draw) -> tuple[str, int]:
    (old, young), age, years = draw.names(), draw.number(5, 30), draw.number(3, 35)
    question = (
        f"{old} is {age + years} years old and {young} is {age} years old. "
        f"By how many years is {old} older than {young}?"
    )
    return question, years


def _pages(draw: Draw) -> tuple[str, int]:
    name, pages, read = draw.name(), draw.number(110, 320), draw.number(25, 95)
    question = (
        f"A book has {pages} pages, and {name} has read {read} of them. "
        f"How many pages does {name} still have to read?"
    )
    return question, pages - read


def _daily(draw: Draw) -> tuple[str, int]:
    name, distance, days = draw.name(), draw.number(3, 15), draw.number(4, 14)
    question = (
        f"{name} runs {distance} kilometres every day. How many kilometres does {name} run in {days} days?"
    )
    return question, distance * days


def _times_as_many(draw: Draw) -> tuple[str, int]:
    (few, many), things, count, factor = draw.names(), draw.things(12), draw.number(4, 25), draw.number(2, 6)
    question = (
        f"{few} has {count} {things}, and {many} has {_TIMES[factor]} as many. "
        f"How many {things} does {many} have?"
    )
    return question, count * factor


def _two_prices(draw: Draw) -> tuple[str, int]:
    name, pens, price, book = draw.name(), draw.number(3, 9), draw.number(2, 6), draw.number(7, 25)
    question = (
        f"{name} buys {pens} pens at {price} euros each and one book for {book} euros. "
        f"How many euros does {name} pay in total?"
    )
    return question, pens * price + book


def _change(draw: Draw) -> tuple[str, int]:
    name, tickets, price = draw.name(), draw.number(3, 6), draw.number(6, 16)
    note = 50 if tickets * price < 50 else 100
    question = (
        f"{name} buys {tickets} tickets at {price} euros each and pays with {note} euros. "
        f"How many euros does {name} get back?"
    )
    return question, note - tickets * price


def _bus(draw: Draw) -> tuple[str, int]:
    aboard, off, on = draw.number(20, 48), draw.number(4, 18), draw.number(3, 17)
    question = (
        f"There are {aboard} people on a bus. At the next stop {off} people get off and {on} people get on. "
        "How many people are on the bus now?"
    )
    return question, aboard - off + on


def _left_over(draw: Draw) -> tuple[str, int]:
    size, full = draw.number(7, 16), draw.number(4, 9)
    rest = draw.number(2, size - 1)
    question = (
        f"{size * full + rest} eggs are packed into cartons of {size} until no further carton can be filled. "
        "How many eggs are left over?"
    )
    return question, rest


def _minutes(draw: Draw) -> tuple[str, int]:
    hours, minutes = draw.number(2, 6), 5 * draw.number(2, 11)
    question = f"A journey takes {hours} hours and {minutes} minutes. How many minutes is that?"
    return question, 60 * hours + minutes


def _rows(draw: Draw) -> tuple[str, int]:
    rows, chairs, broken = draw.number(5, 14), draw.number(6, 15), draw.number(3, 19)
    question = (
        f"A hall has {rows} rows of {chairs} chairs, and {broken} of the chairs are broken. "
        "How many chairs are not broken?"
    )
    return question, rows * chairs - broken


def _together(draw: Draw) -> tuple[str, int]:
    (few, many), things, count, more = draw.names(), draw.things(2), draw.number(6, 30), draw.number(3, 20)
    question = (
        f"{few} has {count} {things}, and {many} has {more} more than {few}. "
        f"How many {things} do they have together?"
    )
    return question, 2 * count + more


def _kept(draw: Draw) -> tuple[str, int]:
    name, kept, each, neighbours = draw.name(), draw.number(3, 12), draw.number(3, 9), draw.number(3, 8)
    question = (
        f"{name} bakes {kept + each * neighbours} rolls, keeps {kept} of them and shares the rest equally among "
        f"{neighbours} neighbours. How many rolls does each neighbour get?"
    )
    return question, each


def _hens(draw: Draw) -> tuple[str, int]:
    hens, eggs, weeks, broken = draw.number(4, 12), draw.number(3, 6), draw.number(2, 4), draw.number(3, 15)
    question = (
        f"A farmer has {hens} hens, and each hen lays {eggs} eggs a week. In {weeks} weeks {broken} of the eggs break. "
        "How many whole eggs does the farmer have after that time?"
    )
    return question, hens * eggs * weeks - broken


def _wages(draw: Draw) -> tuple[str, int]:
    name, wage, hours, days, spent = (
        draw.name(), draw.number(9, 18), draw.number(4, 8), draw.number(3, 6), draw.number(25, 95),
    )  # fmt: skip
    question = (
        f"{name} earns {wage} euros an hour and works {hours} hours a day for {days} days. "
        f"Then {name} spends {spent} euros. How many euros are left of the wages?"
    )
    return question, wage * hours * days - spent


def _train(draw: Draw) -> tuple[str, int]:
    cars, seats, empty, off = draw.number(4, 9), draw.number(30, 60), draw.number(6, 28), draw.number(11, 45)
    question = (
        f"A train has {cars} carriages with {seats} seats each. "
        f"It leaves with {empty} seats empty and nobody standing. "
        f"At the first stop {off} passengers get off and nobody gets on. How many passengers are on the train now?"
    )
    return question, cars * seats - empty - off


def _tank(draw: Draw) -> tuple[str, int]:
    held, drained, minutes = draw.number(20, 90), draw.number(2, 6), draw.number(5, 15)
    filled = drained + draw.number(3, 12)
    question = (
        f"A tank holds {held} litres of water. Every minute {filled} litres flow in and {drained} litres flow out. "
        f"How many litres are in the tank after {minutes} minutes?"
    )
    return question, held + minutes * (filled - drained)


TEMPLATES = (
    Template(1, _found),
    Template(1, _sold),
    Template(1, _held),
    Template(1, _shared),
    Template(1, _older),
    Template(1, _pages),
    Template(1, _daily),
    Template(1, _times_as_many),
    Template(2, _two_prices),
    Template(2, _change),
    Template(2, _bus),
    Template(2, _left_over),
    Template(2, _minutes),
    Template(2, _rows),
    Template(2, _together),
    Template(2, _kept),
    Template(3, _hens),
    Template(3, _wages),
    Template(3, _train),
    Template(3, _tank),
)


def _made(template: Template, draw: Draw, asked: set[str]) -> tuple[str, int]:
    """One question that was not asked yet, and its answer; no number occurs twice, so echoing one is wrong."""
    while True:
        question, answer = template.make(draw)
        numbers = [*re.findall(r"\d+", question), str(answer)]
        if question not in asked and len(set(numbers)) == len(numbers):
            return question, answer


def items(seed: int = SEED) -> list[dict[str, str | int]]:
    """Every item: ``id``, ``steps``, ``question`` and ``answer``, a whole number in digits."""
    rng = random.Random(seed)
    made: list[dict[str, str | int]] = []
    asked: set[str] = set()
    # Template by template within each round: the first items of the file are a fair sample of it (`limit`).
    for index in range(ITEMS_PER_TEMPLATE):
        for template in TEMPLATES:
            question, answer = _made(template, Draw(rng, index), asked)
            asked.add(question)
            made.append(
                {
                    "id": f"arithmetic-{len(made) + 1:03d}",
                    "steps": template.steps,
                    "question": question,
                    "answer": str(answer),
                }
            )
    return made


def file_text(seed: int = SEED) -> str:
    """The data file: one JSON object per line, ASCII, Unix line ends."""
    return "".join(f"{json.dumps(item)}\n" for item in items(seed))


def shipped_file() -> Path:
    """Where the data file is."""
    return data_dir("suites") / "tasks" / FILE_NAME


if __name__ == "__main__":
    shipped_file().write_bytes(file_text().encode("ascii"))
