"""pip's report and its complaints, as pip 23 to 26 print them."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from harness.environment.pip_run import Package, clean_environment, compiler_errors, diagnose, read_report

LOG = Path("pip.log")


OFFLINE = """
Looking in indexes: https://mirror.example.org/simple
WARNING: Retrying (Retry(total=0)) after connection broken by 'NewConnectionError('<HTTPSConnection object at 0x7f>: \
Failed to establish a new connection: [Errno -3] Temporary failure in name resolution')': /simple/numpy/
ERROR: Could not find a version that satisfies the requirement numpy==2.4.6 (from versions: none)
ERROR: No matching distribution found for numpy==2.4.6
"""
NO_NAME = OFFLINE.replace("Looking in indexes: https://mirror.example.org/simple\n", "")
MISSING = """
ERROR: Could not find a version that satisfies the requirement numpy==9 (from versions: 2.4.6)
ERROR: No matching distribution found for numpy==9
"""
HASH = """
ERROR: THESE PACKAGES DO NOT MATCH THE HASHES FROM THE REQUIREMENTS FILE. If you have updated the package versions, \
please update the hashes. Otherwise, examine the package contents carefully; someone may have tampered with them.
    engine==1.0 from file:///index/engine-1.0-py3-none-any.whl:
        Expected sha256 aa
             Got        bb
"""
REQUIRE_HASHES = """
ERROR: In --require-hashes mode, all requirements must have their versions pinned with ==. These do not:
    helper from https://example.org (from engine)
"""
CONFLICT = """
ERROR: Cannot install engine==1.1 and helper==2.0 because these package versions have conflicting dependencies.

The conflict is caused by:
    engine 1.1 depends on helper>=3
    The user requested (constraint) helper==2.0

To fix this you could try to:
ERROR: ResolutionImpossible: for help visit https://pip.pypa.io
"""
FULL = "ERROR: Could not install packages due to an OSError: [Errno 28] No space left on device"


@pytest.mark.parametrize(
    ("output", "what", "next_step"),
    [
        (
            OFFLINE,
            r"index \(https://mirror.example.org/simple\) cannot be reached: Failed to establish a new",
            "mirror",
        ),
        (NO_NAME, r"index \(PyPI\) cannot be reached: .*name resolution \(log", "PIP_FIND_LINKS"),
        (
            MISSING,
            "no index offers the pinned file: No matching distribution found for numpy==9",
            "pip config list",
        ),
        (
            HASH,
            r"another file than the one that is pinned \(engine==1.0 from file:///index/engine-1.0",
            "--with",
        ),
        (REQUIRE_HASHES, "configured to demand hashes", "PIP_REQUIRE_HASHES"),
        (
            CONFLICT,
            r"engine 1.1 depends on helper>=3; The user .* \(constraint\) helper==2.0",
            "PIP_CONSTRAINT",
        ),
        (FULL, "the disk is full", "EDGEBENCH_CACHE_DIR"),
        ("/usr/bin/python3: No module named pip\n", "has no pip", "install edgebench again"),
        ("Segmentation fault\n", "Segmentation fault", "read the log"),
        ("", "it said nothing", "read the log"),
    ],
    ids=[
        "offline",
        "no name",
        "missing",
        "hash",
        "require hashes",
        "conflict",
        "full",
        "no pip",
        "other",
        "silent",
    ],
)
def test_a_complaint_of_pip_becomes_a_cause_and_a_next_step(output: str, what: str, next_step: str) -> None:
    error = diagnose(output, "making the tiny environment", LOG)
    with pytest.raises(type(error), match=what):
        raise error
    assert error.what.startswith("making the tiny environment failed: ")
    assert "pip.log" in error.what
    assert next_step in error.next_step


def test_credentials_of_an_index_are_not_repeated() -> None:
    line = (
        "ERROR: Could not fetch https://user:secret@example.org/simple/: connection error: Connection refused"
    )
    error = diagnose(line, "making it", LOG)
    assert "secret" not in error.what
    assert "https://example.org" in error.what


def test_the_compilers_last_errors_are_told_and_not_pips_echo_of_them() -> None:
    lines = [
        "[12/300] Building CXX object a.o",
        "/src/a.cpp:3:1: error: 'x' was not declared in this scope",
        "/src/b.cpp:9:9: fatal error: vulkan.h: No such file or directory",
        "ninja: build stopped: subcommand failed.",
        "ERROR: Failed building wheel for engine",
        "error: subprocess-exited-with-error",
    ]
    assert compiler_errors(lines) == lines[1:3]


def test_at_most_five_compiler_errors_are_told() -> None:
    assert compiler_errors([f"a.c:{line}: error: no" for line in range(9)]) == [
        f"a.c:{line}: error: no" for line in range(4, 9)
    ]


def test_the_report_gives_name_version_and_hash(tmp_path: Path) -> None:
    report = {
        "install": [
            {
                "metadata": {"name": "Zeta_Tools", "version": "2"},
                "download_info": {
                    "url": "u",
                    "archive_info": {"hash": "sha256=bb", "hashes": {"sha256": "bb"}},
                },
            },
            {"metadata": {"name": "alpha", "version": "1"}, "download_info": {"url": "u", "dir_info": {}}},
        ]
    }
    path = tmp_path / "report.json"
    path.write_text(json.dumps(report), encoding="utf-8")
    assert read_report(path) == (Package("alpha", "1", None), Package("zeta-tools", "2", "bb"))


def test_the_users_pip_settings_stay_and_those_that_install_elsewhere_go(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("PIP_INDEX_URL", "https://mirror.example.org/simple")
    monkeypatch.setenv("PIP_CONSTRAINT", "corporate.txt")
    for name in ("PIP_TARGET", "PIP_PREFIX", "PIP_REQUIREMENT", "PYTHONPATH", "PYTHONHOME"):
        monkeypatch.setenv(name, "somewhere")
    monkeypatch.setenv("PIP_USER", "1")
    found = clean_environment({"CMAKE_ARGS": "-DX=1"})
    assert found["PIP_INDEX_URL"] == "https://mirror.example.org/simple"
    assert found["PIP_CONSTRAINT"] == "corporate.txt"
    assert found["PIP_USER"] == "0"
    assert found["CMAKE_ARGS"] == "-DX=1"
    assert "somewhere" not in found.values()
