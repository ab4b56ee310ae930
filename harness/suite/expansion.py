"""From a suite to its cells on this machine.

Owns expansion: axes, `exclude`, `include`, and the reason of each cell that cannot run here. Makes no environment
and reads no model but a local file's header. Contract: the cells' order depends on the suite alone; a combination
that cannot run is planned with its reason and never dropped; the same cell is planned once.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import product
from typing import Any

from harness.errors import UsageError
from harness.model.checked_yaml import Location, did_you_mean
from harness.model.models import Model
from harness.precision import default_first
from harness.suite.auto import runs_settings, warmups_settings
from harness.suite.cell import Cell, PlannedCell, Prompt, Workload
from harness.suite.devices import DeviceWord, Target, targets, vocabulary
from harness.suite.estimate import expected_s
from harness.suite.fitting import too_large, too_long, unbatched
from harness.suite.schema import Combination, Inclusion, Options, Suite
from harness.worker.api import PRECISIONS, Backend, Host, ModelFacts, Recipe

Frameworks = Mapping[str, type[Backend]]


def expand(
    suite: Suite,
    frameworks: Frameworks,
    models: Mapping[str, Model],
    host: Host,
    *,
    run_seconds: Mapping[str, float] | None = None,
) -> list[PlannedCell]:
    """The cells of a suite.

    Args:
        suite: what to expand.
        frameworks: every known backend by id.
        models: every known model by id, the suite's own included (`suite_models`).
        host: this machine.
        run_seconds: by cell id, how long one run took before; used for `PlannedCell.expected_s`.

    Raises:
        UsageError: an unknown word, or no cells, with file, line and what was meant.
    """
    return _Expansion(suite, frameworks, models, host).planned(run_seconds or {})


@dataclass(slots=True)
class _Combo:
    """One combination: values of the axes, and what `include` added."""

    model: str
    framework: str
    precision: str
    recipe: str
    made: Recipe | None  # None: the framework has no such recipe
    target: Target
    options: dict[str, str]
    workload: Workload
    threads: int | None = None
    added_options: dict[str, str] = field(default_factory=dict)
    settings: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class _Axes:
    """Words of every axis, None where an axis is not given."""

    model: Sequence[str] | None
    framework: Sequence[str] | None
    precision: Sequence[str] | None
    recipe: Sequence[str] | None
    device: Sequence[str]
    options: Sequence[Options]
    workload: Sequence[Workload] | None

    def missing(self) -> str | None:
        for name in ("model", "framework", "workload"):
            if getattr(self, name) is None:
                return name
        return "precision" if self.precision is None and self.recipe is None else None


class _Expansion:
    def __init__(self, suite: Suite, frameworks: Frameworks, models: Mapping[str, Model], host: Host) -> None:
        self._suite = suite
        self._frameworks = frameworks
        self._models = models
        self._host = host
        self._facts: dict[str, ModelFacts] = {}
        self._axes = _Axes(
            suite.model, suite.framework, suite.precision, suite.recipe, suite.device, suite.options,
            None if suite.workload is None else [entry.workload for entry in suite.workload],
        )  # fmt: skip

    # -- the whole ------------------------------------------------------------------------------------------------

    def planned(self, run_seconds: Mapping[str, float]) -> list[PlannedCell]:
        self._check_words()
        original = [] if self._axes.missing() else list(self._product(self._axes))
        kept = self._without_excluded(original)
        combos = self._with_included(kept)
        if not combos:
            raise self._nothing(original)
        self._check_coverage([*original, *combos])
        cells: dict[str, PlannedCell] = {}
        for combo in combos:
            planned = self._plan(combo, run_seconds)
            cells[planned.cell.id] = planned  # the same cell again: its place stays, the later settings hold
        return list(cells.values())

    def _plan(self, combo: _Combo, run_seconds: Mapping[str, float]) -> PlannedCell:
        threads = combo.workload.threads or combo.threads or self._suite.threads
        cell = Cell(
            framework=combo.framework,
            model=combo.model,
            precision=combo.precision,
            recipe=combo.recipe,
            device=combo.target.device,
            api=combo.target.api,
            workload=replace(combo.workload, threads=threads, prompt=self._prompt(combo)),
            options=dict(sorted((combo.options | combo.added_options).items())),
        )
        settings = replace(self._suite.settings, **combo.settings)
        reason = self._reason(combo)
        seconds = None
        if reason is None:
            seconds = expected_s(
                cell,
                settings,
                settings.runs,
                self._models[cell.model].parameters,
                run_seconds.get(cell.id),
            )
        return PlannedCell(cell, reason, seconds, settings)

    def _prompt(self, combo: _Combo) -> Prompt:
        return "text" if "text" in (combo.workload.prompt, self._suite.prompt) else "random"

    def _reason(self, combo: _Combo) -> str | None:
        backend = self._frameworks[combo.framework]
        if combo.made is None:
            return f"{backend.title} has no recipe for {combo.precision}"
        if combo.target.reason is not None:
            return combo.target.reason
        facts = self._model_facts(combo.model)
        if facts.synthetic is not None and self._prompt(combo) == "text":
            return "a synthetic model has no tokenizer, so its prompts cannot be text"
        if combo.workload.threads is not None and not backend.takes_threads:
            return f"{backend.title} decides on its threads alone: they are no axis of it"
        if combo.workload.depth and "stream" in backend.capabilities:
            return f"{backend.title} begins every request with an empty cache: it has no depth"
        if combo.workload.concurrency > 1 and "stream" not in backend.capabilities:
            return f"{backend.title} takes one request at a time here; concurrency is for servers"
        return (
            (self._unwritten(backend, combo.made) if facts.synthetic is not None else None)
            or backend.unsupported(combo.made, facts)
            or backend.unusable(combo.made, combo.options | combo.added_options)
            or unbatched(backend, combo.made, combo.workload)
            or too_long(combo.made, combo.workload)
            or too_large(combo.made, facts, self._host)
        )

    def _unwritten(self, backend: type[Backend], recipe: Recipe) -> str | None:
        """Why nobody writes a synthetic model for this recipe: neither its framework nor the one it is made from."""
        if "synthesize" in backend.capabilities:
            return None
        source, _, name = recipe.made_from.partition(":")
        maker = self._frameworks.get(source)
        if maker is None:
            return f"{backend.title} cannot write synthetic models"
        made = next(each for each in maker.recipes if each.name == name)
        return self._unwritten(maker, made)

    def _model_facts(self, model: str) -> ModelFacts:
        if model not in self._facts:
            self._facts[model] = self._models[model].facts()
        return self._facts[model]

    # -- axes -----------------------------------------------------------------------------------------------------

    def _product(self, axes: _Axes) -> Iterator[_Combo]:
        """Every combination, the last axis fastest."""
        for model, framework in product(
            self._all_models(axes.model or ()), self._all_frameworks(axes.framework or ())
        ):
            backend = self._frameworks[framework]
            places = list(
                dict.fromkeys(place for word in axes.device for place in targets(word, backend, self._host))
            )
            for (precision, name, made), place, options, workload in product(
                self._recipes(backend, axes), places, axes.options, axes.workload or ()
            ):
                own = options.get(framework, {})
                yield _Combo(model, framework, precision, name, made, place, dict(own), workload)

    def _all_models(self, words: Sequence[str]) -> list[str]:
        if "all" not in words:
            return list(dict.fromkeys(words))
        # Synthetic models are for bringing up hardware and for memory at real sizes: they are always named.
        real = [name for name, model in self._models.items() if model.synthetic is None]
        return list(dict.fromkeys([*real, *(word for word in words if word != "all")]))

    def _all_frameworks(self, words: Sequence[str]) -> list[str]:
        if "all" not in words:
            return list(dict.fromkeys(words))
        visible = [name for name, backend in self._frameworks.items() if not backend.hidden]
        # A hidden one comes along where it is named beside `all`.
        return list(dict.fromkeys([*visible, *(word for word in words if word != "all")]))

    def _suite_backends(self) -> list[type[Backend]]:
        """Backends of every framework that the suite names."""
        named = self._all_frameworks(self._axes.framework or ())
        named += [entry.framework for entry in self._suite.include if entry.framework is not None]
        return [self._frameworks[name] for name in dict.fromkeys(named)]

    def _recipes(self, backend: type[Backend], axes: _Axes) -> list[tuple[str, str, Recipe | None]]:
        """(precision, recipe name, recipe) for every word of the precision or recipe axis."""
        if axes.recipe is not None:
            wanted = set(axes.recipe)
            chosen = [each for each in _cells_of(backend) if "all" in wanted or each.name in wanted]
            if "all" not in wanted:
                chosen.sort(key=lambda each: list(axes.recipe or ()).index(each.name))
            return [(each.precision, each.name, each) for each in chosen]
        words = axes.precision or ()
        if "all" in words:
            had = {each.precision for one in self._suite_backends() for each in _cells_of(one)}
            words = [precision for precision in PRECISIONS if precision in had]
        found: list[tuple[str, str, Recipe | None]] = []
        for precision in dict.fromkeys(words):
            recipe = next(iter(default_first(backend.recipes, precision)), None)
            found.append((precision, recipe.name if recipe else precision, recipe))
        return found

    # -- exclude and include --------------------------------------------------------------------------------------

    def _without_excluded(self, combos: list[_Combo]) -> list[_Combo]:
        for index, entry in enumerate(self._suite.exclude):
            left = [combo for combo in combos if not _matches(entry, combo)]
            if combos and not left and not self._suite.include:
                raise self._suite.document.error(
                    ("exclude", index),
                    f"this exclude takes the last {len(combos)} of the suite's combinations, so it has no cells",
                    next_step="narrow it, or take it out",
                )
            combos = left
        return combos

    def _with_included(self, original: list[_Combo]) -> list[_Combo]:
        """What `include` makes of the combinations, by GitHub Actions' rules.

        An entry extends every original combination that it does not contradict; where there is none, it makes
        combinations of its own, which later entries do not extend.
        """
        new: list[_Combo] = []
        for index, entry in enumerate(self._suite.include):
            extended = False
            for combo in original:
                if _matches(entry, combo) and _compatible(entry, combo):
                    _add(entry, combo)
                    extended = True
            if not extended:
                new += self._made_by(entry, index)
        return [*original, *new]

    def _made_by(self, entry: Inclusion, index: int) -> list[_Combo]:
        """The combinations of an entry that extends none; axes that it leaves out take the suite's values."""
        suite_axes = self._axes
        by_recipe = entry.recipe is not None
        own_precision = by_recipe or entry.precision is not None
        axes = _Axes(
            model=_own(entry.model) or suite_axes.model,
            framework=_own(entry.framework) or suite_axes.framework,
            precision=None if by_recipe else (_own(entry.precision) or suite_axes.precision),
            recipe=_own(entry.recipe) if own_precision else suite_axes.recipe,
            device=_own(entry.device) or suite_axes.device,
            options=suite_axes.options if entry.options is None else [{}],
            workload=[entry.workload.workload] if entry.workload is not None else suite_axes.workload,
        )
        if missing := axes.missing():
            raise self._suite.document.error(
                ("include", index),
                f'this include extends no combination and names no "{missing}", nor does the suite',
                next_step=f'add "{missing}:" to the entry or to the suite',
            )
        combos = list(self._product(axes))
        if by_recipe and entry.precision is not None:
            combos = [combo for combo in combos if combo.precision == entry.precision]
        if not combos:
            raise self._suite.document.error(
                ("include", index),
                f'no framework of this include has a recipe "{entry.recipe}"'
                + (f" of precision {entry.precision}" if entry.precision else ""),
                next_step="correct the recipe, the precision or the framework",
            )
        for combo in combos:
            _add(entry, combo)
        return combos

    # -- mistakes -------------------------------------------------------------------------------------------------

    def _check_words(self) -> None:
        suite = self._suite
        recipes = _recipe_names(self._suite_known())
        devices = vocabulary(self._frameworks.values())
        for name, words in (
            ("model", suite.model), ("framework", suite.framework), ("recipe", suite.recipe), ("device", suite.device),
        ):  # fmt: skip
            for index, word in enumerate(words or ()):
                self._check_word(name, word, (name, index), recipes, devices, everything=True)
        for key, entries in (("include", suite.include), ("exclude", suite.exclude)):
            for index, entry in enumerate(entries):
                for name in ("model", "framework", "recipe", "device"):
                    word = getattr(entry, name)
                    if word is not None:
                        self._check_word(name, word, (key, index, name), recipes, devices, everything=False)
                if entry.precision == "all":
                    raise self._no_all((key, index, "precision"))
        for at, options in self._all_options():
            for framework in options:
                self._check_word("framework", framework, (*at, framework), recipes, devices, everything=False)

    def _all_options(self) -> Iterator[tuple[Location, Options]]:
        listed = self._suite.document.lines.get(("options", 0)) is not None or len(self._suite.options) > 1
        for index, options in enumerate(self._suite.options):
            yield (("options", index) if listed else ("options",)), options
        for index, entry in enumerate(self._suite.include):
            if entry.options is not None:
                yield ("include", index, "options"), entry.options

    def _suite_known(self) -> list[type[Backend]]:
        """Backends whose recipes the suite may name: those it has, as far as they are known."""
        words = [*(self._suite.framework or ()), *(entry.framework for entry in self._suite.include)]
        if "all" in words or all(word is None for word in words):
            return list(self._frameworks.values())
        known = [self._frameworks[word] for word in words if word in self._frameworks]
        return known or list(self._frameworks.values())

    def _check_word(
        self, kind: str, word: str, at: Location, recipes: list[str], devices: list[str], *, everything: bool
    ) -> None:
        if word == "all":
            if everything:
                return
            raise self._no_all(at)
        if kind == "device":
            parsed = DeviceWord.parse(word)
            wrong = parsed is None or parsed.head not in devices or parsed.api not in (None, *devices)
            known: list[str] = devices
        else:
            known = {"model": list(self._models), "framework": self._visible(), "recipe": recipes}[kind]
            wrong = word not in (self._frameworks if kind == "framework" else known)
        if not wrong:
            return
        step = did_you_mean(word, known, noun=f"{kind}s")
        if kind == "recipe" and word in PRECISIONS:
            step = f"{word} is a precision: write precision: [{word}]"
        message = f'unknown {kind} "{word}"'
        if kind == "recipe":
            message += ": no framework of this suite has it"
        raise self._suite.document.error(at, message, next_step=step)

    def _visible(self) -> list[str]:
        return [name for name, backend in self._frameworks.items() if not backend.hidden]

    def _no_all(self, at: Location) -> UsageError:
        return self._suite.document.error(
            at,
            '"all" is for axes; an include or exclude entry names one value',
            next_step="leave the key out",
        )

    def _check_coverage(self, combos: list[_Combo]) -> None:
        """A framework that is named and gets no combination is a mistake: its recipes are not in the list."""
        for index, framework in enumerate(self._suite.framework or ()):
            if framework == "all" or any(combo.framework == framework for combo in combos):
                continue
            if self._suite.recipe is not None:
                raise self._suite.document.error(
                    ("framework", index),
                    f'framework "{framework}" has none of the suite\'s recipes, so it would have no cells',
                    next_step=f"take it out, or add one of {', '.join(_recipe_names([self._frameworks[framework]]))}",
                )

    def _nothing(self, original: list[_Combo]) -> UsageError:
        if original:
            return self._suite.document.error(
                ("exclude",),
                "the excludes leave no combination, so the suite has no cells",
                next_step="narrow them",
            )
        for name, known in (("model", self._models), ("framework", self._visible())):
            if not known:
                return self._suite.document.error(
                    (name,), f'the axis "{name}" is empty: no {name} is known', next_step=f"add a {name}"
                )
        return self._suite.document.error(
            ("recipe",),
            "no framework of the suite has any of its recipes",
            next_step="see: edgebench list recipes",
        )


