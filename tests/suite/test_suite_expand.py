"""From suites to cells: axes, include and exclude by GitHub's rules, reasons, mistakes."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, cast

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.errors import UsageError
from harness.model import Model
from harness.model.checked_yaml import parse_yaml
from harness.suite import PlannedCell, Suite, expand, parse_suite, select
from harness.worker.api import Backend, Host, ModelFacts, Recipe


def _recipe(name: str, precision: str, *, default: bool = False) -> Recipe:
    return Recipe(name, precision, "model", "tool", {}, default)


class _Base:
    title = "Base"
    recipes: tuple[Recipe, ...] = ()
    known_devices: tuple[tuple[str, str], ...] = (("cpu", "cpu"),)
    hidden = False
    capabilities: frozenset[str] = frozenset({"prefill", "decode"})
    takes_threads = True

    @classmethod
    def unavailable(cls, host: Host, device: str, api: str) -> str | None:
        del device
        return None if api == "cpu" or api in host.accelerators else f"no {api} on this machine"

    @classmethod
    def unsupported(cls, recipe: Recipe, model: ModelFacts) -> str | None:
        if recipe.name.endswith("_K_M") and model.row_width and model.row_width % 256:
            return f"rows of {model.row_width} are no multiple of 256"
        return None

    @classmethod
    def unusable(cls, recipe: Recipe, options: Mapping[str, str]) -> str | None:
        return f"{recipe.name} has no such option" if "refused" in options else None


class _Alpha(_Base):
    title = "Alpha"
    recipes = (
        _recipe("F16", "fp16", default=True),
        _recipe("Q8_0", "int8", default=True),
        _recipe("Q4_0", "int4"),
        _recipe("Q4_K_M", "int4", default=True),
        _recipe("IQ1_S", "int1"),
    )
    known_devices = (("cpu", "cpu"), ("gpu:0", "cuda"), ("gpu:0", "vulkan"))


class _Beta(_Base):
    title = "Beta"
    recipes = (_recipe("FP16", "fp16", default=True), _recipe("INT4_SYM_g64", "int4", default=True))


class _Gamma(_Base):
    title = "Gamma"
    recipes = (_recipe("half", "fp16", default=True),)


class _OwnThreads(_Gamma):
    title = "OwnThreads"
    takes_threads = False


class _Streaming(_Gamma):
    title = "Streaming"
    capabilities = frozenset({"stream"})


class _Hidden(_Gamma):
    title = "Hidden"
    hidden = True


FRAMEWORKS = cast(
    "dict[str, type[Backend]]", {"alpha": _Alpha, "beta": _Beta, "gamma": _Gamma, "secret": _Hidden}
)
MODELS = {
    name: Model.model_validate(
        {
            "id": name,
            "source": {"path": f"{name}.gguf"},
            "architecture": "llama",
            "row_width": width,
            "parameters": 1_000_000,
        }
    )
    for name, width in (("small", 512), ("odd", 576))
}
HOST = Host("linux", "x86_64")
BASE = "model: [small]\nframework: [alpha, beta]\nprecision: [fp16, int4]\nworkload: [pp32+tg16]\n"


def _suite(text: str) -> Suite:
    return parse_suite(parse_yaml(text, Path("s.yaml")))


def _expand(text: str, host: Host = HOST) -> list[PlannedCell]:
    return expand(_suite(text), FRAMEWORKS, MODELS, host)


def _short(cells: list[PlannedCell]) -> list[str]:
    return [f"{p.cell.framework} {p.cell.recipe} {p.cell.workload}" for p in cells]


def test_a_precision_takes_every_frameworks_default_recipe() -> None:
    cells = _expand(BASE)
    assert _short(cells) == [
        "alpha F16 pp32+tg16",
        "alpha Q4_K_M pp32+tg16",
        "beta FP16 pp32+tg16",
        "beta INT4_SYM_g64 pp32+tg16",
    ]
    assert [p.cell.precision for p in cells] == ["fp16", "int4", "fp16", "int4"]
    assert all(p.reason is None and p.expected_s and p.expected_s > 0 for p in cells)


def test_a_precision_without_a_default_takes_the_first_recipe_of_it() -> None:
    assert _short(_expand(BASE.replace("[fp16, int4]", "[int1]")))[0] == "alpha IQ1_S pp32+tg16"


def test_a_framework_without_the_precision_is_planned_with_the_reason_and_the_precisions_name() -> None:
    cells = _expand(BASE.replace("[fp16, int4]", "[int8, int1]"))
    beta = [p for p in cells if p.cell.framework == "beta"]
    assert [(p.cell.recipe, p.reason, p.expected_s) for p in beta] == [
        ("int8", "Beta has no recipe for int8", None),
        ("int1", "Beta has no recipe for int1", None),
    ]


def test_recipes_are_taken_where_they_are_declared() -> None:
    text = BASE.replace("precision: [fp16, int4]", "recipe: [INT4_SYM_g64, Q4_0, F16]")
    assert _short(_expand(text)) == [
        "alpha Q4_0 pp32+tg16",
        "alpha F16 pp32+tg16",
        "beta INT4_SYM_g64 pp32+tg16",
    ]


def test_all_is_everything_known_but_hidden_frameworks() -> None:
    text = "model: all\nframework: all\nrecipe: all\ndevice: all\nworkload: pp8\n"
    cells = _expand(text)
    assert len(cells) == 2 * (5 * 3 + 2 + 1)
    assert {p.cell.framework for p in cells} == {"alpha", "beta", "gamma"}
    assert {p.cell.framework for p in _expand(text.replace("framework: all", "framework: [all, secret]"))} > {
        "secret"
    }
    precisions = {p.cell.precision for p in _expand(text.replace("recipe: all", "precision: all"))}
    assert precisions == {"fp16", "int8", "int4", "int1"}


def test_what_cannot_run_here_is_planned_with_the_backends_reason() -> None:
    cells = _expand(BASE.replace("[small]", "[odd]") + "device: [cpu, gpu]\n")
    reasons = {(p.cell.recipe, p.cell.device_label): p.reason for p in cells}
    assert reasons == {
        ("F16", "cpu"): None,
        ("F16", "gpu:0.cuda"): "cuda: no cuda on this machine; vulkan: no vulkan on this machine",
        ("Q4_K_M", "cpu"): "rows of 576 are no multiple of 256",
        ("Q4_K_M", "gpu:0.cuda"): "cuda: no cuda on this machine; vulkan: no vulkan on this machine",
        ("FP16", "cpu"): None,
        ("FP16", "gpu:0"): "Beta has no gpu device (it knows cpu)",
        ("INT4_SYM_g64", "cpu"): None,
        ("INT4_SYM_g64", "gpu:0"): "Beta has no gpu device (it knows cpu)",
    }


def test_the_order_is_the_suites_and_the_last_axis_changes_fastest() -> None:
    cells = _expand(BASE.replace("[pp32+tg16]", "[pp8, pp4]").replace("[small]", "[odd, small]"))
    assert [p.cell.model for p in cells] == ["odd"] * 8 + ["small"] * 8
    assert [p.cell.workload.prompt_tokens for p in cells] == [8, 4] * 8


def test_the_same_cell_is_planned_once() -> None:
    text = BASE.replace("[alpha, beta]", "[alpha, alpha]").replace("[pp32+tg16]", "[pp8, {prompt_tokens: 8}]")
    assert len(_expand(text + "device: [cpu, 'cpu:0', all]\n")) == 2 * 3


# -- include and exclude --------------------------------------------------------------------------------------------


def test_include_follows_githubs_own_example() -> None:
    """The example of GitHub's documentation, with framework for fruit, workload for animal, threads for colour and
    warm-ups for shape."""
    cells = _expand(
        "model: [small]\nframework: [alpha, beta]\nprecision: [fp16]\nworkload: [pp1, pp2]\n"
        "warmups: 1\ninclude:\n"
        "  - threads: 1\n"
        "  - {threads: 2, workload: pp1}\n"
        "  - {framework: alpha, warmups: 9}\n"
        "  - {framework: gamma}\n"
        "  - {framework: gamma, workload: pp1, threads: 5}\n"
    )
    got = [(p.cell.framework, str(p.cell.workload), p.settings.warmups) for p in cells]
    assert got == [
        ("alpha", "pp1@t2", 9),
        ("alpha", "pp2@t1", 9),
        ("beta", "pp1@t2", 1),
        ("beta", "pp2@t1", 1),
        # GitHub's {fruit: banana} has no animal; a cell has to have one, so it has every one of the suite.
        ("gamma", "pp1", 1),
        ("gamma", "pp2", 1),
        # It does not extend the combination before it, which was not an original one.
        ("gamma", "pp1@t5", 1),
    ]


def test_exclude_is_a_partial_match_and_include_adds_back() -> None:
    text = BASE + "exclude:\n  - framework: alpha\n  - {framework: beta, precision: int4}\n"
    assert _short(_expand(text)) == ["beta FP16 pp32+tg16"]
    text += "include:\n  - {framework: alpha, precision: int4}\n"
    assert _short(_expand(text)) == ["beta FP16 pp32+tg16", "alpha Q4_K_M pp32+tg16"]


@pytest.mark.parametrize(
    ("entry", "left"),
    [
        ("recipe: Q4_K_M", 6),
        ("device: gpu", 4),
        ("device: vulkan", 4),
        ("workload: pp32+tg16", 0),
        ("workload: {prompt_tokens: 32, decode_tokens: 16}", 0),
        ("workload: pp32", 8),
        ("{model: small, framework: beta, device: cpu}", 6),
    ],
)
def test_exclude_matches_by_any_axis(entry: str, left: int) -> None:
    text = BASE + f"device: [cpu, vulkan]\nexclude:\n  - {entry}\n"
    if left:
        assert len(_expand(text)) == left
    else:
        with pytest.raises(UsageError, match=r"s\.yaml:7: this exclude takes the last 8"):
            _expand(text)


def test_an_include_with_another_recipe_of_the_precision_is_a_combination_of_its_own() -> None:
    cells = _expand(
        BASE + "include:\n  - {framework: alpha, recipe: Q4_0}\n  - {recipe: Q4_K_M, threads: 3}\n"
    )
    assert _short(cells) == [
        "alpha F16 pp32+tg16",
        "alpha Q4_K_M pp32+tg16@t3",
        "beta FP16 pp32+tg16",
        "beta INT4_SYM_g64 pp32+tg16",
        "alpha Q4_0 pp32+tg16",
    ]


def test_an_include_never_overwrites_an_axis_value() -> None:
    text = BASE.replace("[pp32+tg16]", "[{prompt_tokens: 8, threads: 2}, pp9]")
    cells = _expand(text + "include:\n  - {threads: 4}\n")
    assert {str(p.cell.workload) for p in cells} == {"pp8@t2", "pp9@t4"}
    text = (
        BASE
        + "options: {alpha: {type_k: q8_0}}\ninclude:\n  - {framework: alpha, options: {alpha: {type_k: f16}}}\n"
    )
    assert [p.cell.options for p in _expand(text) if p.cell.framework == "alpha"] == [
        {"type_k": "q8_0"}, {"type_k": "q8_0"}, {"type_k": "f16"}, {"type_k": "f16"},
    ]  # fmt: skip


def test_a_suite_may_be_includes_alone() -> None:
    text = (
        "model: small\ninclude:\n  - {framework: alpha, recipe: Q4_0, workload: pp8, timeout: 5s, memory_limit: 1GB}\n"
        "  - {framework: beta, precision: fp16, workload: pp9+tg1, repetitions: 7}\n"
    )
    cells = _expand(text)
    assert _short(cells) == ["alpha Q4_0 pp8", "beta FP16 pp9+tg1"]
    assert (cells[0].settings.timeout_s, cells[0].settings.memory_limit_bytes) == (5.0, 10**9)
    assert (cells[1].settings.repetitions, cells[1].settings.timeout_s) == (7, 600.0)


def test_a_recipe_that_the_options_do_not_allow_is_planned_with_the_reason() -> None:
    planned = [p for p in _expand(BASE + "options: {alpha: {refused: 1}}\n") if p.reason is not None]
    assert {p.cell.framework for p in planned if "no such option" in str(p.reason)} == {"alpha"}


def test_options_are_an_axis_where_they_are_a_list() -> None:
    text = (
        BASE.replace("[fp16, int4]", "[fp16]")
        + "options:\n  - {}\n  - alpha: {type_k: q8_0, flash_attn: true}\n"
    )
    assert [(p.cell.framework, p.cell.options) for p in _expand(text)] == [
        ("alpha", {}),
        ("alpha", {"type_k": "q8_0", "flash_attn": "true"}),
        ("beta", {}),
    ]


def test_threads_of_the_suite_hold_where_nothing_else_is_said() -> None:
    text = (
        BASE.replace("[pp32+tg16]", "[pp8@t2, pp9]")
        + "threads: 4\ninclude:\n  - {framework: beta, threads: 3}\n"
    )
    assert {(p.cell.framework, str(p.cell.workload)) for p in _expand(text)} == {
        ("alpha", "pp8@t2"), ("alpha", "pp9@t4"), ("beta", "pp8@t2"), ("beta", "pp9@t3"),
    }  # fmt: skip


def test_threads_are_no_axis_of_a_framework_that_takes_none() -> None:
    """A suite's own number is a wish for all; a workload that names one is about nothing else."""
    text = "model: small\nframework: own\nprecision: fp16\nworkload: [pp8@t2, pp9]\nthreads: 4\n"
    frameworks = cast("dict[str, type[Backend]]", {"own": _OwnThreads})
    reasons = {str(p.cell.workload): p.reason for p in expand(_suite(text), frameworks, MODELS, HOST)}
    assert reasons == {
        "pp8@t2": "OwnThreads decides on its threads alone: they are no axis of it",
        "pp9@t4": None,
    }


