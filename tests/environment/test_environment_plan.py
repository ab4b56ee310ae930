"""What is asked of pip, and the key of that."""

from __future__ import annotations

from pathlib import Path

import pytest
from environment_index import backend

from harness.environment import Override, host, pins
from harness.environment.plan import make_plan
from harness.errors import EdgebenchError, UsageError
from harness.worker.api import Requirements

LOCK = """
engine==1.0 \\
    --hash=sha256:aa
helper==2.0 \\
    --hash=sha256:bb \\
    --hash=sha256:cc
elsewhere==3.0 ; sys_platform == 'nowhere' \\
    --hash=sha256:dd
"""


@pytest.fixture(autouse=True)
def locks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "tiny.txt").write_text(LOCK, encoding="utf-8")
    monkeypatch.setattr(pins, "LOCKS", tmp_path)


ENGINE = ("Engine==1.0", "elsewhere==3.0; sys_platform == 'nowhere'")


def override(text: str) -> list[Override]:
    return [Override.parse(text)]


def test_a_lock_is_installed_with_hashes_and_only_what_is_for_here() -> None:
    plan = make_plan(backend(*ENGINE, lock="tiny.txt"), "cpu", [], "runtime")
    assert plan.hashed
    assert plan.lines == (
        "engine==1.0 --hash=sha256:aa",
        "helper==2.0 --hash=sha256:bb --hash=sha256:cc",
    )
    assert plan.constraints == ()
    assert plan.sources == ()
    assert plan.name == f"tiny-runtime-cpu-{plan.key}"


def test_without_a_lock_the_pins_are_installed_as_they_are() -> None:
    plan = make_plan(
        backend("engine[fast]==1.0", "elsewhere==3; sys_platform == 'nowhere'"), "cpu", [], "runtime"
    )
    assert (plan.hashed, plan.lines, plan.constraints) == (False, ("engine[fast]==1.0",), ())


def test_an_override_ends_hash_checking_and_keeps_the_other_pins_as_constraints() -> None:
    plan = make_plan(backend(*ENGINE, lock="tiny.txt"), "cpu", override("engine==1.1"), "runtime")
    assert (plan.hashed, plan.lines, plan.constraints) == (False, ("engine==1.1",), ("helper==2.0",))


def test_an_override_of_a_package_that_only_the_lock_has_is_asked_for_beside_the_pins() -> None:
    plan = make_plan(backend(*ENGINE, lock="tiny.txt"), "cpu", override("helper==2.1"), "runtime")
    assert (plan.lines, plan.constraints) == (("Engine==1.0", "helper==2.1"), ("engine==1.0",))


def test_an_override_keeps_the_extras_of_the_pin_and_its_marker() -> None:
    declared = backend("engine[fast]==1.0; python_version > '3'", "engine[slow]==1.0; python_version < '3'")
    plan = make_plan(declared, "cpu", override("engine[more]==1.1"), "runtime")
    assert plan.lines == ("engine[fast,more]==1.1",)


def test_a_package_from_source_is_built_and_checked_by_the_lock() -> None:
    declared = backend(
        *ENGINE, lock="tiny.txt", from_source=("ENGINE",), build={"cpu": {"CMAKE_ARGS": "-DX=1"}}
    )
    plan = make_plan(declared, "cpu", [], "runtime")
    (source,) = plan.sources
    assert (source.requirement, source.hashes, source.variant_env) == (
        "engine==1.0",
        ("sha256:aa",),
        {"CMAKE_ARGS": "-DX=1"},
    )
    assert plan.hashed
    assert all(not line.startswith("engine") for line in plan.lines)


def test_another_override_leaves_the_source_checked_and_its_own_version_is_built_unchecked() -> None:
    declared = backend("engine[fast]==1.0", lock="tiny.txt", from_source=("engine",))
    (source,) = make_plan(declared, "cpu", override("helper==2.1"), "runtime").sources
    assert (source.hashes, source.extras) == (("sha256:aa",), ("fast",))
    (source,) = make_plan(declared, "cpu", override("engine==1.1"), "runtime").sources
    assert (source.requirement, source.hashes, source.extras) == ("engine==1.1", (), ("fast",))


def test_a_source_that_only_the_lock_has_is_built_with_an_override_too() -> None:
    declared = backend("engine==1.0", lock="tiny.txt", from_source=("helper",))
    (source,) = make_plan(declared, "cpu", override("engine==1.1"), "runtime").sources
    assert (source.requirement, source.hashes) == ("helper==2.0", ("sha256:bb", "sha256:cc"))


