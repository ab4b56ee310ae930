"""What each framework's own benchmark is given, and how its figures become ours; on recorded output."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import parity_tools.llamacpp
import parity_tools.mlx
import parity_tools.olive
import parity_tools.openvino
from harness.errors import EdgebenchError, UsageError
from harness.frameworks import frameworks
from parity_tools import TOOLS
from parity_tools.llamacpp import LlamaBench
from parity_tools.mlx import MlxBenchmark, phase_times, with_tokeniser
from parity_tools.olive import GenaiLoop
from parity_tools.openvino import GenaiPipeline
from parity_tools.tool import Case, Shape, loop_times, python_command, run

SHAPE = Shape(prompt_tokens=16, decode_tokens=4, repetitions=3)
PYTHON = Path("/env/bin/python")

#: What mlx-lm 0.32.2 printed for ``--prompt-tokens 16 --generation-tokens 5 --num-trials 3``.
MLX_TRIALS = """\
Running warmup..
Timing with prompt_tokens=16, generation_tokens=5, batch_size=1.
Trial 1:  prompt_tps=5.690, generation_tps=1.779, peak_memory=0.275, total_time=5.624
Trial 2:  prompt_tps=5.999, generation_tps=1.739, peak_memory=0.275, total_time=5.544
Trial 3:  prompt_tps=6.379, generation_tps=1.740, peak_memory=0.276, total_time=5.381
Averages: prompt_tps=6.023, generation_tps=1.753, peak_memory=0.275
"""

#: The same for a prompt of one token and one generated, in the same format.
MLX_SINGLE = """\
Running warmup..
Timing with prompt_tokens=1, generation_tokens=1, batch_size=1.
Trial 1:  prompt_tps=0.800, generation_tps=51234.120, peak_memory=0.275, total_time=1.251
Trial 2:  prompt_tps=1.000, generation_tps=49121.881, peak_memory=0.275, total_time=1.002
Trial 3:  prompt_tps=0.500, generation_tps=50872.311, peak_memory=0.275, total_time=2.001
Averages: prompt_tps=0.767, generation_tps=50409.437, peak_memory=0.275
"""

#: The fields of a llama-bench test that count, as it prints them with ``-o json``.
LLAMA_BENCH = json.dumps(
    [
        {
            "n_prompt": 512,
            "n_gen": 0,
            "avg_ns": 960_000_000,
            "samples_ns": [980_000_000, 950_000_000, 950_100_000],
        }
    ]
)


class Recorder:
    """Stands for `run`: gives the outputs one after the other, and keeps the commands."""

    def __init__(self, *outputs: str) -> None:
        self._outputs = list(outputs)
        self.commands: list[list[str]] = []

    def __call__(self, command: Any, env: Any = None) -> str:
        self.commands.append(list(command))
        return self._outputs.pop(0)

    def value(self, flag: str, call: int = 0) -> str:
        """The word behind a flag."""
        words = self.commands[call]
        return words[words.index(flag) + 1]


@pytest.fixture
def recorded(monkeypatch: pytest.MonkeyPatch) -> Callable[..., Recorder]:
    def record(module: Any, *outputs: str) -> Recorder:
        recorder = Recorder(*outputs)
        monkeypatch.setattr(module, "run", recorder)
        return recorder

    return record


def _case(artifact: Path, hints: dict[str, str] | None = None) -> Case:
    return Case(artifact, threads=2, shape=SHAPE, vocab_size=100, hints=hints or {})


def test_every_tool_is_of_a_framework_that_exists() -> None:
    assert set(TOOLS) <= set(frameworks())


# -- what --tool may be -------------------------------------------------------------------------------------------


def test_without_a_tool_the_environments_python_runs_ours() -> None:
    assert python_command(None, PYTHON, ["loop.py"]) == [str(PYTHON), "-I", "loop.py"]


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("python3.11", ["{tool}", "-I", "loop.py"]),
        ("mine.py", [str(PYTHON), "-I", "{tool}"]),
        ("mlx_lm.benchmark", ["{tool}"]),
    ],
)
def test_a_tool_is_a_python_a_script_or_a_program(tmp_path: Path, name: str, words: list[str]) -> None:
    tool = tmp_path / name
    tool.touch()
    expected = [word.format(tool=tool) for word in words]
    assert python_command(tool, PYTHON, ["loop.py"]) == expected


def test_a_virtual_environments_python_is_not_resolved_to_the_systems(tmp_path: Path) -> None:
    (tmp_path / "python").symlink_to(sys.executable)
    assert python_command(tmp_path / "python", PYTHON, [])[0] == str(tmp_path / "python")


def test_a_tool_that_does_not_exist_is_a_usage_error(tmp_path: Path) -> None:
    for tool in TOOLS.values():
        with pytest.raises(UsageError, match="there is no file"):
            tool.command(tmp_path / "nothing", PYTHON)


# -- artifacts ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("framework", "name", "loaded"),
    [
        ("openvino", "openvino_model.xml", "openvino_model.xml"),
        ("mlx", "config.json", "."),
        ("olive", "genai_config.json", "."),
        ("llamacpp", "F16.gguf", "F16.gguf"),
    ],
)
def test_an_artifact_is_given_by_a_file_of_it(tmp_path: Path, framework: str, name: str, loaded: str) -> None:
    (tmp_path / name).touch()
    assert TOOLS[framework].artifact(tmp_path / name) == tmp_path / loaded
    if framework != "llamacpp":
        assert TOOLS[framework].artifact(tmp_path) == tmp_path / loaded


@pytest.mark.parametrize("framework", sorted(TOOLS))
def test_a_folder_without_an_artifact_is_a_usage_error(tmp_path: Path, framework: str) -> None:
    with pytest.raises(UsageError, match="--artifact"):
        TOOLS[framework].artifact(tmp_path)


# -- running ------------------------------------------------------------------------------------------------------


def test_a_failing_tool_is_an_error_with_its_last_words() -> None:
    with pytest.raises(EdgebenchError, match="status 3: no such model"):
        run([sys.executable, "-c", "import sys; print('no such model', file=sys.stderr); sys.exit(3)"])


def test_a_tool_that_cannot_be_started_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(EdgebenchError, match="gave no figure"):
        run([str(tmp_path / "nothing")])


def test_a_tool_gets_the_variables_on_top_of_ours() -> None:
    code = "import os; print(os.environ['PARITY'], 'PATH' in os.environ)"
    assert run([sys.executable, "-c", code], {"PARITY": "yes"}).split() == ["yes", "True"]


# -- llama-bench --------------------------------------------------------------------------------------------------


def test_llama_bench_decodes_at_the_depth_of_the_prompt(
    recorded: Callable[..., Recorder], tmp_path: Path
) -> None:
    run_ = recorded(parity_tools.llamacpp, LLAMA_BENCH, LLAMA_BENCH.replace("95", "75"))
    seconds = LlamaBench().seconds(["llama-bench"], _case(tmp_path / "F16.gguf"), seed=0)
    assert seconds == {"prefill": 0.9501, "decode": 0.7501}
    assert (run_.value("-p"), run_.value("-n"), run_.value("-d")) == ("16", "0", "0")
    assert (run_.value("-p", 1), run_.value("-n", 1), run_.value("-d", 1)) == ("0", "4", "16")
    for call in range(2):
        assert run_.value("-t", call) == "2"
        assert run_.value("--flash-attn", call) == LlamaBench.load_options["flash_attn"]


@pytest.mark.parametrize("text", ["", "[]", "[{}, {}]", '[{"samples_ns": []}]', "{"])
def test_llama_bench_without_one_test_is_an_error(
    recorded: Callable[..., Recorder], tmp_path: Path, text: str
) -> None:
    recorded(parity_tools.llamacpp, text)
    with pytest.raises(EdgebenchError, match="llama-bench gave no figure"):
        LlamaBench().seconds(["llama-bench"], _case(tmp_path), seed=0)


# -- our loops' output --------------------------------------------------------------------------------------------


def test_the_loops_figures_are_the_last_line() -> None:
    text = 'a warning\n{"prefill_s": [0.2, 0.3], "decode_s": [1.0, 1.5]}\n'
    assert loop_times(text, ["python"], 2) == {"prefill": [0.2, 0.3], "decode": [1.0, 1.5]}


@pytest.mark.parametrize(
    "text",
    [
        "",
        "killed",
        '{"prefill_s": [0.2, 0.3]}',
        '{"prefill_s": [0.2], "decode_s": [1.0]}',
        '{"prefill_s": [0.2, 0.3], "decode_s": [1.0, -0.5]}',
        '{"prefill_s": [0.2, null], "decode_s": [1.0, 1.0]}',
    ],
)
def test_a_loop_without_every_figure_is_an_error(text: str) -> None:
    with pytest.raises(EdgebenchError, match="gave no figure"):
        loop_times(text, ["python"], 2)


FIGURES = '{"prefill_s": [0.2, 0.9, 0.3], "decode_s": [1.0, 1.5, 0.1]}\n'


def test_the_pipeline_compiles_with_the_settings_in_force_on_our_side(
    recorded: Callable[..., Recorder], tmp_path: Path
) -> None:
    run_ = recorded(parity_tools.openvino, FIGURES)
    hints = {"INFERENCE_PRECISION_HINT": "f32", "INFERENCE_NUM_THREADS": "2", "EXECUTION_DEVICES": "CPU"}
    case = _case(tmp_path / "openvino_model.xml", hints)
    assert GenaiPipeline().seconds(["python"], case, seed=7) == {"prefill": 0.3, "decode": 1.0}
    assert run_.value("--model") == str(tmp_path)
    assert json.loads(run_.value("--properties")) == {
        "INFERENCE_PRECISION_HINT": "f32",
        "INFERENCE_NUM_THREADS": "2",
    }
    assert (run_.value("--vocab-size"), run_.value("--seed")) == ("100", "7")


def test_the_generators_loop_gets_our_threads(recorded: Callable[..., Recorder], tmp_path: Path) -> None:
    run_ = recorded(parity_tools.olive, FIGURES)
    assert GenaiLoop().seconds(["python"], _case(tmp_path), seed=7) == {"prefill": 0.3, "decode": 1.0}
    assert run_.value("--threads") == "2"
    assert (run_.value("--prompt-tokens"), run_.value("--decode-tokens")) == ("16", "4")


# -- mlx_lm.benchmark ---------------------------------------------------------------------------------------------


def test_mlx_is_asked_for_one_token_more_and_for_a_prompt_of_one(
    recorded: Callable[..., Recorder], tmp_path: Path
) -> None:
    (tmp_path / "tokenizer.json").touch()
    run_ = recorded(parity_tools.mlx, MLX_TRIALS, MLX_SINGLE)
    seconds = MlxBenchmark().seconds(["python"], _case(tmp_path), seed=0)
    assert (run_.value("--generation-tokens"), run_.value("--prompt-tokens")) == ("5", "16")
    assert (run_.value("--generation-tokens", 1), run_.value("--prompt-tokens", 1)) == ("1", "1")
    # Five tokens counted over the time of four steps; the middle trial counts.
    assert seconds["decode"] == pytest.approx(5 / 1.740)
    # The middle single prompt took 1 / 0.8 s.
    prompts = sorted(
        16 / prompt - 1.25 + 5 / generation / 4
        for prompt, generation in ((5.690, 1.779), (5.999, 1.739), (6.379, 1.740))
    )
    assert seconds["prefill"] == pytest.approx(prompts[1])


@pytest.mark.parametrize("overlap", [0.0, 0.4, 1.0])
def test_the_share_of_the_next_step_in_mlxs_prompt_time_cancels(overlap: float) -> None:
    fill_s, step_s = 2.0, 0.5

    def trial(prompt: int, generated: int) -> tuple[float, float]:
        prompt_s = fill_s * (prompt - 1) / 15 + step_s + overlap * step_s
        return prompt / prompt_s, generated / ((generated - 1) * step_s or 1e-5)

    times = phase_times([trial(16, 5)], [trial(1, 1)], SHAPE)
    assert times["prefill"] == [pytest.approx(fill_s + step_s)]
    assert times["decode"] == [pytest.approx(4 * step_s)]


@pytest.mark.parametrize(
    "text",
    [
        "",
        MLX_TRIALS.replace("Trial 3", "Trail 3"),
        MLX_TRIALS.replace("prompt_tps=5.690", "prompt_tps=0.000"),
    ],
)
def test_mlx_without_every_trial_is_an_error(
    recorded: Callable[..., Recorder], tmp_path: Path, text: str
) -> None:
    (tmp_path / "tokenizer.json").touch()
    recorded(parity_tools.mlx, text, MLX_SINGLE)
    with pytest.raises(EdgebenchError, match="not 3 trials"):
        MlxBenchmark().seconds(["python"], _case(tmp_path), seed=0)


def test_an_mlx_prompt_that_is_lost_in_the_correction_is_an_error(
    recorded: Callable[..., Recorder], tmp_path: Path
) -> None:
    (tmp_path / "tokenizer.json").touch()
    recorded(
        parity_tools.mlx,
        MLX_TRIALS,
        MLX_SINGLE.replace("_tps=1.000", "_tps=0.200").replace("=0.800", "=0.100"),
    )
    with pytest.raises(EdgebenchError, match="takes no longer than one of a single token"):
        MlxBenchmark().seconds(["python"], _case(tmp_path), seed=0)


@pytest.mark.skipif(sys.platform == "win32", reason="MLX has no package for Windows")
def test_an_mlx_artifact_without_a_tokeniser_gets_one_beside_its_files(tmp_path: Path) -> None:
    (tmp_path / "model.safetensors").write_bytes(b"weights")
    with with_tokeniser(tmp_path, 3) as folder:
        assert folder != tmp_path
        assert (folder / "model.safetensors").read_bytes() == b"weights"
        tokeniser = json.loads((folder / "tokenizer.json").read_text(encoding="utf-8"))
        assert tokeniser["model"]["vocab"] == {"t0": 0, "t1": 1, "t2": 2}
    assert not folder.exists()
    assert [file.name for file in tmp_path.iterdir()] == ["model.safetensors"]


def test_an_mlx_artifact_with_a_tokeniser_is_used_as_it_is(tmp_path: Path) -> None:
    (tmp_path / "tokenizer.json").write_text("{}", encoding="utf-8")
    with with_tokeniser(tmp_path, 3) as folder:
        assert folder == tmp_path