def _recipe_names(backends: Sequence[type[Backend]]) -> list[str]:
    return sorted({recipe.name for backend in backends for recipe in _cells_of(backend)})


def _cells_of(backend: type[Backend]) -> list[Recipe]:
    """The recipes that a suite can name."""
    return [recipe for recipe in backend.recipes if not recipe.intermediate]


def _own(word: str | None) -> list[str] | None:
    return None if word is None else [word]


def _matches(entry: Combination, combo: _Combo) -> bool:
    """Whether every axis value that the entry names is the combination's."""
    for name in ("model", "framework", "precision", "recipe"):
        word = getattr(entry, name)
        if word is not None and word != getattr(combo, name):
            return False
    if entry.device is not None:
        word = DeviceWord.parse(entry.device)
        if word is None or not word.names(combo.target.device, combo.target.api):
            return False
    if entry.workload is not None:
        wanted = entry.workload.workload
        if wanted.threads is None:
            wanted = replace(wanted, threads=combo.workload.threads)
        return wanted == combo.workload
    return True


def _compatible(entry: Inclusion, combo: _Combo) -> bool:
    """Whether adding the entry would leave every original value of the combination as it is."""
    if entry.threads is not None and combo.workload.threads not in (None, entry.threads):
        return False
    wanted = (entry.options or {}).get(combo.framework, {})
    return all(combo.options.get(key, value) == value for key, value in wanted.items())


def _add(entry: Inclusion, combo: _Combo) -> None:
    """Later entries overwrite what earlier ones added."""
    if entry.threads is not None:
        combo.threads = entry.threads
    combo.added_options |= (entry.options or {}).get(combo.framework, {})
    if entry.runs is not None:
        combo.settings |= runs_settings(entry.runs)
    if entry.warmups is not None:
        combo.settings |= warmups_settings(entry.warmups)
    for name in ("max_windows", "repetitions", "timeout_s", "memory_limit_bytes"):
        value = getattr(entry, name)
        if value is not None:
            combo.settings[name] = value
