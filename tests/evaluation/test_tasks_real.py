"""lm-eval itself, in its own environment: its figures against plain arithmetic on the same logits.

The scripted framework computes, so that every logit can be computed again here; llama.cpp does once, on a real model.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from harness.backends.fake import ENTRY, Fake
from harness.environment import Environment, EnvironmentManager
from harness.environment.tools import LM_EVAL
from harness.errors import EdgebenchError
from harness.evaluation.exchange import Evaluation, TaskResult
from harness.frameworks import frameworks
from harness.model import load_models
from harness.paths import cache_dir
from harness.runner.corpora import dataset_corpus
from harness.runner.examine import Examination, examine, survey
from harness.runner.execute import Execution, Limits
from harness.runner.launch import Launch, launch_of_tool
from harness.runner.progress import QuietProgress
from harness.runner.setup import Workshop
from harness.suite import DatasetCorpus
from harness.worker.api import LoadSpec
from harness.worker.bodies import from_body

pytestmark = pytest.mark.framework("tasks")

ITEMS: list[dict[str, Any]] = [
    {"question": "The capital of France is", "choices": ["Paris", "a nut", "red"], "label": 0},
    {"question": "The sun rises in the", "choices": ["pot", "east", "fish"], "label": 1},
    {"question": "A week has seven", "choices": ["noses", "kings", "days"], "label": 2},
]
HEAD = """\
dataset_path: json
dataset_kwargs: {data_files: {test: items.jsonl}}
test_split: test
fewshot_split: test
metadata: {version: 1.5}
"""
CHOICE = (
    HEAD
    + """\
task: choice
output_type: multiple_choice
doc_to_text: "{{question}}"
doc_to_choice: "{{choices}}"
doc_to_target: label
metric_list: [{metric: acc}, {metric: acc_norm}]
"""
)
FILES = {
    "choice.yaml": CHOICE,
    "rolling.yaml": HEAD
    + """\
task: rolling
output_type: loglikelihood_rolling
doc_to_text: ""
doc_to_target: "{{question}} {{choices[label]}}"
metric_list: [{metric: bits_per_byte}]
""",
    "written.yaml": HEAD
    + """\
task: written
output_type: generate_until
doc_to_text: "{{question}}"
doc_to_target: "{{choices[label]}}"
generation_kwargs: {until: ["o"], max_gen_toks: 24}
metric_list: [{metric: exact_match}]
""",
    "code.yaml": CHOICE.replace("task: choice", "task: code").replace(
        '"{{question}}"', "!function helper.text"
    ),
    "attack.yaml": CHOICE.replace("task: choice", "task: attack").replace(
        '"{{question}}"', "\"{{ ''.__class__.__mro__[1].__subclasses__() }}\""
    ),
    "hidden.yaml": CHOICE.replace("task: choice", "task: hidden").replace(
        "doc_to_target: label", "doc_to_target: -1"
    ),
    "untold.yaml": CHOICE.replace("task: choice", "task: untold").replace(
        "doc_to_target: label", "doc_to_target: answer"
    ),
    "gone.yaml": CHOICE.replace("task: choice", "task: gone").replace("items.jsonl", "nowhere.jsonl"),
    "both.yaml": "group: both\ntask: [choice, rolling]\naggregate_metric_list: [{metric: acc}]\n",
    "partly.yaml": "group: partly\ntask: [choice, gone]\naggregate_metric_list: [{metric: acc}]\n",
    "bare.yaml": "group: bare\ntask: [choice, gone]\n",
    "tagged.yaml": CHOICE.replace("task: choice", "task: tagged\ntag: some"),
    "tagged_gone.yaml": CHOICE.replace("task: choice", "task: tagged_gone\ntag: some").replace(
        "items.jsonl", "nowhere.jsonl"
    ),
    "broken.yml.yaml": "task: [",
    "helper.py": "def text(doc):\n    return doc['question']\n",
}
CONTEXT = 160


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("tasks")
    for name, text in FILES.items():
        (path / name).write_text(text, encoding="utf-8")
    (path / "items.jsonl").write_text("".join(json.dumps(item) + "\n" for item in ITEMS), encoding="utf-8")
    return path


@pytest.fixture(scope="module")
def evaluator(tmp_path_factory: pytest.TempPathFactory) -> Launch:
    environment = EnvironmentManager(cache_dir()).ensure(LM_EVAL)
    datasets = tmp_path_factory.mktemp("datasets")
    return launch_of_tool(
        "harness.evaluation.program", environment.python, {"HF_DATASETS_CACHE": str(datasets)}
    )


@pytest.fixture(scope="module")
def artifact(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("artifact") / ENTRY
    path.write_text(json.dumps({"bits": 8, "broken": False, "recipe": "INT8"}), encoding="utf-8")
    return path


@pytest.fixture
def examination(folder: Path, evaluator: Launch, artifact: Path, fake_launch: Launch) -> Examination:
    return Examination(
        evaluator=evaluator,
        tokenizer=fake_launch,
        source=artifact,
        metadata={"tokenizer.ggml.eos_token_id": 3},
        names=["choice"],
        data_paths=[folder],
        code_paths=[],
        limit=None,
        num_fewshot=None,
        chat_template=False,
        max_length=CONTEXT,
    )


@pytest.fixture
def run(fake_launch: Launch, artifact: Path, tmp_path: Path) -> Any:
    def made(wanted: Examination) -> Execution:
        load = LoadSpec(artifact, "cpu", "cpu", 1, wanted.max_length)
        said: list[str] = []
        return examine(
            fake_launch, load, wanted, Limits(300, None), log=tmp_path / "worker.log", on_phase=said.append
        )

    return made


def results(execution: Execution) -> dict[str, TaskResult]:
    assert execution.status == "ok", execution.reason
    body = {name: value for name, value in execution.result.items() if not name.endswith("tokens")}
    return {task.task: task for task in from_body(Evaluation, body).tasks}


def likelihood(backend: Fake, context: Sequence[int], continuation: Sequence[int]) -> float:
    """Plain arithmetic on the scripted model's logits."""
    tokens = np.asarray([*context, *continuation], dtype=np.int32)
    rows = np.concatenate([block.copy() for _, block in backend.logits(tokens, 0)]).astype(np.float64)
    total = 0.0
    for position in range(len(context) - 1, len(tokens) - 1):
        row = rows[position]
        total += row[tokens[position + 1]] - math.log(np.exp(row).sum())
    return total