# -- mistakes -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "said", "step"),
    [
        (BASE.replace("beta", "betta"), 's.yaml:2: unknown framework "betta"', 'did you mean "beta"?'),
        (BASE.replace("[small]", "\n  - smal"), 's.yaml:2: unknown model "smal"', 'did you mean "small"?'),
        (BASE + "device: [cpu, vulcan]\n", 's.yaml:5: unknown device "vulcan"', 'did you mean "vulkan"?'),
        (BASE + "device: ['gpu 0']\n", "unknown device", ""),
        (BASE.replace("precision: [fp16, int4]", "recipe: [q4_k_m]"),
         's.yaml:3: unknown recipe "q4_k_m": no framework of this suite has it', 'did you mean "Q4_K_M"?'),
        (BASE.replace("precision: [fp16, int4]", "recipe: [int4]"), "unknown recipe", "precision: [int4]"),
        (BASE.replace("[alpha, beta]", "[beta]").replace("precision: [fp16, int4]", "recipe: [Q4_0]"),
         "no framework of this suite has it", "known recipes: FP16, INT4_SYM_g64"),
        (BASE.replace("precision: [fp16, int4]", "recipe: [Q4_0]"),
         's.yaml:2: framework "beta" has none of the suite\'s recipes', "add one of FP16"),
        (BASE + "exclude:\n  - framework: alpha\n  - framework: bta\n", 's.yaml:7: unknown framework "bta"', "beta"),
        (BASE + "include:\n  - framework: all\n", '"all" is for axes', "leave the key out"),
        (BASE + "include:\n  - precision: all\n", '"all" is for axes', ""),
        (BASE + "options:\n  alfa: {a: b}\n", 's.yaml:6: unknown framework "alfa"', 'did you mean "alpha"?'),
        (BASE + "include:\n  - options:\n      alfa: {a: b}\n", 's.yaml:7: unknown framework "alfa"', "alpha"),
        (BASE + "exclude:\n  - framework: alpha\n  - framework: beta\n", "s.yaml:7: this exclude takes the last 2", ""),
        ("model: small\ninclude:\n  - {framework: alpha, workload: pp1}\n",
         's.yaml:3: this include extends no combination and names no "precision"', 'add "precision:"'),
        (BASE + "include:\n  - {framework: beta, recipe: Q4_0}\n", "no framework of this include has a recipe", ""),
        (BASE + "include:\n  - {framework: alpha, precision: int8, recipe: Q4_0}\n", "of precision int8", ""),
    ],
)  # fmt: skip
def test_mistakes_are_told_with_line_and_what_was_meant(text: str, said: str, step: str) -> None:
    with pytest.raises(UsageError) as raised:
        _expand(text)
    assert said in raised.value.what
    assert step in raised.value.next_step


