"""The front of the parity check: its options, its side of a pair in real workers, its answer and exit status."""

from __future__ import annotations

import importlib
import json
import sys
from collections.abc import Sequence
from pathlib import Path
from types import ModuleType

import pytest

from harness.errors import EdgebenchError
from parity_tools.tool import Case, Seconds, Shape, Tool

PREFILL_S, DECODE_S = 0.05, 0.02
SCRIPT = {
    "prefill": [{"do": "wait", "seconds": PREFILL_S}],
    "decode": [{"do": "wait", "seconds": DECODE_S}],
}


class Scripted(Tool):
    """A tool of the scripted framework whose figures are those of a list."""

    framework = "fake"
    help = "nothing"
    default_shape = Shape(prompt_tokens=8, decode_tokens=3, repetitions=2)
    load_options = {"script": json.dumps(SCRIPT), "compute": "bf16"}  # noqa: RUF012

    def __init__(self, figures: Seconds) -> None:
        self.figures = figures
        self.cases: list[Case] = []

    def artifact(self, path: Path) -> Path:
        return path

    def command(self, tool: Path | None, python: Path) -> list[str]:
        return ["scripted"]

    def seconds(self, command: Sequence[str], case: Case, seed: int) -> Seconds:
        self.cases.append(case)
        if not self.figures:
            raise EdgebenchError("scripted gave no figure", next_step="give it one")
        return self.figures


@pytest.fixture
def parity(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    monkeypatch.setenv("EDGEBENCH_FAKE", "1")
    before = list(sys.path)
    module = importlib.import_module("parity")
    sys.path[:] = before  # the script makes a checkout importable
    return module


@pytest.fixture
def arguments(tmp_path: Path) -> list[str]:
    artifact = tmp_path / "fake.json"
    artifact.write_text(json.dumps({"bits": 8, "broken": False}), encoding="utf-8")
    return [
        *("--framework", "fake", "--artifact", str(artifact), "--python", sys.executable),
        *("--threads", "1", "--min-pairs", "2", "--max-pairs", "2", "--json"),
    ]


def _with(parity: ModuleType, monkeypatch: pytest.MonkeyPatch, tool: Tool) -> None:
    monkeypatch.setitem(parity.TOOLS, "fake", tool)


def test_our_side_is_the_synchronised_forward_time_of_a_run(
    parity: ModuleType, tmp_path: Path, arguments: list[str]
) -> None:
    tool = Scripted({})
    ours = parity.Ours(
        tool, Path(sys.executable), Path(arguments[3]), 1, tool.default_shape, tmp_path / "log"
    )
    loaded = ours.loaded()
    assert loaded["hints"]["compute"] == "bf16", "the tool's load options are in force"
    seconds = ours.seconds(0)
    assert seconds["prefill"] >= PREFILL_S
    assert seconds["decode"] >= 3 * DECODE_S
    assert set(seconds) == {"prefill", "decode"}


def test_the_json_has_each_phase_and_what_was_compared(
    parity: ModuleType,
    monkeypatch: pytest.MonkeyPatch,
    arguments: list[str],
    capsys: pytest.CaptureFixture[str],
) -> None:
    # A thousand times faster than ours can be: no machine is too noisy to see that.
    tool = Scripted({"prefill": PREFILL_S / 1000, "decode": 3 * DECODE_S / 1000})
    _with(parity, monkeypatch, tool)
    assert parity.main([*arguments, "--half-width", "3"]) == parity.BEYOND
    captured = capsys.readouterr()
    result = json.loads(captured.out)
    for phase in ("prefill", "decode"):
        assert set(result[phase]) == {"ratio", "low", "high", "pairs", "conclusive", "answer"}
        assert result[phase]["ratio"] <= 0.001
        assert result[phase]["answer"] == "beyond"
        assert result[phase]["pairs"] == 2
    assert result["run"]["prompt_tokens"] == 8
    assert result["run"]["hints"]["compute"] == "bf16"
    assert "pair 2 of at most 2" in captured.err
    assert len(tool.cases) == 2
    assert tool.cases[0].shape == tool.default_shape


def test_an_inconclusive_answer_is_no_failure(
    parity: ModuleType,
    monkeypatch: pytest.MonkeyPatch,
    arguments: list[str],
    capsys: pytest.CaptureFixture[str],
) -> None:
    _with(parity, monkeypatch, Scripted({"prefill": PREFILL_S, "decode": 3 * DECODE_S}))
    # No interval has less than no width.
    assert parity.main([*arguments[:-1], "--half-width", "0"]) == 0
    assert capsys.readouterr().out.count("inconclusive") == 2


def test_a_tool_without_a_figure_ends_with_two_lines_and_status_one(
    parity: ModuleType,
    monkeypatch: pytest.MonkeyPatch,
    arguments: list[str],
    capsys: pytest.CaptureFixture[str],
) -> None:
    _with(parity, monkeypatch, Scripted({}))
    assert parity.main(arguments) == 1
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err.splitlines()[-2:] == ["scripted gave no figure", "give it one"]


@pytest.mark.parametrize(
    "words",
    [
        ["--framework", "nothing"],
        ["--threads", "0"],
        ["--prompt-tokens", "0"],
        ["--min-pairs", "1"],
        ["--min-pairs", "7", "--max-pairs", "6"],
    ],
)
def test_wrong_words_end_with_status_two(parity: ModuleType, words: list[str]) -> None:
    with pytest.raises(SystemExit) as error:
        parity.main(["--framework", "mlx", "--artifact", "folder", *words])
    assert error.value.code == 2


def test_an_artifact_that_is_none_ends_with_status_two_before_any_set_up(
    parity: ModuleType, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert parity.main(["--framework", "olive", "--artifact", str(tmp_path)]) == 2
    assert "--artifact" in capsys.readouterr().err


def test_the_amount_of_work_is_the_frameworks_unless_told(parity: ModuleType) -> None:
    for name, tool in parity.TOOLS.items():
        options = parity.parse(["--framework", name, "--artifact", "a", "--decode-tokens", "7"])
        assert options.prompt_tokens == tool.default_shape.prompt_tokens
        assert options.decode_tokens == 7
        assert options.repetitions == tool.default_shape.repetitions