@pytest.fixture
def backend(artifact: Path) -> Fake:
    made = Fake()
    made.load(LoadSpec(artifact, "cpu", "cpu", 1, CONTEXT))
    return made


def test_its_figures_are_what_plain_arithmetic_gives(
    run: Any, examination: Examination, backend: Fake
) -> None:
    found = results(run(replace(examination, names=["choice", "rolling", "written"])))
    right = 0
    for item, one in zip(ITEMS, found["choice"].items, strict=True):
        expected = [
            likelihood(backend, item["question"].encode(), f" {choice}".encode())
            for choice in item["choices"]
        ]
        assert one.loglikelihoods == pytest.approx(expected, rel=1e-6)
        best = int(np.argmax(expected))
        assert one.values["acc"] == (best == item["label"])
        right += best == item["label"]
    acc = found["choice"].metrics[0]
    assert acc.value == pytest.approx(right / 3)
    assert acc.stderr == pytest.approx(math.sqrt(acc.value * (1 - acc.value) / 2))
    assert (found["choice"].version, found["choice"].n, found["choice"].num_fewshot) == ("1.5", 3, 0)

    texts = [f"{item['question']} {item['choices'][item['label']]}".encode() for item in ITEMS]
    # The first token is conditioned on the end token: this model has no BOS.
    sums = [likelihood(backend, [3], text) for text in texts]
    assert [one.loglikelihoods for one in found["rolling"].items] == [
        pytest.approx([one], rel=1e-6) for one in sums
    ]
    bits = -sum(sums) / sum(len(text) for text in texts) / math.log(2)
    assert found["rolling"].metrics[0].value == pytest.approx(bits, rel=1e-6)

    for item, one in zip(ITEMS, found["written"].items, strict=True):
        backend.reset()
        backend.prefill(np.asarray(list(item["question"].encode()), dtype=np.int32))
        chosen = []
        for _ in range(24):
            chosen.append(backend.sample())
            backend.decode(chosen[-1])
        assert one.text == bytes(chosen).decode().split("o")[0]


def test_lm_eval_gets_the_same_texts_of_a_batch_as_one_by_one(run: Any, examination: Examination) -> None:
    alone = results(run(replace(examination, names=["written"])))["written"]
    execution = run(replace(examination, names=["written", "choice"], together=4))
    together = results(execution)["written"]
    assert execution.loaded["kv_cache_bytes"] == 8 * CONTEXT, "no more room than one sequence has"
    assert [one.text for one in together.items] == [one.text for one in alone.items]


def test_few_shot_questions_share_their_beginning(run: Any, examination: Examination) -> None:
    execution = run(replace(examination, names=["choice"], num_fewshot=2, limit=2))
    found = results(execution)["choice"]
    assert (found.n, found.num_fewshot) == (2, 2)
    assert execution.result["computed_tokens"] < execution.result["tokens"] / 2