def test_an_empty_list_of_models_is_named() -> None:
    with pytest.raises(UsageError, match='the axis "model" is empty'):
        expand(_suite(BASE.replace("[small]", "all")), FRAMEWORKS, {}, HOST)


def test_a_suite_without_a_file_has_messages_too() -> None:
    suite = Suite.model_validate({"model": "smal", "framework": "all", "recipe": "all", "workload": "pp1"})
    with pytest.raises(UsageError, match='model/0: unknown model "smal"'):
        expand(suite, FRAMEWORKS, MODELS, HOST)


def test_an_earlier_runs_duration_is_preferred_to_the_guess() -> None:
    suite = _suite(BASE)
    first = expand(suite, FRAMEWORKS, MODELS, HOST)[0].cell.id
    assert expand(suite, FRAMEWORKS, MODELS, HOST, run_seconds={first: 12.0})[0].expected_s == 36.0


_words: dict[str, list[Any]] = {
    "model": ["small", "odd"],
    "framework": ["alpha", "beta", "gamma"],
    "precision": ["fp16", "int8", "int4", "int1"],
    "device": ["cpu", "gpu", "vulkan", "npu"],
    "workload": ["pp1", "pp2+tg3", "pp2+tg3@d4"],
}
_entry = st.dictionaries(st.sampled_from(list(_words)), st.integers(0, 3), min_size=1).map(
    lambda picks: {key: _words[key][pick % len(_words[key])] for key, pick in picks.items()}
)


