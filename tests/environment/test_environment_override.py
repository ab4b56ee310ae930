"""The words of ``--with``, and whom they are for."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from environment_index import Index, backend, sha256
from hypothesis import given
from hypothesis import strategies as st

from harness.environment import Override, check_overrides
from harness.environment.override import applicable
from harness.errors import UsageError
from harness.worker.api import Requirements

names = st.from_regex(r"\A[a-z][a-z0-9]{0,8}(?:-[a-z0-9]{1,5}){0,2}\Z")
versions = st.tuples(st.integers(0, 3000), st.integers(0, 99), st.integers(0, 99)).map(
    lambda parts: ".".join(map(str, parts))
)


@given(names, versions)
def test_an_exact_version_is_read(name: str, version: str) -> None:
    override = Override.parse(f"{name}=={version}")
    assert (override.name, override.version, override.framework, override.wheel) == (
        name,
        version,
        None,
        None,
    )
    assert override.identity == f"{name}=={version}"


@given(names, names, versions)
def test_a_framework_before_it_is_read(framework: str, name: str, version: str) -> None:
    override = Override.parse(f" {framework}={name} == {version} ")
    assert (override.framework, override.name, override.version) == (framework, name, version)


@given(names, versions, st.sampled_from(["-", "_", "."]))
def test_every_spelling_of_a_name_is_the_same_override(name: str, version: str, separator: str) -> None:
    spelt = name.upper().replace("-", separator)
    assert Override.parse(f"{spelt}=={version}").identity == Override.parse(f"{name}=={version}").identity


@given(st.text(max_size=30))
def test_any_words_give_an_override_or_an_error_with_a_next_step(text: str) -> None:
    problem: UsageError | None = None
    version = ""
    try:
        version = Override.parse(text).version
    except UsageError as error:
        problem = error
    assert version if problem is None else ("--with" in problem.what and problem.next_step)


@given(names, st.sampled_from([">=1", "~=1.0", "==1.*", "!=2", "===1", "==1,==2", "<2", ""]))
def test_what_is_not_exact_is_refused(name: str, specifier: str) -> None:
    with pytest.raises(UsageError, match="the version must be exact"):
        Override.parse(name + specifier)


def test_one_equals_sign_is_understood_as_a_slip() -> None:
    with pytest.raises(UsageError) as caught:
        Override.parse("openvino=2026.5.0")
    assert caught.value.next_step == "write --with 'openvino==2026.5.0'"


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "neither a requirement nor a wheel"),
        ("a b c", "neither a requirement nor a wheel"),
        ("./none.whl", "there is no file"),
        ("src/package", "not a wheel"),
        ("package-1.0.tar.gz", "not a wheel"),
        ("https://example.org/a-1-py3-none-any.whl", "an address is not followed"),
        ("a @ https://example.org/a-1-py3-none-any.whl", "an address is not followed"),
        ("a==1; sys_platform == 'linux'", "only a name and a version"),
    ],
)
def test_wrong_words_are_told(text: str, words: str) -> None:
    with pytest.raises(UsageError, match=words):
        Override.parse(text)


def test_a_wheel_is_known_by_its_content(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    wheel = Index(tmp_path / "index").wheel("some-engine", "1.2")
    monkeypatch.chdir(tmp_path)
    override = Override.parse(f"tiny=./index/{wheel.name}")
    assert (override.name, override.version, override.framework) == ("some-engine", "1.2", "tiny")
    assert override.wheel == wheel
    assert override.identity == f"some-engine==1.2 sha256:{sha256(wheel)}"
    assert override.requirement(["extra"]) == f"some-engine[extra] @ {wheel.as_uri()}"
    monkeypatch.chdir(wheel.parent)
    assert Override.parse(wheel.name).identity == override.identity


def test_a_wheel_for_another_python_is_refused(tmp_path: Path) -> None:
    wheel = Index(tmp_path).wheel("engine", "1", tag="cp27-cp27m-win32")
    with pytest.raises(UsageError, match="for another Python or platform"):
        Override.parse(str(wheel))


def test_a_renamed_wheel_is_refused(tmp_path: Path) -> None:
    (tmp_path / "engine.whl").write_bytes(b"")
    with pytest.raises(UsageError, match=r"engine\.whl"):
        Override.parse(str(tmp_path / "engine.whl"))


CONVERTER = Requirements(packages=("engine==1.0", "converter-tool==3"), import_name="converter_tool")
TWO_ROLES = Requirements(packages=("engine==1.0",), import_name="engine", converter=CONVERTER)


def chosen(text: str, *, converter: bool) -> list[str]:
    return [
        found.name for found in applicable([Override.parse(text)], "tiny", TWO_ROLES, converter=converter)
    ]


def test_an_override_is_for_the_environments_that_have_its_distribution() -> None:
    assert chosen("engine==2", converter=False) == chosen("engine==2", converter=True) == ["engine"]
    assert chosen("converter_tool==4", converter=False) == []
    assert chosen("converter_tool==4", converter=True) == ["converter-tool"]
    assert chosen("other==4", converter=False) == []


def test_an_override_for_a_framework_by_name_is_added_to_its_runtime() -> None:
    assert chosen("tiny=other==4", converter=False) == ["other"]
    assert chosen("tiny=other==4", converter=True) == []
    assert chosen("tiny=converter-tool==4", converter=False) == []
    assert chosen("another=engine==4", converter=False) == []


def test_two_versions_of_one_distribution_contradict_each_other() -> None:
    both = [Override.parse("engine==2"), Override.parse("tiny=engine==3")]
    with pytest.raises(UsageError, match="the same distribution"):
        applicable(both, "tiny", TWO_ROLES, converter=False)
    with pytest.raises(UsageError, match="the same distribution"):
        check_overrides(both, [backend("engine==1")])
    check_overrides([both[0], both[0]], [backend("engine==1")])


def test_an_override_that_changes_nothing_is_an_error_with_the_next_step() -> None:
    backends = [backend("engine==1.0", framework="tiny"), backend("motor==1.0", framework="other")]
    check_overrides([Override.parse("motor==2")], backends)
    with pytest.raises(UsageError, match="none of other, tiny has the distribution 'wheelbarrow'") as caught:
        check_overrides([Override.parse("wheelbarrow==2")], backends)
    assert "FRAMEWORK=wheelbarrow==2" in caught.value.next_step


def test_an_override_for_an_unknown_framework_is_an_error_that_names_the_known() -> None:
    with pytest.raises(
        UsageError, match=re.escape("no framework of this session is called 'tyni'")
    ) as caught:
        check_overrides([Override.parse("tyni=engine==2")], [backend("engine==1")])
    assert "tiny" in caught.value.next_step