def test_a_chat_template_is_around_the_question(run: Any, examination: Examination, backend: Fake) -> None:
    template = (
        "{% for m in messages %}{{ m.content }}<|end|>{% endfor %}{% if add_generation_prompt %}A:{% endif %}"
    )
    metadata = {**examination.metadata, "tokenizer.chat_template": template}
    found = results(run(replace(examination, chat_template=True, metadata=metadata, limit=1)))
    item = ITEMS[0]
    # The special token is one id, not seven bytes; lm-eval puts no space after a template's own prompt.
    context = [*item["question"].encode(), 3, *b"A:"]
    expected = [likelihood(backend, context, choice.encode()) for choice in item["choices"]]
    assert found["choice"].items[0].loglikelihoods == pytest.approx(expected, rel=1e-6)


def test_python_runs_only_where_its_folder_was_named(
    run: Any, examination: Examination, folder: Path
) -> None:
    refused = run(replace(examination, names=["code"]))
    assert refused.status == "failed"
    assert "names the Python function 'helper.text'" in refused.reason
    assert "--trust-task-code" in refused.reason
    allowed = results(run(replace(examination, names=["code"], data_paths=[], code_paths=[folder])))
    assert allowed["code"].n == 3


@pytest.mark.parametrize(
    ("name", "said"),
    [
        (
            "choise",
            r"^choise: unknown task 'choise' \(did you mean 'choice'\?\).*broken.yml.yaml cannot be read",
        ),
        ("hidden", "^hidden: task 'hidden' has no label for its item 0 .*choice -1 of 3"),
        ("untold", "^untold: task 'untold' has no label for its item 0"),
        ("attack", "^attack: .*unsafe"),
        ("gone", "^gone: task 'gone' cannot be loaded: .*nowhere.jsonl"),
    ],
)
def test_a_task_that_cannot_be_evaluated_is_said(
    run: Any, examination: Examination, name: str, said: str
) -> None:
    execution = run(replace(examination, names=[name]))
    assert execution.status == "failed"
    assert execution.loaded == {}, "no model is loaded for it"
    assert re.search(said, execution.reason), execution.reason


def whole(execution: Execution) -> Evaluation:
    body = {name: value for name, value in execution.result.items() if not name.endswith("tokens")}
    return from_body(Evaluation, body)


def test_what_fails_in_one_task_is_that_tasks_alone(run: Any, examination: Examination) -> None:
    """Unknown names, missing data, no labels, within groups and tags too: everything else has its figures."""
    alone = results(run(replace(examination, names=["choice"])))["choice"]
    names = ["choise", "hidden", "both", "partly", "bare", "some", "choice"]
    execution = run(replace(examination, names=names))
    assert execution.status == "ok"
    found = whole(execution)
    tasks = {task.task: task for task in found.tasks}
    # Each once, however many names it goes by; the group has what its tasks give.
    assert [task.task for task in found.tasks] == ["choice", "rolling", "tagged", "both"]
    assert tasks["choice"] == alone
    assert tasks["both"].metrics[0].value == alone.metrics[0].value
    assert tasks["both"].n == 6
    holes = {hole.task: hole for hole in found.holes}
    assert set(holes) == {"choise", "hidden", "gone", "tagged_gone", "partly"}
    assert "bare" not in holes, "a group without figures of its own lacks none"
    assert {hole.status for hole in holes.values()} == {"failed"}
    assert holes["partly"].reason.startswith("its task gone has no figures: task 'gone' cannot be loaded")
    assert all(hole.reason in (execution.reason or "") for hole in holes.values())


def test_questions_that_the_framework_refuses_cost_their_task_alone(
    run: Any, examination: Examination, monkeypatch: pytest.MonkeyPatch
) -> None:
    names = ["choice", "rolling", "written"]
    expected = results(run(replace(examination, names=["written"])))["written"]
    monkeypatch.setenv(
        "EDGEBENCH_FAKE_SCRIPT", json.dumps({"logits": [{"do": "raise", "message": "no kernel"}]})
    )
    execution = run(replace(examination, names=names))
    assert results(execution) == {"written": expected}
    assert execution.reason == "choice, rolling: no kernel"
    assert "no kernel" in (execution.error or "")


def test_a_framework_that_gives_text_alone_answers_the_tasks_that_want_text(
    run: Any, examination: Examination
) -> None:
    expected = results(run(replace(examination, names=["written"])))["written"]
    execution = run(replace(examination, names=["choice", "written"], answers="text"))
    assert results(execution) == {"written": expected}
    (hole,) = whole(execution).holes
    assert (hole.task, hole.status) == ("choice", "skipped")
    nothing = run(replace(examination, names=["choice"], answers="text"))
    assert nothing.status == "skipped"
    assert nothing.loaded == {}, "no model is loaded for what it cannot be asked"


