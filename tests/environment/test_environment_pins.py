"""Lock files: their reading, and that those in the package are whole and agree with the backends."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from packaging.requirements import Requirement

from harness.environment import relock
from harness.environment.pins import LOCKS, Pin, parse_lock
from harness.worker.api import Requirements

hashes = st.binary(min_size=32, max_size=32).map(lambda value: f"sha256:{value.hex()}")
markers = st.sampled_from(
    ["", " ; sys_platform == 'linux'", " ; python_full_version < '3.12' and os_name != 'nt'"]
)
pins = st.builds(
    lambda name, version, marker, found: Pin(Requirement(f"{name}=={version}{marker}"), tuple(found)),
    st.from_regex(r"\A[a-z][a-z0-9]{0,6}(?:-[a-z0-9]{1,3})?\Z"),
    st.from_regex(r"\A[0-9]{1,3}\.[0-9]{1,2}\Z"),
    markers,
    st.lists(hashes, min_size=1, max_size=3),
)


def as_text(pin: Pin) -> str:
    return " \\\n".join([str(pin.requirement), *(f"    --hash={value}" for value in pin.hashes)])


@given(st.lists(pins, max_size=5))
def test_what_is_written_is_read(written: list[Pin]) -> None:
    text = "# a comment\n\n" + "\n".join(as_text(pin) for pin in written) + "\n"
    assert [(str(pin.requirement), pin.hashes) for pin in parse_lock(text)] == [
        (str(pin.requirement), pin.hashes) for pin in written
    ]


@pytest.mark.parametrize(
    "text",
    [
        "a==1",
        "a>=1 --hash=sha256:00",
        "a==1 --hash=md5:00",
        "a==1,==2 --hash=sha256:00",
        "a --hash=sha256:00",
    ],
)
def test_a_line_that_pins_nothing_exactly_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="not an exact pin with hashes"):
        parse_lock(text)


def test_a_line_for_pip_has_no_marker() -> None:
    (pin,) = parse_lock(
        "Some_Name==1.0 ; sys_platform != 'none' \\\n  --hash=sha256:aa \\\n  --hash=sha256:bb\n"
    )
    assert pin.line == "some-name==1.0 --hash=sha256:aa --hash=sha256:bb"


LOCK_FILES = sorted(path.name for path in LOCKS.glob("*.txt"))


@pytest.mark.parametrize("name", LOCK_FILES)
def test_a_shipped_lock_has_hashes_for_every_pin_and_no_address(name: str) -> None:
    text = (LOCKS / name).read_text(encoding="utf-8")
    assert "://" not in text
    assert "--index" not in text
    found = parse_lock(text)
    assert all(len(value) == len("sha256:") + 64 for pin in found for value in pin.hashes)
    assert found


@pytest.mark.parametrize("name", LOCK_FILES)
@pytest.mark.parametrize("platform", ["linux", "darwin", "win32"])
@pytest.mark.parametrize("python", ["3.11.9", "3.12.4", "3.13.1"])
def test_a_shipped_lock_has_one_version_of_each_package_everywhere(
    name: str, platform: str, python: str
) -> None:
    environment = {
        "sys_platform": platform,
        "python_full_version": python,
        "python_version": python.rpartition(".")[0],
        "platform_machine": "arm64" if platform == "darwin" else "x86_64",
    }
    names = [
        pin.name
        for pin in parse_lock((LOCKS / name).read_text(encoding="utf-8"))
        if pin.requirement.marker is None or pin.requirement.marker.evaluate(environment)
    ]
    assert len(names) == len(set(names))


def test_every_lock_holds_the_pins_of_its_backend_and_every_lock_has_one() -> None:
    sets = relock.locked()
    assert sorted(sets) == LOCK_FILES, "a lock without a backend, or a backend without its lock"
    for name, (framework, requirements) in sets.items():
        text = (LOCKS / name).read_text(encoding="utf-8")
        assert relock.stale(requirements, text) == [], (
            f"run: python -m harness.environment.relock {framework}"
        )


def test_a_changed_pin_is_seen_as_stale() -> None:
    text = "a==1 --hash=sha256:00\nb==2 ; sys_platform == 'win32' --hash=sha256:00\n"
    requirements = Requirements(
        packages=("A[x]==1", "b==2; sys_platform == 'win32'", "c==3"), import_name="a"
    )
    assert relock.stale(requirements, text) == ["c==3"]
    assert relock.stale(Requirements(packages=("a==1.1",), import_name="a"), text) == ["a==1.1"]