@given(
    axes=st.fixed_dictionaries(
        {k: st.lists(st.sampled_from(v), min_size=1, unique=True) for k, v in _words.items()}
    ),
    include=st.lists(_entry, max_size=4),
    exclude=st.lists(_entry, max_size=3),
)
def test_every_combination_is_planned_or_excluded(
    axes: dict[str, list[str]], include: list[dict[str, str]], exclude: list[dict[str, str]]
) -> None:
    suite = Suite.model_validate({**axes, "include": include, "exclude": exclude})
    try:
        cells = expand(suite, FRAMEWORKS, MODELS, HOST)
    except UsageError:
        assert exclude  # nothing else empties a matrix of known words
        return
    assert len({p.cell.id for p in cells}) == len(cells) == len({p.cell.name for p in cells})
    for p in cells:
        assert p.cell.recipe
        assert (p.expected_s is None) == (p.reason is not None)
    if not exclude:
        for framework in axes["framework"]:
            for precision in axes["precision"]:
                for workload in axes["workload"]:
                    assert any(
                        (p.cell.framework, p.cell.precision, str(p.cell.workload))
                        == (framework, precision, workload)
                        for p in cells
                    )


# -- selection ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("expression", "count"),
    [
        ("", 8),
        ("  ", 8),
        ("alpha and int4", 2),
        ("ALPHA and Q4_K", 2),
        ("not (alpha or fp16)", 2),
        ("pp512+tg128@d512", 4),
        ("d512", 4),
        ("alpha-small-fp16-F16-cpu-pp512+tg128+d512", 1),
        ("beta and not int4 and tg16", 1),
    ],
)
def test_selection_follows_pytests_rules(expression: str, count: int) -> None:
    cells = _expand(BASE.replace("[pp32+tg16]", "[pp32+tg16, pp512+tg128@d512]"))
    assert len(select(cells, expression)) == count