def test_a_survey_sees_the_items_that_an_evaluation_would_ask_and_that_others_took_their_place(
    run: Any, examination: Examination, folder: Path, fake_launch: Launch, tmp_path: Path
) -> None:
    """Data that lie where no folder of tasks is: a data set of the user's, as good as one on a hub."""
    data, mine = tmp_path / "dataset", tmp_path / "mine"
    data.mkdir()
    mine.mkdir()

    def write(items: Sequence[dict[str, Any]]) -> None:
        (data / "test.jsonl").write_text("".join(json.dumps(item) + "\n" for item in items), encoding="utf-8")

    elsewhere = CHOICE.replace("dataset_path: json", f"dataset_path: {data.as_posix()}")
    elsewhere = elsewhere.replace("dataset_kwargs: {data_files: {test: items.jsonl}}\n", "")
    (mine / "own.yaml").write_text(elsewhere.replace("task: choice", "task: own"), encoding="utf-8")
    wanted = replace(examination, names=["own", "written", "gone"], data_paths=[folder, mine], num_fewshot=1)

    def look() -> Evaluation:
        load = LoadSpec(wanted.source, "cpu", "cpu", 1, 1)
        return survey(fake_launch, load, wanted, timeout_s=300, log=tmp_path / "survey.log")

    write(ITEMS)
    evaluated = whole(run(wanted))
    before = look()
    asked = {task.task: (task.sha256, [item.sha256 for item in task.items]) for task in evaluated.tasks}
    assert {task.task: (task.sha256, [item.sha256 for item in task.items]) for task in before.tasks} == asked
    assert [hole.task for hole in before.holes] == ["gone"]
    assert before.requests == {}
    write([{**ITEMS[0], "choices": ["Lyon", "a nut", "red"]}, *ITEMS[1:]])
    after = {task.task: task.sha256 for task in look().tasks}
    assert after["own"] != asked["own"][0]
    assert after["written"] == asked["written"][0]
    changed = whole(run(wanted))
    assert evaluated.data["own"].path == changed.data["own"].path == data.as_posix()
    assert evaluated.data["own"].fingerprint != changed.data["own"].fingerprint
    assert evaluated.data["own"].revision is None, "no hub has it"


def test_a_real_model_answers_through_llama_cpp(folder: Path, evaluator: Launch, tmp_path: Path) -> None:
    """SmolLM2 knows these; its likelihoods are those that its own worker computes without a batch."""
    workshop = Workshop(
        models=load_models(),
        entries=frameworks(),
        cache_dir=cache_dir(),
        threads=1,
        progress=QuietProgress(),
    )
    model = "smollm2-135m-instruct"
    source = workshop.model_file(model)
    wanted = Examination(
        evaluator=evaluator,
        tokenizer=workshop.tokenizer_launch(model),
        source=source.path,
        metadata=source.facts.metadata,
        names=["choice", "written"],
        data_paths=[folder],
        code_paths=[],
        limit=3,
        num_fewshot=1,
        chat_template=True,
        max_length=512,
    )
    load = LoadSpec(workshop.artifact(model, "llamacpp", "F16").entry, "cpu", "cpu", 1, 512)
    execution = examine(
        workshop.launch("llamacpp"), load, wanted, Limits(300, None), log=tmp_path / "w.log", on_phase=print
    )
    found = results(execution)
    assert found["choice"].n == 3
    assert all(-60 < value < 0 for item in found["choice"].items for value in item.loglikelihoods)
    assert execution.result["computed_tokens"] < execution.result["tokens"] / 2
    assert all(item.text is not None and "<|im_end|>" not in item.text for item in found["written"].items)


def test_a_column_of_a_data_set_is_a_text(tmp_path: Path) -> None:
    folder = tmp_path / "data"
    folder.mkdir()
    rows = [{"page": "First page.\n"}, {"page": ""}, {"page": "Second page, in two\nlines."}]
    (folder / "test.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")

    def environment() -> Environment:
        return EnvironmentManager(cache_dir()).ensure(LM_EVAL)

    corpus = DatasetCorpus(dataset=str(folder), field="page")
    path = dataset_corpus(corpus, tmp_path, environment, lambda _: None)
    assert path.read_text(encoding="utf-8") == "First page.\n\nSecond page, in two\nlines."
    missing = DatasetCorpus(dataset=str(folder))
    with pytest.raises(EdgebenchError, match="no field 'text', only page"):
        dataset_corpus(missing, tmp_path, environment, lambda _: None)
