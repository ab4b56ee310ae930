"""Building packages that have no ready wheel, once per variant and kind of processor.

Owns ``CACHE/builds/<key>/``: a wheel and, beside it, ``<wheel>.json`` with how it was built, written last. Never
imports a framework. Contract: a wheel whose JSON exists is whole; two sessions build it once; a build that is
stopped in any way leaves no compiler running, and its folder is removed by the next build or `clean`.
"""

from __future__ import annotations

import json
import os
import re
import tempfile
import time
from dataclasses import asdict, dataclass
from pathlib import Path

from packaging.tags import sys_tags
from packaging.utils import parse_wheel_filename

from harness.environment import host
from harness.environment.pip_run import diagnose, pip
from harness.environment.plan import Source
from harness.errors import EdgebenchError
from harness.files import (
    Progress,
    exclusive,
    exclusive_now,
    file_sha256,
    remove_tree,
    sync_file,
    tree_bytes,
    write_atomically,
)

#: Ninja's and make's progress.
_STEP = re.compile(r"^\s*\[\s*(\d+)/(\d+)\]|^\s*\[\s*(\d+)%\]")
#: pip's phases that a person may wait for.
_PHASE = re.compile(
    r"^\s*(Collecting|Downloading|Installing build dependencies|Preparing metadata|Building wheel)\b"
)


@dataclass(frozen=True, slots=True)
class Build:
    """One built wheel.

    Attributes:
        name: canonical name of the package.
        requirement: what was built.
        wheel: file name.
        sha256: of the wheel.
        build_s: seconds that it took.
        env: the variables that were set for it.
        compiler: what the compiler says of itself.
        arch: processor architecture.
        cpu_features: hash of the processor's features.
    """

    name: str
    requirement: str
    wheel: str
    sha256: str
    build_s: float
    env: dict[str, str]
    compiler: str
    arch: str
    cpu_features: str


class Builder:
    """Builds below a cache folder.

    Args:
        cache_dir: the cache folder; created at the first build.
    """

    def __init__(self, cache_dir: Path) -> None:
        self._root = cache_dir.absolute() / "builds"

    def path(self, source: Source, build: Build) -> Path:
        """Where a build's wheel is."""
        return self._root / source.key / build.wheel

    def find(self, source: Source) -> Build | None:
        """A finished build for the running Python; creates nothing."""
        tags = frozenset(sys_tags())
        for record in sorted((self._root / source.key).glob("*.whl.json")):
            try:
                build = Build(**json.loads(record.read_text(encoding="utf-8")))
            except ValueError:
                continue  # cut short: as if it had never been written
            wheel = record.with_suffix("")
            if not tags.isdisjoint(parse_wheel_filename(build.wheel)[3]) and wheel.is_file():
                return build
        return None

    def ensure(self, source: Source, progress: Progress) -> Build:
        """The build, made if it is missing or its wheel has changed.

        Raises:
            EdgebenchError: no compiler, or the build failed.
        """
        label = source.requirement.replace("==", " ")
        with exclusive(
            self._root / f"{source.key}.lock",
            lambda: progress(f"waiting for another session that builds {label}"),
        ):
            build = self.find(source)
            if build is not None:
                if file_sha256(self.path(source, build)) == build.sha256:
                    return build
                progress(f"warning: the built wheel of {label} is damaged; it is built again")
            self._remove_staging(source.key)
            return self._build(source, label, progress)

    def clean(self) -> int:
        """Remove what dead sessions left; gives the bytes freed."""
        freed = 0
        for staging in self._root.glob("*.building-*"):
            with exclusive_now(self._root / f"{staging.name.partition('.')[0]}.lock") as ours:
                if ours:
                    freed += tree_bytes(staging)
                    remove_tree(staging)
        return freed

    def _remove_staging(self, key: str) -> None:
        for left in self._root.glob(f"{key}.building-*"):
            remove_tree(left)

    def _build(self, source: Source, label: str, progress: Progress) -> Build:
        compiler = host.compiler()
        if compiler is None:
            raise EdgebenchError(
                f"{source.name} has no ready wheel and no C++ compiler was found",
                next_step=host.no_compiler_next_step(),
            )
        progress(f"building {label} from source: several minutes, once for this kind of processor")
        log = self._root / f"{source.name}-{source.key}.log"
        log.unlink(missing_ok=True)
        staging = Path(tempfile.mkdtemp(prefix=f"{source.key}.building-", dir=self._root))
        try:
            begin = time.perf_counter()
            self._run_pip(source, label, staging, log, progress)
            build_s = time.perf_counter() - begin
            wheels = list((staging / "wheel").glob("*.whl"))
            if len(wheels) != 1:
                raise EdgebenchError(
                    f"building {label} gave no wheel (log: {log})", next_step=f"read the log: {log}"
                )
            sync_file(wheels[0])
            build = Build(
                name=source.name,
                requirement=source.requirement,
                wheel=wheels[0].name,
                sha256=file_sha256(wheels[0]),
                build_s=build_s,
                env=source.build_env(),
                compiler=compiler.version,
                arch=host.cpu_facts()["arch"],
                cpu_features=host.cpu_facts()["features"],
            )
            place = self.path(source, build)
            place.parent.mkdir(exist_ok=True)
            wheels[0].replace(place)
            write_atomically(
                place.with_name(f"{place.name}.json"), json.dumps(asdict(build), indent=1) + "\n"
            )
        finally:
            remove_tree(staging)
        progress(f"built {label} in {build_s:.0f} s")
        return build

    def _run_pip(self, source: Source, label: str, staging: Path, log: Path, progress: Progress) -> None:
        requirement = " ".join([source.requirement, *(f"--hash={value}" for value in source.hashes)])
        (staging / "requirement.txt").write_text(requirement + "\n", encoding="utf-8")
        temporary = staging / "tmp"
        temporary.mkdir()
        shown = ""

        def on_line(line: str) -> None:
            nonlocal shown
            step = _STEP.match(line)
            phase = _PHASE.match(line)
            text = ""
            if step is not None:
                text = f"{step[1]} of {step[2]} steps" if step[1] else f"{step[3]} %"
            elif phase is not None:
                text = phase[1].lower()
            if text and text != shown:
                shown = text
                progress(f"building {label}: {text}")

        # What a killed build leaves in its temporary folder goes with the staging folder.
        env = {**source.build_env(), **dict.fromkeys(("TMPDIR", "TEMP", "TMP"), str(temporary))}
        if "CMAKE_BUILD_PARALLEL_LEVEL" not in os.environ:
            env["CMAKE_BUILD_PARALLEL_LEVEL"] = str(os.cpu_count() or 1)
        status = pip(
            "wheel", "-v", "--no-deps", "--no-cache-dir", "--no-binary", source.name,
            *(["--require-hashes"] if source.hashes else []),
            "--wheel-dir", staging / "wheel", "-r", staging / "requirement.txt",
            env=env, log=log, on_line=on_line,
        )  # fmt: skip
        if status != 0:
            raise diagnose(log.read_text(encoding="utf-8"), f"building {label}", log)
