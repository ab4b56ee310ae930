"""Finding backends, whoever declares them, and saying what is wrong with one without losing the others."""

from __future__ import annotations

import sys
from importlib.metadata import EntryPoint
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from harness import frameworks as module
from harness.backends.fake import Fake
from harness.errors import EdgebenchError, UsageError
from harness.frameworks import framework, frameworks
from harness.runner.launch import launch_for

SEVEN = ["directml", "llamacpp", "mlx", "olive", "openvino", "qnn", "server"]


def _declare(monkeypatch: pytest.MonkeyPatch, *declared: tuple[str, str, str]) -> None:
    monkeypatch.setattr(module, "_declared", lambda: declared)
    # Whether the tests run on the installed package or not, the project's own list is the checkout's.
    monkeypatch.setattr(module, "_PACKAGE", Path(__file__).resolve().parents[1] / "harness")


@pytest.fixture
def third_party(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    package = tmp_path / "acme_bench"
    package.mkdir()
    (package / "__init__.py").write_text("", encoding="utf-8")
    (package / "good.py").write_text(
        "from harness.backends.fake import Fake\n"
        "class Acme(Fake):\n    framework = 'acme'\n    hidden = False\n"
        "class Other(Fake):\n    framework = 'other'\n"
        "class Nothing:\n    pass\n",
        encoding="utf-8",
    )
    (package / "bad.py").write_text("raise RuntimeError('built for another Python')\n", encoding="utf-8")
    monkeypatch.syspath_prepend(tmp_path)
    for name in [name for name in sys.modules if name.partition(".")[0] == "acme_bench"]:
        monkeypatch.delitem(sys.modules, name)
    return package


def test_a_checkout_has_the_frameworks_that_its_project_file_declares(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    _declare(monkeypatch)
    assert sorted(module._all()) == SEVEN
    assert all(entry.distribution == "edgebench" for entry in module._all().values())


def test_the_fake_is_known_only_when_asked_for_and_is_never_listed(monkeypatch: pytest.MonkeyPatch) -> None:
    _declare(monkeypatch, ("acme", "x:Y", "acme-bench"))
    monkeypatch.delenv("EDGEBENCH_FAKE", raising=False)
    assert "fake" not in frameworks(include_hidden=True)
    with pytest.raises(UsageError):
        framework("fake")
    monkeypatch.setenv("EDGEBENCH_FAKE", "1")
    assert "fake" in frameworks(include_hidden=True)
    assert "fake" not in frameworks()
    assert framework("fake").backend is Fake


def test_an_unknown_id_says_what_was_meant(monkeypatch: pytest.MonkeyPatch) -> None:
    _declare(monkeypatch)
    with pytest.raises(UsageError, match=r"no framework 'openvion'\. Did you mean 'openvino'") as caught:
        framework("openvion")
    assert "llamacpp" in caught.value.next_step
    with pytest.raises(UsageError) as caught:
        framework("zzz")
    assert "Did you mean" not in str(caught.value)
    assert caught.value.status == 2


def test_a_third_partys_backend_is_found_and_its_package_goes_with_it(
    monkeypatch: pytest.MonkeyPatch, third_party: Path
) -> None:
    _declare(monkeypatch, ("acme", "acme_bench.good:Acme", "acme-bench"))
    entry = framework("acme")
    assert entry.backend.framework == "acme"
    assert entry.error is None
    assert entry.packages == {"harness": module._PACKAGE, "acme_bench": third_party}
    launch = launch_for("acme", Path("/env/bin/python"), {"A": "b"})
    assert launch.backend == "acme_bench.good:Acme"
    assert launch.env == {"A": "b"}
    assert f"--package=acme_bench={third_party}" in launch.command(3, 4)
    assert "acme" in frameworks()


@pytest.mark.parametrize(
    ("value", "why"),
    [
        ("acme_bench.bad:Acme", "RuntimeError: built for another Python"),
        ("acme_bench.missing:Acme", "ModuleNotFoundError"),
        ("acme_bench.good:Missing", "AttributeError"),
        ("acme_bench.good:Nothing", "not a subclass"),
        ("acme_bench.good:Other", "says it is 'other'"),
    ],
)
def test_a_broken_backend_is_listed_with_its_error_and_hides_no_other(
    monkeypatch: pytest.MonkeyPatch, third_party: Path, value: str, why: str
) -> None:
    del third_party
    _declare(
        monkeypatch,
        ("acme", value, "acme-bench"),
        ("zeta", "acme_bench.good:Acme", "zeta-bench"),
        ("fine", "harness.backends.fake:Fake", "fine-bench"),
    )
    entry = frameworks()["acme"]
    assert entry.error is not None
    assert "'acme-bench'" in str(entry.error)
    assert why in str(entry.error)
    with pytest.raises(EdgebenchError, match="cannot be used"):
        _ = entry.backend
    assert {"zeta", "llamacpp"} <= set(frameworks())


def test_a_backend_whose_package_is_gone_is_an_error_when_launched(monkeypatch: pytest.MonkeyPatch) -> None:
    _declare(monkeypatch, ("acme", "acme_is_not_there:Acme", "acme-bench"))
    with pytest.raises(EdgebenchError, match="there is no package 'acme_is_not_there'"):
        launch_for("acme", Path("python"))


def test_the_projects_own_backend_wins_over_another_of_the_same_id(monkeypatch: pytest.MonkeyPatch) -> None:
    _declare(
        monkeypatch,
        ("fake", "acme:A", "acme-bench"),
        ("fake", "harness.backends.fake:Fake", "edgebench"),
    )
    assert framework("fake").backend is Fake


def test_two_others_of_the_same_id_are_an_error_that_names_both(monkeypatch: pytest.MonkeyPatch) -> None:
    _declare(monkeypatch, ("acme", "a:A", "one-bench"), ("acme", "b:B", "two-bench"))
    with pytest.raises(EdgebenchError, match="'one-bench' and 'two-bench' both declare"):
        _ = framework("acme").backend


def test_finding_out_what_there_is_imports_no_backend(monkeypatch: pytest.MonkeyPatch) -> None:
    _declare(monkeypatch)
    imported: list[Any] = []
    monkeypatch.setattr("importlib.import_module", imported.append)
    module._all()
    assert imported == []


def test_distributions_are_read_once_for_a_path(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """A session asks before each of its runs."""
    asked: list[str] = []
    monkeypatch.setattr(module, "_PACKAGE", Path(__file__).resolve().parents[1] / "harness")

    def entry_points(*, group: str) -> tuple[EntryPoint, ...]:
        asked.append(group)
        point = EntryPoint("acme", "harness.backends.fake:Fake", group)
        vars(point).update(dist=SimpleNamespace(name="acme-bench"))
        return (point,)

    monkeypatch.setattr(module, "entry_points", entry_points)
    monkeypatch.syspath_prepend(tmp_path / "one")
    found = frameworks()
    assert sorted(found) == sorted(frameworks()) == sorted([*SEVEN, "acme"])
    assert found["acme"].distribution == "acme-bench"
    assert asked == [module.GROUP]
    monkeypatch.syspath_prepend(tmp_path / "two")
    frameworks()
    assert asked == [module.GROUP] * 2