def test_what_changes_the_environment_changes_its_key(monkeypatch: pytest.MonkeyPatch) -> None:
    build = {"cpu": {}, "fast": {"CMAKE_ARGS": "-DFAST=1"}}
    declared = backend(*ENGINE, lock="tiny.txt", from_source=("engine",), build=build)
    keys = {
        make_plan(declared, "cpu", [], "runtime").key,
        make_plan(declared, "fast", [], "runtime").key,
        make_plan(declared, "cpu", override("helper==2.1"), "runtime").key,
        make_plan(declared, "cpu", override("helper==2.2"), "runtime").key,
        make_plan(backend(*ENGINE, lock="tiny.txt", framework="other"), "cpu", [], "runtime").key,
        make_plan(backend("engine==1.1", lock="tiny.txt"), "cpu", override("helper==2.2"), "runtime").key,
    }
    monkeypatch.setenv("CXXFLAGS", "-O1")
    keys.add(make_plan(declared, "cpu", [], "runtime").key)
    monkeypatch.delenv("CXXFLAGS")
    monkeypatch.setattr(host, "cpu_facts", lambda: {"arch": "x86_64", "features": "others"})
    keys.add(make_plan(declared, "cpu", [], "runtime").key)
    monkeypatch.undo()
    assert len(keys) == 8


def test_the_key_of_ready_wheels_does_not_depend_on_processor_or_compiler(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    key = make_plan(backend("engine==1.0"), "cpu", [], "runtime").key
    monkeypatch.setattr(host, "cpu_facts", lambda: {"arch": "x86_64", "features": "others"})
    monkeypatch.setattr(host, "compiler", lambda: None)
    assert make_plan(backend("engine==1.0"), "cpu", [], "runtime").key == key


def test_a_variants_own_variable_wins_over_the_users(monkeypatch: pytest.MonkeyPatch) -> None:
    declared = backend("engine==1.0", from_source=("engine",), build={"cpu": {"CMAKE_ARGS": "-DX=1"}})
    monkeypatch.setenv("CMAKE_ARGS", "-DX=2")
    monkeypatch.setenv("CC", "clang")
    (source,) = make_plan(declared, "cpu", [], "runtime").sources
    assert source.build_env()["CMAKE_ARGS"] == "-DX=1"
    assert source.build_env()["CC"] == "clang"


def test_the_converter_is_the_runtime_where_one_environment_serves_both() -> None:
    declared = backend("engine==1.0")
    assert make_plan(declared, "cpu", [], "converter") == make_plan(declared, "cpu", [], "runtime")


def test_the_converter_has_pins_of_its_own_where_they_disagree() -> None:
    converter = Requirements(packages=("tool==3",), import_name="tool")
    plan = make_plan(backend("engine==1.0", converter=converter), "cpu", [], "converter")
    assert (plan.role, plan.lines, plan.import_name) == ("converter", ("tool==3",), "tool")


def test_an_unknown_variant_is_an_error_that_names_the_known() -> None:
    with pytest.raises(UsageError, match="no build variant 'gpu'") as caught:
        make_plan(backend("engine==1.0", build={"cpu": {}, "cuda": {}}), "gpu", [], "runtime")
    assert "cpu, cuda" in caught.value.next_step


def test_a_framework_without_packages_for_this_platform_is_told() -> None:
    with pytest.raises(EdgebenchError, match="Tiny has no packages for"):
        make_plan(backend("engine==1.0; sys_platform == 'nowhere'"), "cpu", [], "runtime")


def test_features_of_every_core_count_and_clock_speeds_do_not() -> None:
    one = "processor : 0\ncpu MHz : 2000\nflags\t\t: sse avx\n\nprocessor : 1\nflags : avx sse\n"
    other = "processor : 0\ncpu MHz : 3000\nflags\t\t: avx sse\n"
    assert host.linux_features(one) == host.linux_features(other) == ["avx", "sse"]
    arm = "Features : fp asimd\nCPU implementer : 0x41\nCPU part : 0xd0b\n\nFeatures: fp\nCPU part : 0xd05\n"
    assert host.linux_features(arm) == [
        "CPU implementer 0x41",
        "CPU part 0xd05",
        "CPU part 0xd0b",
        "asimd",
        "fp",
    ]
