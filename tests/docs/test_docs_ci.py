"""The examples for continuous integration are valid, use the real command line, and run."""

from __future__ import annotations

import importlib.util
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from xml.etree import ElementTree as ET

import click
import pytest
import yaml
from command_line import DOCS, commands, in_blocks, resolve
from fake_lab import PATIENCE_S, SUITE, Lab

import harness

FOLDER = DOCS / "ci"
PAGE = (DOCS / "ci.md").read_text(encoding="utf-8")
WORKFLOWS = ("github-lab.yaml", "github-hosted.yaml")
FILES = (*WORKFLOWS, "gitlab.yaml", "gate.sh")


def text_of(name: str) -> str:
    return (FOLDER / name).read_text(encoding="utf-8")


def lines_of(name: str) -> list[str]:
    """The shell lines of an example, continued ones joined."""
    if name.endswith(".sh"):
        text = text_of(name)
        # Its usage shows what to call it with; the program's own line takes these words.
        text += "\n".join(
            line.replace("#   gate.sh", "edgebench gate")
            for line in text.splitlines()
            if "#   gate.sh" in line
        )
    else:
        text = "\n".join(_scripts(yaml.safe_load(text_of(name))))
    return text.replace("\\\n", " ").splitlines()


def _scripts(node: Any) -> Iterator[str]:
    """Every value of ``run`` and ``script``."""
    if isinstance(node, dict):
        for key, value in node.items():
            if key in ("run", "script", "before_script"):
                yield from [value] if isinstance(value, str) else value
            else:
                yield from _scripts(value)
    elif isinstance(node, list):
        for one in node:
            yield from _scripts(one)


