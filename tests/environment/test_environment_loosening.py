"""Which pins give way, by what pip says; pip itself says it in the tests of the manager."""

from __future__ import annotations

import pytest
from environment_index import backend

from harness.environment import Override, Package
from harness.environment.loosening import given_way, in_the_way, without
from harness.environment.plan import Plan, make_plan

SAID = """
ERROR: Cannot install engine==1.0, extra-top[fast]==2.0 and top because these package versions have conflicts.

The conflict is caused by:
    The user requested engine==1.0
    middle_part[fast] 2.0 depends on engine~=2.0
    The user requested (constraint) theirs==1.0

To fix this you could try to:
1. loosen the range of top==2.0 depends on
"""


def plan(*overrides: str) -> Plan:
    pinned = backend("engine==2.0", "top==2.0", "extra-top[fast]==2.0", "middle-part==2.0", "apart==5.0")
    return make_plan(pinned, "cpu", [Override.parse(text) for text in overrides], "runtime")


def test_what_the_conflict_names_gives_way_first_and_then_what_asks_for_it() -> None:
    asked = plan("engine==1.0")
    first = in_the_way(SAID, asked, ())
    assert first == {"middle-part"}, "neither the override nor what is no pin of the framework"
    second = in_the_way(SAID * 2, asked, first)
    assert second == {"top", "extra-top"}
    assert in_the_way(SAID, asked, first | second) == frozenset()


@pytest.mark.parametrize(
    "said", ["", "ERROR: Cannot install engine==1.0 and top because of the weather", SAID]
)
def test_without_an_override_or_an_explanation_nothing_gives_way(said: str) -> None:
    assert in_the_way(said, plan(), ()) == frozenset()
    if said != SAID:
        assert in_the_way(said, plan("engine==1.0"), ()) == frozenset()


def test_a_pin_that_gave_way_is_asked_for_in_any_version_with_its_extras() -> None:
    lines = ["engine==1.0", "extra-top[b,a]==2.0", "own @ file:///own-1.0-py3-none-any.whl", "Top==2.0"]
    names = {"extra-top", "top", "own"}
    assert without(lines, names, keep=True) == ["engine==1.0", "extra-top[a,b]", lines[2], "Top"]
    assert without(lines, names, keep=False) == ["engine==1.0", lines[2]]
    assert without(lines, (), keep=True) == lines


def test_the_notes_name_what_is_installed_in_place_of_a_pin() -> None:
    packages = [Package("engine", "1.0", None), Package("top", "1.0", None), Package("apart", "5.0", None)]
    (note,) = given_way(plan("engine==1.0"), packages)
    assert note == "top 1.0 in place of the pin top==2.0, which does not fit the override"