def test_a_cells_id_selects_it() -> None:
    cells = _expand(BASE)
    assert select(cells, cells[2].cell.id) == [cells[2]]


@pytest.mark.parametrize(
    "expression", ["alpha and", "(alpha", "alpha beta", "a & b", "'x", "alpha(x=1)", "(" * 500]
)
def test_a_wrong_expression_is_told(expression: str) -> None:
    with pytest.raises(UsageError, match="-k") as raised:
        select(_expand(BASE), expression)
    assert "openvino and int4" in raised.value.next_step


def test_an_empty_selection_tells_how_many_cells_there_were() -> None:
    with pytest.raises(UsageError, match="chooses none of the 4 cells") as raised:
        select(_expand(BASE), "llamacpp")
    assert "alpha-small-fp16-F16-cpu-pp32+tg16" in raised.value.next_step


@given(st.text(alphabet="aint4 ()ordnbeta@+.'=", max_size=20))
def test_any_expression_selects_or_gives_our_error(expression: str) -> None:
    cells = _expand(BASE)
    try:
        chosen = select(cells, expression)
    except UsageError:
        return
    assert chosen
    assert all(p in cells for p in chosen)


@pytest.mark.parametrize(
    ("workload", "backend", "reason"),
    [
        ("pp8+tg2@c4", _Streaming, None),
        ("pp8+tg2@c4", _Gamma, "Gamma takes one request at a time here; concurrency is for servers"),
        ("pp8+tg2@c1", _Gamma, None),
        ("pp8+tg2@b4", _Gamma, "Gamma processes one sequence at a time here"),
        ("pp8+tg2@b4", _Streaming, "Streaming makes batches of the requests that it gets: ask for @c4"),
        ("pp8+tg2@b1", _Gamma, None),
        ("pp8+tg2@d4", _Streaming, "Streaming begins every request with an empty cache: it has no depth"),
    ],
)
def test_concurrency_batches_and_depth_are_for_those_that_can(
    workload: str, backend: type[_Base], reason: str | None
) -> None:
    words = {"model": "small", "framework": "one", "precision": "fp16", "workload": workload}
    known = cast("dict[str, type[Backend]]", {"one": backend})
    (planned,) = expand(Suite.model_validate(words), known, MODELS, HOST)
    assert planned.reason == reason