def test_the_page_has_every_example_as_it_is() -> None:
    blocks = dict(
        re.findall(r"^\[`ci/([\w.-]+)`\]\(ci/\1\)[^\n]*\n+```\w+\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)
    )
    assert blocks == {name: text_of(name) for name in FILES}, "copy the files into docs/ci.md"
    assert sorted(path.name for path in FOLDER.iterdir()) == sorted(FILES)


@pytest.mark.parametrize("name", FILES)
def test_every_command_of_an_example_is_one_that_the_program_accepts(name: str) -> None:
    script = "\n".join(line.strip() for line in lines_of(name))
    found = list(in_blocks(f"```\n{script}\n```\n"))
    assert "gate" in {words[0] for words in found}
    for words in found:
        command_name, rest = resolve(words)
        try:
            commands()[command_name].make_context(command_name, rest).close()
        except click.ClickException as error:
            pytest.fail(f"{name}: edgebench {' '.join(words)}: {error.format_message()}")


@pytest.mark.parametrize(
    ("name", "schema"),
    [(name, "github-workflows") for name in WORKFLOWS] + [("gitlab.yaml", "gitlab-ci")],
)
def test_an_example_follows_its_services_schema(name: str, schema: str) -> None:
    if importlib.util.find_spec("check_jsonschema") is None:
        pytest.skip("check-jsonschema, which brings the services' schemas, is not installed (extra `dev`)")
    words = ["--builtin-schema", f"vendor.{schema}", str(FOLDER / name)]
    if schema == "gitlab-ci":
        words += ["--data-transform", "gitlab-ci"]
    answer = subprocess.run(
        [sys.executable, "-m", "check_jsonschema", *words], capture_output=True, text=True, check=False
    )
    assert answer.returncode == 0, answer.stdout + answer.stderr


@pytest.mark.parametrize("name", WORKFLOWS)
def test_a_workflow_runs_no_forks_code_on_ones_own_machine_and_writes_no_input_into_a_script(
    name: str,
) -> None:
    workflow = yaml.safe_load(text_of(name))
    assert "pull_request_target" not in text_of(name)
    for job in workflow["jobs"].values():
        own = "self-hosted" in job["runs-on"]
        assert not own or "head.repo.full_name == github.repository" in job["if"] or "'push'" in job["if"]
        for step in job["steps"]:
            assert ("uses" in step) != ("run" in step)
            # What a pull request names reaches a script by the environment, never by substitution.
            assert "${{" not in step.get("run", "")


def test_files_that_the_services_read_are_files_that_the_gate_writes() -> None:
    job = yaml.safe_load(text_of("gitlab.yaml"))["gate"]
    script = " ".join(job["script"])
    assert f"--write gitlab={job['artifacts']['reports']['codequality']}" in script
    assert f"--write junit={job['artifacts']['reports']['junit']}" in script
    assert job["allow_failure"] == {"exit_codes": 3}
    hosted = text_of("github-hosted.yaml")
    assert "--write markdown=gate.md" in hosted
    assert "--body-file gate.md" in hosted


def judging_step(name: str) -> str:
    """The script of a workflow that judges a change."""
    workflow = yaml.safe_load(text_of(name))
    (script,) = [
        step["run"]
        for job in workflow["jobs"].values()
        for step in job["steps"]
        if step.get("name") == "Judge the change"
    ]
    return str(script)


@pytest.mark.skipif(os.name == "nt" or shutil.which("bash") is None, reason="GitHub runs these by bash")
@pytest.mark.parametrize(("name", "passing"), [("github-lab.yaml", {0}), ("github-hosted.yaml", {0, 3})])
def test_a_workflow_compares_with_where_the_branch_began_and_hands_on_what_it_says(
    tmp_path: Path, name: str, passing: set[int]
) -> None:
    def git(*words: str) -> str:
        identity = ("-c", "user.name=t", "-c", "user.email=t@example.org", "-c", "commit.gpgsign=false")
        done = subprocess.run(
            ["git", *identity, *words], cwd=tmp_path, check=True, capture_output=True, text=True
        )
        return done.stdout.strip()

    def commit(what: str) -> str:
        git("commit", "-q", "--allow-empty", "-m", what)
        return git("rev-parse", "HEAD")

    git("init", "-q")
    began = commit("where the branch began")
    git("checkout", "-q", "-b", "branch")
    head = commit("the branch")
    git("checkout", "-q", "-b", "target", began)
    merged_since = commit("merged since")
    programs = tmp_path / "bin"
    programs.mkdir()
    program = programs / "edgebench"
    program.write_text('#!/bin/sh\necho "$@" > words.txt\nexit "$STATUS"\n', encoding="utf-8")
    program.chmod(0o755)
    script = tmp_path / "step.sh"
    script.write_text(judging_step(name), encoding="utf-8")
    path = f"{programs}{os.pathsep}{os.environ['PATH']}"
    for status in range(4):
        environment = {**os.environ, "PATH": path, "BASE": merged_since, "HEAD": head, "STATUS": str(status)}
        # As GitHub runs a step that names no shell.
        done = subprocess.run(["bash", "-e", str(script)], cwd=tmp_path, env=environment, check=False)
        assert (done.returncode == 0) == (status in passing)
        words = (tmp_path / "words.txt").read_text(encoding="utf-8")
        assert f"--base git={began} --head git={head} " in words


# -- for real ---------------------------------------------------------------------------------------------------------

RULES = """\
presets:
  small: {title: small, rules: [{figure: weight_bytes, at_most: 1000000000}]}
  tiny: {title: tiny, rules: [{figure: weight_bytes, at_most: 1}]}
  steady: {title: steady, rules: [{figure: decode_tps_cv, below: 0.2}]}
"""


@pytest.mark.skipif(os.name == "nt" or shutil.which("sh") is None, reason="there is no POSIX shell here")
def test_the_shell_example_hands_on_0_1_and_3_and_github_gets_its_files(lab: Lab) -> None:
    suite = SUITE.replace("runs: 2", "runs: 1\nrepetitions: 1\nwarmups: 0").replace("[fp16, int4]", "int4")
    lab.suite(suite.replace("scoring: {window: 64, stride: 64, score_from: 32, max_windows: 2}\n", ""))
    (lab.folder / "rules.yaml").write_text(RULES, encoding="utf-8")
    programs = lab.folder / "bin"
    programs.mkdir()
    program = programs / "edgebench"
    program.write_text(f'#!/bin/sh\nexec "{sys.executable}" -m harness "$@"\n', encoding="utf-8")
    program.chmod(0o755)
    summary = lab.folder / "summary.md"
    found = {}
    for preset in ("small", "tiny", "steady"):
        answer = subprocess.run(
            ["sh", str(FOLDER / "gate.sh"), "fake.yaml", "--preset", preset, "--presets", "rules.yaml",
             "--write", "github=annotations.txt", "-q"],
            cwd=lab.folder,
            env={
                **os.environ,
                "PATH": f"{programs}{os.pathsep}{os.environ['PATH']}",
                "PYTHONPATH": str(Path(harness.__file__).parents[1]),
                "GITHUB_STEP_SUMMARY": str(summary),
            },
            capture_output=True,
            text=True,
            check=False,
            timeout=PATIENCE_S,
        )  # fmt: skip
        annotations = (lab.folder / "annotations.txt").read_text(encoding="utf-8")
        found[preset] = (answer.returncode, answer.stdout.splitlines()[-1])
        assert annotations in answer.stdout, "GitHub reads annotations from the log"
        assert {"small": "::notice", "tiny": "::error", "steady": "::warning"}[preset] in annotations
        suite_result = ET.parse(lab.folder / "gate.xml").getroot()
        assert suite_result.get("failures") == ("1" if preset == "tiny" else "0")
    assert found == {
        "small": (0, "gate: pass"),
        "tiny": (1, "gate: something fails, see gate.md"),
        "steady": (3, "gate: inconclusive, see gate.md for what it would have seen"),
    }
    told = summary.read_text(encoding="utf-8")
    assert [told.count(f"### edgebench gate: {word}") for word in ("pass", "fail", "inconclusive")] == [
        1,
        1,
        1,
    ]
    assert (lab.folder / "gate.md").read_text(encoding="utf-8") in told
