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
from harness.gate.links import site_address

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
            if key in ("run", "script", "before_script", "after_script"):
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
    assert "--body-file new/gate.md" in hosted, "the comment, among what the other job downloads"


def gating_jobs() -> Iterator[tuple[str, dict[str, Any]]]:
    for name in (*WORKFLOWS, "gitlab.yaml"):
        described = yaml.safe_load(text_of(name))
        jobs = described["jobs"] if "jobs" in described else {"gate": described["gate"]}
        yield from ((name, job) for job in jobs.values() if "edgebench gate " in " ".join(_scripts(job)))


def test_the_site_is_of_the_gate_that_was_judged_in_the_same_job() -> None:
    found = []
    for name, job in gating_jobs():
        script = " ".join(_scripts(job))
        (file,) = re.findall(r"edgebench report --gate (\S+) --out", script)
        assert f"--write json={file}" in script, name
        assert "EDGEBENCH_SITE_URL" in text_of(name)
        found.append(name)
        for step in job.get("steps", ()):
            if "edgebench report" in step.get("run", ""):
                assert step["if"] == f"always() && hashFiles('{file}') != ''", "a red gate is published too"
    assert found == ["github-lab.yaml", "github-lab.yaml", "github-hosted.yaml", "gitlab.yaml"]


def test_the_folder_that_is_published_is_the_one_that_the_address_names(tmp_path: Path) -> None:
    lab = yaml.safe_load(text_of("github-lab.yaml"))
    address = site_address(lab["env"]["EDGEBENCH_SITE_URL"].replace("${{ github.run_id }}", "7"))
    folders = re.findall(r'--out "(.*)"', text_of("github-lab.yaml"))
    assert [one.replace("$GITHUB_RUN_ID", "7") for one in folders] == ["/srv/www/gates/7"] * 2
    assert address.endswith("/gates/7")

    hosted = yaml.safe_load(text_of("github-hosted.yaml"))["env"]["EDGEBENCH_SITE_URL"]
    pattern = re.search(r"format\('([^']*)'", hosted)
    assert pattern is not None
    assert site_address(pattern[1].format("Owner", "repo", 7)).endswith("/repo/gates/7")
    assert hosted.endswith("|| '' }}"), "a fork has no links"

    job = yaml.safe_load(text_of("gitlab.yaml"))["gate"]
    (line,) = [one for one in job["script"] if one.startswith("export EDGEBENCH_SITE_URL=")]
    assert "site/" in job["artifacts"]["paths"]
    if shutil.which("sh") is None:
        return
    variables = {
        "CI_PROJECT_ROOT_NAMESPACE": "group", "CI_PAGES_DOMAIN": "pages.example.org",
        "CI_PROJECT_PATH": "group/sub/project", "CI_JOB_ID": "7",
    }  # fmt: skip
    said = subprocess.run(
        ["sh", "-c", f'{line}\nprintf %s "$EDGEBENCH_SITE_URL"'],
        cwd=tmp_path, env={**os.environ, **variables}, check=True, capture_output=True, text=True,
    ).stdout  # fmt: skip
    assert said == "https://group.pages.example.org/-/sub/project/-/jobs/7/artifacts/site"
    assert site_address(said) == said


@pytest.mark.skipif(os.name == "nt" or shutil.which("bash") is None, reason="GitHub runs these by bash")
def test_the_pages_of_a_pull_request_are_replaced_and_those_of_others_stay(tmp_path: Path) -> None:
    """Two pull requests that publish at once, then the first of them again."""
    workflow = yaml.safe_load(text_of("github-hosted.yaml"))
    (script,) = [
        step["run"] for step in workflow["jobs"]["publish"]["steps"] if step.get("name") == "Publish the site"
    ]
    step = tmp_path / "step.sh"
    step.write_text(script, encoding="utf-8")
    # Neither the user's configuration nor the system's.
    environment = {
        **os.environ,
        "GIT_CONFIG_GLOBAL": os.devnull,
        "GIT_CONFIG_NOSYSTEM": "1",
        "HOME": str(tmp_path),
    }

    def git(folder: Path, *words: str) -> str:
        done = subprocess.run(
            ["git", *words], cwd=folder, env=environment, check=True, capture_output=True, text=True
        )
        return done.stdout.strip()

    origin, first = tmp_path / "origin", tmp_path / "first"
    git(tmp_path, "init", "--quiet", "--bare", "--initial-branch", "gh-pages", str(origin))
    git(tmp_path, "init", "--quiet", "--initial-branch", "gh-pages", str(first))
    identity = ("-c", "user.name=t", "-c", "user.email=t@example.org")
    git(first, *identity, "commit", "--quiet", "--allow-empty", "--message", "Pages")
    git(first, "push", "--quiet", str(origin), "gh-pages")

    def checked_out(name: str, page: str) -> Path:
        folder = tmp_path / name
        # As the service's own check-out: the newest commit alone.
        git(tmp_path, "clone", "--quiet", "--depth", "1", origin.as_uri(), str(folder))
        site = folder / "new" / "site" / "sessions"
        site.mkdir(parents=True)
        (folder / "new" / "site" / "index.html").write_text(page, encoding="utf-8")
        (site / f"{page}.html").write_text(page, encoding="utf-8")
        (folder / "new" / "gate.md").write_text("a comment", encoding="utf-8")
        return folder

    def publish(folder: Path, number: str) -> None:
        subprocess.run(
            ["bash", "-e", str(step)],
            cwd=folder,
            env={**environment, "NUMBER": number},
            check=True,
            capture_output=True,
        )

    one, other = checked_out("a", "one"), checked_out("b", "other")
    publish(one, "41")
    publish(other, "42")
    publish(checked_out("c", "newer"), "41")
    assert git(origin, "ls-tree", "-r", "--name-only", "gh-pages").splitlines() == [
        ".nojekyll",
        "gates/41/index.html",
        "gates/41/sessions/newer.html",
        "gates/42/index.html",
        "gates/42/sessions/other.html",
    ]
    assert git(origin, "show", "gh-pages:gates/41/index.html") == "newer"


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
@pytest.mark.stocked
def test_the_shell_example_hands_on_0_1_and_3_and_github_gets_its_files(lab: Lab) -> None:
    """The one that fails is published, and its links lead into its site."""
    address = "https://lab.example.org/gates/42"
    published = {"SITE": str(lab.folder / "site"), "EDGEBENCH_SITE_URL": address}
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
                **(published if preset == "tiny" else {}),
            },
            capture_output=True,
            text=True,
            check=False,
            timeout=PATIENCE_S,
        )  # fmt: skip
        annotations = (lab.folder / "annotations.txt").read_text(encoding="utf-8")
        said = [line for line in answer.stdout.splitlines() if line.startswith("gate: ")]
        found[preset] = (answer.returncode, *said)
        comment = (lab.folder / "gate.md").read_text(encoding="utf-8")
        links = set(re.findall(rf"\({address}/([^)]*)\)", comment))
        assert bool(links) == (preset == "tiny")
        for link in links:
            path, _, anchor = link.partition("#")
            page = (lab.folder / "site" / path).read_text(encoding="utf-8")
            assert not anchor or f'id="{anchor}"' in page, link
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
