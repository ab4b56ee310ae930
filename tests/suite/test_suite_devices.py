"""What a suite's device words mean to a framework."""

from __future__ import annotations

from typing import cast

import pytest

from harness.suite.devices import DeviceWord, Target, targets, vocabulary
from harness.worker.api import Backend, Host


class _Many:
    title = "Many"
    known_devices = (
        ("cpu", "cpu"),
        ("gpu:0", "cuda"),
        ("gpu:1", "cuda"),
        ("gpu:0", "vulkan"),
        ("npu:0", "qnn-htp"),
    )

    @classmethod
    def unavailable(cls, host: Host, device: str, api: str) -> str | None:
        del device
        return None if api == "cpu" or api in host.accelerators else f"no {api} here"


MANY = cast("type[Backend]", _Many)


def _of(word: str, *accelerators: str) -> list[Target]:
    return targets(word, MANY, Host("linux", "x86_64", frozenset(accelerators)))


def test_all_is_every_pair_with_its_reason() -> None:
    found = _of("all", "vulkan")
    assert [(target.device, target.api) for target in found] == list(_Many.known_devices)
    assert [target.reason for target in found] == [
        None,
        "no cuda here",
        "no cuda here",
        None,
        "no qnn-htp here",
    ]


@pytest.mark.parametrize(
    ("word", "device", "api"),
    [
        ("cpu", "cpu", "cpu"),
        ("CPU", "cpu", "cpu"),
        ("cpu:0", "cpu", "cpu"),
        ("cuda", "gpu:0", "cuda"),
        ("cuda:1", "gpu:1", "cuda"),
        ("vulkan:3", "gpu:3", "vulkan"),
        ("gpu:1.vulkan", "gpu:1", "vulkan"),
        ("gpu.vulkan", "gpu:0", "vulkan"),
        ("qnn-htp", "npu:0", "qnn-htp"),
        ("npu", "npu:0", "qnn-htp"),
    ],
)
def test_a_word_means_one_pair(word: str, device: str, api: str) -> None:
    assert _of(word, "cuda", "vulkan", "qnn-htp") == [Target(device, api, None)]


def test_a_kind_is_the_first_api_that_is_usable_here() -> None:
    assert _of("gpu", "cuda", "vulkan") == [Target("gpu:0", "cuda", None)]
    assert _of("gpu", "vulkan") == [Target("gpu:0", "vulkan", None)]
    assert _of("gpu:1", "vulkan") == [Target("gpu:1", "vulkan", None)]
    assert _of("gpu") == [Target("gpu:0", "cuda", "cuda: no cuda here; vulkan: no vulkan here")]


def test_a_device_that_the_framework_does_not_know_has_the_reason() -> None:
    knows = "(it knows cpu, cuda, vulkan, qnn-htp)"
    assert _of("metal") == [Target("gpu:0", "metal", f"Many has no metal device {knows}")]
    assert _of("gpu:0.metal") == [Target("gpu:0", "metal", f"Many has no gpu:0.metal device {knows}")]
    assert _of("cpu:1.qnn-cpu")[0].device == "cpu:1"


def test_words_that_are_none_are_told() -> None:
    assert DeviceWord.parse("gpu 0") is None
    assert DeviceWord.parse("gpu:x") is None
    assert DeviceWord.parse("") is None


def test_matching_ignores_what_the_word_leaves_open() -> None:
    word = DeviceWord.parse("gpu")
    assert word
    assert word.names("gpu:3", "cuda")
    assert not word.names("npu:0", "npu")
    word = DeviceWord.parse("gpu:0")
    assert word
    assert not word.names("gpu:3", "cuda")


def test_the_vocabulary_has_devices_kinds_and_apis() -> None:
    assert {"all", "cpu", "gpu", "gpu:1", "cuda", "qnn-htp", "metal"} <= set(vocabulary([MANY]))
