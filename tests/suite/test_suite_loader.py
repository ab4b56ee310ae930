"""Suite files: found, read, refused with file, line, key and what was meant."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from harness.errors import UsageError
from harness.frameworks import frameworks
from harness.model.checked_yaml import parse_yaml
from harness.paths import data_dir
from harness.suite import (
    Suite,
    Workload,
    expand,
    json_schema,
    load_suite,
    models_json_schema,
    parse_suite,
    shipped_suites,
    suite_models,
)
from harness.suite.auto import AutoWarmups
from harness.worker.api import Host

ROOT = Path(__file__).resolve().parents[2]
BASE = "model: [m]\nframework: [llamacpp]\nprecision: [int4]\nworkload: [pp32+tg16]\n"


def _suite(text: str) -> Suite:
    return parse_suite(parse_yaml(text, Path("s.yaml")))


def test_the_shipped_suites_are_claims_full_and_quickstart() -> None:
    assert list(shipped_suites()) == ["claims", "full", "quickstart"]
    quick = load_suite("quickstart")
    assert (quick.title, quick.runs, quick.repetitions, quick.warmups) == ("quickstart", 3, 1, 1)
    assert quick.workload
    assert [str(entry.workload) for entry in quick.workload] == ["pp32+tg16"]
    assert quick.scoring
    assert (quick.scoring.window, quick.scoring.stride, quick.scoring.score_from) == (256, 256, 0)
    assert quick.scoring.max_windows == 1
    full = load_suite("full")
    assert (full.model, full.framework, full.recipe, full.device) == (
        ["smollm2-135m-instruct"], ["all"], ["all"], ["all"],
    )  # fmt: skip
    claims = load_suite("claims")
    assert claims.model == ["smollm2-135m-instruct", "synthetic-llama-7b"]


def test_the_full_suite_plans_every_recipe_of_every_framework_once_per_device() -> None:
    backends = {name: entry.backend for name, entry in frameworks().items() if entry.error is None}
    suite = load_suite("full")
    cells = [one.cell for one in expand(suite, backends, suite_models(suite), Host("linux", "x86_64"))]
    assert len({cell.id for cell in cells}) == len(cells)
    for name, backend in backends.items():
        recipes = {recipe.name for recipe in backend.recipes if not recipe.intermediate}
        planned = {cell.recipe for cell in cells if cell.framework == name}
        assert planned == recipes or name == "server", name
        workloads = {str(cell.workload) for cell in cells if cell.framework == name}
        assert len(workloads) == (2 if name == "server" else 1), f"{name}: {workloads}"
    assert {cell.recipe for cell in cells if cell.framework == "server"} == {"F16", "Q8_0", "Q4_K_M"}


def test_the_shipped_text_is_there() -> None:
    corpus = load_suite("quickstart").corpus_file()
    assert corpus
    assert corpus == data_dir("suites") / "text" / "scoring.txt"
    assert corpus.is_file()


def test_everything_has_a_default_but_the_axes() -> None:
    suite = _suite(BASE)
    assert suite.title == "s"
    assert suite.device == ["cpu"]
    assert (suite.runs, suite.repetitions, suite.seed, suite.threads) == (3, 3, 0, None)
    assert (suite.warmups, suite.prompt) == (AutoWarmups(change=0.1, max=10, max_time=30), "random")
    assert (suite.timeout_s, suite.memory_limit_bytes) == (600.0, None)
    assert suite.scoring
    assert suite.scoring.corpus == "shipped"
    assert suite.text == BASE
    assert suite.sha256 == hashlib.sha256(BASE.encode()).hexdigest()


def test_values_are_read_as_people_write_them() -> None:
    suite = _suite(
        "model: m\nframework: all\nprecision: int4\nx-anchors: {anything: goes}\n"
        "workload: [pp512@d64, {prompt_tokens: 8, decode_tokens: 4, threads: 2},\n"
        "  pp8@b4, {prompt_tokens: 8, batch: 3}]\n"
        "timeout: 1h30m\nmemory_limit: 2GiB\nscoring: {window: 64, max_windows: null}\n"
        "options: {openvino: {ENABLE: true, N: 4, HINT: f32}}\n"
    )
    assert (suite.model, suite.framework) == (["m"], ["all"])
    assert suite.workload
    assert [entry.workload for entry in suite.workload] == [
        Workload(512, 0, 64),
        Workload(8, 4, 0, 2),
        Workload(8, batch=4),
        Workload(8, batch=3),
    ]
    assert (suite.timeout_s, suite.memory_limit_bytes) == (5400.0, 2**31)
    assert suite.scoring
    assert (suite.scoring.stride, suite.scoring.score_from, suite.scoring.max_windows) == (64, 32, None)
    assert suite.options == [{"openvino": {"ENABLE": "true", "N": "4", "HINT": "f32"}}]
    assert _suite(BASE + "scoring: null\ncheck: null\n").corpus_file() is None


@pytest.mark.parametrize(
    ("text", "said", "step"),
    [
        (BASE + "framewrok: [x]\n", 's.yaml:5: unknown key "framewrok"', 'did you mean "framework"?'),
        (BASE + "timeout_s: 5\n", 's.yaml:5: unknown key "timeout_s"', 'did you mean "timeout"?'),
        (BASE + "scoring:\n  windw: 5\n", 's.yaml:6: unknown key "windw"', 'did you mean "window"?'),
        (
            BASE + "include:\n  - framework: x\n    timout: 5s\n",
            's.yaml:7: unknown key "timout"',
            '"timeout"',
        ),
        (BASE + "exclude:\n  - timeout: 5s\n", 's.yaml:6: unknown key "timeout"', "keys here"),
        (
            BASE.replace("int4", "int44"),
            's.yaml:3: "precision[0]": unknown precision "int44"',
            'did you mean "int4"?',
        ),
        (BASE + "exclude:\n  - {}\n", "s.yaml:6", "docs/suites.md"),
        (BASE.replace("[m]", "[]"), 's.yaml:1: "model": the axis is empty', ""),
        (BASE.replace("model: [m]\n", ""), 'the key "model" is missing', ""),
        (BASE.replace("precision: [int4]\n", ""), 'the key "precision" (or "recipe") is missing', ""),
        (BASE + "recipe: [Q4_0]\n", "two spellings of one axis", ""),
        (BASE.replace("pp32+tg16", "tg16"), "every workload begins with a prompt", ""),
        (BASE.replace("pp32+tg16", "{prompt_tokens: 0}"), "s.yaml:4", ""),
        (BASE + "timeout: soon\n", "s.yaml:5: \"timeout\": 'soon' is no duration", ""),
        (BASE + "memory_limit: 4G\n", "s.yaml:5: \"memory_limit\": '4G' is no size", ""),
        (BASE + "runs: 0\n", 's.yaml:5: "runs"', ""),
        (BASE + "runs: 2.5\n", 's.yaml:5: "runs"', ""),
        (BASE + "scoring: {window: 8, score_from: 7}\n", "at most 6", ""),
        (BASE + "models:\n  x:\n    sorce: {}\n", 's.yaml:7: unknown key "sorce"', 'did you mean "source"?'),
        ("- a\n", "a suite is a mapping", ""),
        (BASE + "runs: 3\nruns: 4\n", 's.yaml:6:1: not YAML: the key "runs" stands here twice', ""),
        (BASE + "include: {framework: x}\n", 's.yaml:5: "include"', ""),
    ],
)
def test_mistakes_are_told_with_file_line_key_and_what_was_meant(text: str, said: str, step: str) -> None:
    with pytest.raises(UsageError) as raised:
        _suite(text)
    assert said in raised.value.what
    assert step in raised.value.next_step
    assert raised.value.status == 2


@given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
        lambda inner: (
            st.lists(inner, max_size=3)
            | st.dictionaries(
                st.sampled_from([*Suite.key_names(), "prompt_tokens", "window", "pypi", "source", "huh"]),
                inner,
                max_size=4,
            )
        ),
        max_leaves=12,
    )
)
def test_any_data_gives_a_suite_or_our_error(data: Any) -> None:
    text = yaml.safe_dump(data)
    try:
        suite = _suite(text)
    except UsageError:
        return
    assert suite.settings.runs >= 1


def test_names_and_paths_are_told_apart(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "mine.yaml").write_text(BASE, encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    assert load_suite("mine.yaml").title == "mine"
    assert load_suite(str(tmp_path / "mine.yaml")).path == tmp_path / "mine.yaml"
    assert load_suite(tmp_path / "mine.yaml").title == "mine"
    with pytest.raises(UsageError, match="there is no file"):
        load_suite("yours.yaml")
    with pytest.raises(
        UsageError, match=r'unknown suite "quikstart" \(shipped: claims, full, quickstart\)'
    ) as raised:
        load_suite("quikstart")
    assert 'did you mean "quickstart"?' in raised.value.next_step


def test_a_corpus_is_found_beside_the_suite(tmp_path: Path) -> None:
    path = tmp_path / "mine.yaml"
    path.write_text(BASE + "scoring:\n  corpus: text.txt\n", encoding="utf-8")
    suite = load_suite(path)
    with pytest.raises(UsageError, match=r"mine\.yaml:6: there is no text file"):
        suite.corpus_file()
    (tmp_path / "text.txt").write_text("words", encoding="utf-8")
    assert suite.corpus_file() == tmp_path / "text.txt"


def test_a_suite_brings_models_of_its_own(tmp_path: Path) -> None:
    (tmp_path / "list.yaml").write_text("models:\n  two: {source: {path: two.gguf}}\n", encoding="utf-8")
    (tmp_path / "mine.yaml").write_text(
        BASE + "models_file: list.yaml\nmodels:\n  one:\n    source: {path: one.gguf}\n", encoding="utf-8"
    )
    models = suite_models(load_suite(tmp_path / "mine.yaml"))
    assert models["one"].local_path == tmp_path / "one.gguf"
    assert models["two"].local_path == tmp_path / "two.gguf"
    assert "smollm2-135m-instruct" in models


def test_a_suite_can_be_made_by_a_program(tmp_path: Path) -> None:
    suite = Suite.model_validate(
        {
            "model": "one",
            "framework": "all",
            "recipe": "all",
            "workload": "pp8",
            "models": {"one": {"source": {"path": str(tmp_path / "one.gguf")}}},
        }
    )
    assert suite.title == "suite"
    assert suite.document.where(("model",)) == "model"
    assert suite_models(suite)["one"].local_path == tmp_path / "one.gguf"
    assert len(suite.sha256) == 64


# -- the published schemas and the documentation --------------------------------------------------------------------


@pytest.mark.parametrize(("file", "make"), [("suite", json_schema), ("models", models_json_schema)])
def test_the_published_schema_is_the_generated_one(file: str, make: Any) -> None:
    path = data_dir("suites") / f"{file}.schema.json"
    call = f"json.dumps(s.{make.__name__}(), indent=2)"
    again = f"run: python -c 'import harness.suite as s, json; print({call})' > suites/{path.name}"
    assert json.loads(path.read_text(encoding="utf-8")) == make(), again
    jsonschema.Draft202012Validator.check_schema(make())


def test_shipped_files_name_their_schema_and_follow_it() -> None:
    for path in data_dir("suites").glob("*.yaml"):
        text = path.read_text(encoding="utf-8")
        name = "models" if path.stem == "models" else "suite"
        assert text.startswith(f"# yaml-language-server: $schema={name}.schema.json\n")
        schema = models_json_schema() if name == "models" else json_schema()
        jsonschema.Draft202012Validator(schema).validate(yaml.safe_load(text))


@pytest.mark.parametrize(
    "extra",
    [
        "huh: 1\n",
        "timeout: soon\n",
        "memory_limit: 4G\n",
        "runs: 0\n",
        "recipe: [Q4_0]\n",
        "scoring: {windw: 5}\n",
    ],
)
def test_the_schema_refuses_what_the_loader_refuses(extra: str) -> None:
    validator = jsonschema.Draft202012Validator(json_schema())
    assert validator.is_valid(yaml.safe_load(BASE + "x-a: 1\n"))
    assert not validator.is_valid(yaml.safe_load(BASE + extra))


def _keys(schema: dict[str, Any]) -> set[str]:
    found = set(schema.get("properties", {}))
    for definition in schema.get("$defs", {}).values():
        found |= set(definition.get("properties", {}))
    return found


def test_every_key_is_documented() -> None:
    for file, make in (("suites.md", json_schema), ("models.md", models_json_schema)):
        text = (ROOT / "docs" / file).read_text(encoding="utf-8")
        both = text + (ROOT / "docs" / "models.md").read_text(encoding="utf-8")
        missing = sorted(key for key in _keys(make()) if f"`{key}`" not in both)
        assert not missing, file


def test_every_example_in_the_documentation_is_valid() -> None:
    examples = 0
    for file in ("suites.md", "models.md"):
        for block in (ROOT / "docs" / file).read_text(encoding="utf-8").split("```yaml\n")[1:]:
            text = block.split("```")[0]
            data = yaml.safe_load(text)
            if set(data) == {"models"}:
                jsonschema.Draft202012Validator(models_json_schema()).validate(data)
            elif ("workload" in data and "framework" in data) or "include" in data:
                _suite(text)
            else:  # some keys of a suite
                lines = BASE.splitlines(keepends=True)
                _suite(text + "".join(line for line in lines if line.split(":")[0] not in data))
            examples += 1
    assert examples >= 10


# -- a number or a rule ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("lines", "runs"),
    [
        ("runs: 4\n", (4, None, None)),
        ("runs: auto\n", (6, 0.02, 30)),
        ("runs: {auto: {width: 1.5 %, min: 3, max: 9}}\n", (3, 0.015, 9)),
        ("runs: {auto: {width: 0.05}}\n", (6, 0.05, 30)),
    ],
)
def test_runs_are_a_number_or_a_rule_that_a_session_reads_back(
    lines: str, runs: tuple[int, float | None, int | None]
) -> None:
    suite = _suite(BASE + lines)
    jsonschema.Draft202012Validator(json_schema()).validate(suite.document.data)
    settings = suite.settings
    assert (settings.runs, settings.runs_width, settings.runs_max) == runs
    again = parse_suite(parse_yaml(suite.model_dump_json(by_alias=True, exclude_none=True), Path("s.yaml")))
    assert again.settings == settings


@pytest.mark.parametrize(
    ("lines", "warmups"),
    [
        ("warmups: 0\n", (0, None, None)),
        ("warmups: auto\n", (10, 0.1, 30.0)),
        ("warmups: {auto: {change: 5 %, max: 20, max_time: 2m}}\n", (20, 0.05, 120.0)),
    ],
)
def test_warmups_are_a_number_or_a_rule(lines: str, warmups: tuple[int, float | None, float | None]) -> None:
    settings = _suite(BASE + lines).settings
    assert (settings.warmups, settings.warmup_change, settings.warmup_max_s) == warmups


@pytest.mark.parametrize(
    ("line", "said", "step"),
    [
        ("runs: {auto: {widht: 1 %}}", '"runs": auto: unknown key "widht"', 'did you mean "width"?'),
        ("runs: {auto: {min: 40}}", "auto: min is 40, above max, which is 30", ""),
        ("runs: {auto: {width: 2}}", "auto.width: 2 is no share above 0 and at most 1", ""),
        ("runs: sometimes", "'sometimes' is neither a whole number nor auto", ""),
        ("warmups: {auto: {change: 1%%}}", "'1%%' is no share", ""),
        ("warmups: {auto: [1]}", '"warmups": auto', ""),
        ("prompt: poem", '"prompt"', ""),
    ],
)
def test_a_wrong_rule_is_told_with_its_key(line: str, said: str, step: str) -> None:
    with pytest.raises(UsageError) as raised:
        _suite(f"{BASE}{line}\n")
    assert "s.yaml:5" in raised.value.what
    assert said in raised.value.what
    assert step in raised.value.next_step
