"""Newest releases: asked of the index, tried, and left where they do not work."""

from __future__ import annotations

from collections.abc import Sequence

from harness.environment import Override
from harness.environment.tools import Tool
from harness.errors import EdgebenchError
from harness.nightly.upgrade import Upgrade, newest_releases
from harness.worker.api import Requirements

ONE = Tool("one", "One", Requirements(("one==1.0", "helper[x]==2.0", "loose>=3"), "one"))
TWO = Tool(
    "two", "Two", Requirements(("two==5.1",), "two", converter=Requirements(("helper==2.0",), "helper"))
)


class Lab:
    """An index, and environments of which some cannot be made."""

    def __init__(self, newest: dict[str, str], broken: Sequence[str] = ()) -> None:
        self.newest = newest
        self.broken = broken
        self.asked: list[str] = []
        self.tried: list[tuple[str, list[str]]] = []
        self.told: list[str] = []

    def ask(self, name: str) -> str:
        self.asked.append(name)
        if name not in self.newest:
            raise EdgebenchError(f"no newest release of {name}", next_step="none")
        return self.newest[name]

    def trial(self, framework: str, overrides: Sequence[Override]) -> None:
        words = [override.text for override in overrides]
        self.tried.append((framework, words))
        for word in words:
            if word in self.broken:
                raise EdgebenchError(f"{word} does not build", next_step="none")

    def upgrade(self, *backends: Tool, given: Sequence[str] = ()) -> Upgrade:
        return newest_releases(
            backends, [Override.parse(word) for word in given], self.trial, self.told.append, ask=self.ask
        )


def test_what_is_newer_than_its_pin_is_used_where_it_can_be_made() -> None:
    lab = Lab({"one": "1.1", "helper": "2.0", "two": "5.1", "loose": "2.9"})
    found = lab.upgrade(ONE, TWO)
    assert found.overrides == ("one=one==1.1",)
    assert found.used == ("one: one 1.0 -> 1.1",)
    assert found.failed == ()
    assert lab.tried == [("one", ["one=one==1.1"])]
    assert lab.asked == ["one", "helper", "loose", "two"]


def test_of_a_range_the_newest_release_in_it_is_taken() -> None:
    found = Lab({"one": "1.0", "helper": "2.0", "loose": "3.4"}).upgrade(ONE)
    assert found.overrides == ("one=loose==3.4",)
    assert found.used == ("one: loose >=3 -> 3.4",)


def test_an_older_newest_release_is_no_upgrade() -> None:
    lab = Lab({"one": "0.9", "helper": "1.9.9", "loose": "2"})
    assert lab.upgrade(ONE).overrides == ()
    assert lab.tried == []


def test_where_all_together_fail_the_framework_alone_is_tried_and_then_the_pins_stand() -> None:
    lab = Lab({"one": "1.1", "helper": "3.0", "loose": "2"}, broken=["one=helper==3.0"])
    found = lab.upgrade(ONE)
    assert found.overrides == ("one=one==1.1",)
    assert found.failed == ("one: not with one 1.1, helper 3.0: one=helper==3.0 does not build",)
    lab = Lab({"one": "1.1", "helper": "3.0", "loose": "2"}, broken=["one=one==1.1"])
    found = lab.upgrade(ONE)
    assert (found.overrides, found.used, len(found.failed)) == ((), (), 2)
    assert [words for _, words in lab.tried] == [["one=one==1.1", "one=helper==3.0"], ["one=one==1.1"]]


def test_an_index_that_does_not_answer_is_told_and_the_pin_is_used() -> None:
    lab = Lab({"one": "1.1", "loose": "2"})
    found = lab.upgrade(ONE, TWO)
    assert found.overrides == ("one=one==1.1",)
    assert found.failed == (
        "one: no newest release of helper; 2.0 is used",
        "two: no newest release of two; 5.1 is used",
        "two: no newest release of helper; 2.0 is used",
    )


def test_what_the_user_named_is_left_alone_and_tried_with_the_rest() -> None:
    lab = Lab({"one": "1.1", "helper": "3.0", "two": "6.0", "loose": "2"})
    found = lab.upgrade(ONE, TWO, given=["one=one==0.5"])
    assert found.overrides == ("one=helper==3.0", "two=two==6.0", "two=helper==3.0")
    assert lab.tried[0] == ("one", ["one=one==0.5", "one=helper==3.0"])
    assert "one" not in lab.asked
