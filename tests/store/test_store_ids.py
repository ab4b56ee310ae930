from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone

import make_store_records as make
import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.store import ids, records

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text() | st.floats(allow_nan=False, allow_infinity=False),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=12,
)


@given(st.dictionaries(st.text(), JSON, max_size=6), st.randoms())
def test_an_id_does_not_depend_on_the_order_of_keys(content: dict[str, object], shuffle: object) -> None:
    items = list(content.items())
    shuffle.shuffle(items)  # type: ignore[attr-defined]
    assert ids.content_id("cell", dict(items)) == ids.content_id("cell", content)


@given(st.dictionaries(st.text(), JSON, max_size=6))
def test_an_id_is_sixteen_digits_and_differs_by_kind(content: dict[str, object]) -> None:
    made = ids.content_id("cell", content)
    assert len(made) == ids.DIGITS == 16
    assert int(made, 16) >= 0
    assert made != ids.content_id("model", content)


def test_ids_never_change_between_versions_of_the_program() -> None:
    assert ids.content_id("cell", {"a": 1, "b": ["é", None, 1.5]}) == "83a01886ed2598b2"
    assert make.cell().id == make.cell().id == "b240e16deeddb6fe"
    assert ids.run_id("20261123T0612-f51a5436", "b240e16deeddb6fe", "timed", 0, 1) == "20ce479b51a9eaf0"


def test_a_number_that_is_none_has_no_id() -> None:
    with pytest.raises(ValueError, match="not JSON compliant"):
        ids.content_id("cell", {"depth": float("nan")})


def test_a_session_id_is_its_minute_in_utc_and_eight_digits() -> None:
    moment = datetime(2026, 11, 23, 7, 12, 3, 250000, tzinfo=timezone(timedelta(hours=1)))
    made = ids.session_id(moment, {"seed": 7})
    assert made.startswith("20261123T0612-")
    assert len(made) == len("20261123T0612-3fa9c01e")
    assert made == ids.session_id(moment.astimezone(UTC), {"seed": 7})
    assert made != ids.session_id(moment + timedelta(microseconds=1), {"seed": 7})


def test_a_kernel_that_keeps_a_few_megabytes_more_does_not_make_another_machine() -> None:
    one = make.machine(memory_bytes=16_700_000_000)
    assert one == make.machine(memory_bytes=16_700_000_000 - 6_000_000)
    assert one.id != make.machine(memory_bytes=32 * 2**30).id


def test_the_order_in_which_devices_and_packages_are_listed_does_not_matter() -> None:
    devices = [{"name": "b"}, {"name": "a"}]
    assert make.machine(accelerators=devices) == make.machine(accelerators=devices[::-1])
    packages = [records.PackageRecord("b", "1"), records.PackageRecord("a", "2", "sha256:00")]
    environments = [
        records.EnvironmentRecord("mlx", "cpu", "3.11.7", order) for order in (packages, packages[::-1])
    ]
    assert environments[0].id == environments[1].id
    assert environments[0].id != records.EnvironmentRecord("mlx", "cpu", "3.11.8", packages).id


@pytest.mark.parametrize("changed", ["recipe", "device", "api", "workload", "model", "framework"])
def test_every_axis_makes_another_cell(changed: str) -> None:
    assert make.cell(**{changed: "other"}).id != make.cell().id
