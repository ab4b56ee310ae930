"""What the project says it needs: the packages that users ask for, and one pin for each everywhere."""

from __future__ import annotations

import tomllib
from collections.abc import Iterator

import pytest
from command_line import ROOT
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from harness.frameworks import frameworks
from harness.worker.api import Requirements

PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
EXTRAS: dict[str, list[str]] = PROJECT["optional-dependencies"]

#: Every package that somebody who benchmarks on devices looks for.
WANTED = (
    "altair",
    "llama-cpp-python",
    "lm-eval",
    "mlx",
    "nvidia-ml-py",
    "onnxruntime-directml",
    "onnxruntime-qnn",
    "openvino",
    "pandas",
    "psutil",
    "pytest",
    "pytest-benchmark",
    "sqlmodel",
)


def _sets(requirements: Requirements) -> Iterator[Requirements]:
    yield requirements
    if requirements.converter is not None:
        yield requirements.converter


def _of_frameworks() -> dict[str, list[str]]:
    """Every pin of every framework, its converter's included."""
    return {
        name: [line for one in _sets(entry.backend.requirements) for line in one.packages]
        for name, entry in frameworks().items()
    }


def _locked() -> list[str]:
    """Pins of all locks."""
    locks = (ROOT / "harness" / "environment" / "locks").glob("*.txt")
    lines = [line for lock in locks for line in lock.read_text(encoding="utf-8").splitlines()]
    return [line.split(";")[0].strip(" \\") for line in lines if line[:1].isalnum()]


def _name(line: str) -> str:
    return canonicalize_name(Requirement(line).name)


@pytest.mark.parametrize("package", WANTED)
def test_a_wanted_package_is_a_dependency_an_extra_or_a_frameworks_requirement(package: str) -> None:
    lines = [*PROJECT["dependencies"], *_locked()]
    lines += [line for group in (*EXTRAS.values(), *_of_frameworks().values()) for line in group]
    assert package in {_name(line) for line in lines}


@pytest.mark.parametrize("extra", sorted(set(EXTRAS) & set(frameworks())))
def test_a_frameworks_extra_has_the_frameworks_own_pins(extra: str) -> None:
    backend = frameworks()[extra].backend
    assert set(EXTRAS[extra]) <= set(_of_frameworks()[extra])
    assert any(_name(line) in {_name(one) for one in EXTRAS[extra]} for line in backend.requirements.packages)


@pytest.mark.parametrize("name", ["directml", "llamacpp", "mlx", "openvino", "qnn"])
def test_a_framework_that_can_stand_in_the_users_own_environment_has_an_extra(name: str) -> None:
    assert name in EXTRAS


def test_a_package_has_one_pin_in_a_framework_and_its_lock() -> None:
    locked = {_name(line): Requirement(line).specifier for line in _locked()}
    for name, entry in frameworks().items():
        for one in _sets(entry.backend.requirements):
            if one.lock is None:
                continue
            for line in one.packages:
                assert str(locked[_name(line)]) == str(Requirement(line).specifier), f"{name}: {line}"
