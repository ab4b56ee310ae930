"""Framework environments: made on demand, shared between sessions, found again, removed.

Owns ``CACHE/environments/``. Never imports a framework, nor anything of an environment: it starts its Python.
Contract: an environment exists when its manifest does, and then holds exactly what its plan asked for; two sessions
make it once; what a dead session left half-made is removed by the next `ensure` or `clean`.

    <framework>-<role>-<variant>-<key>/        a venv without pip, environment.json, requirements.txt, pip-report.json
    <framework>-<role>-<variant>-<key>.log     what pip said
    <framework>-<role>-<variant>-<key>.lock    held while it is made or removed
"""

from __future__ import annotations

import os
import subprocess
import time
import venv
from collections.abc import Collection, Sequence
from datetime import UTC, datetime
from pathlib import Path

from harness.environment import host, torch_build
from harness.environment.build import Build, Builder
from harness.environment.loosening import given_way, in_the_way, without
from harness.environment.override import Override
from harness.environment.pip_run import Package, clean_environment, diagnose, pip, read_report
from harness.environment.plan import Plan, Role, Source, make_plan
from harness.environment.record import (
    MANIFEST,
    Environment,
    damage,
    environment_id,
    python_of,
    read_manifest,
    write_manifest,
)
from harness.environment.tools import Tenant
from harness.errors import EdgebenchError, UsageError
from harness.files import (
    Progress,
    disk_was_full,
    exclusive,
    exclusive_now,
    remove_tree,
    silent,
    sync_tree,
    tree_bytes,
)

#: An import that takes longer does not work; the slowest framework needs about ten seconds on a busy machine.
_IMPORT_TIMEOUT_S = 300


class EnvironmentManager:
    """Environments below a cache folder.

    Args:
        cache_dir: the cache folder; created when the first environment is made.
    """

    def __init__(self, cache_dir: Path) -> None:
        self._root = cache_dir.absolute() / "environments"
        self._builder = Builder(cache_dir)
        self._whole: set[Path] = set()

    # -- asking ---------------------------------------------------------------------------------------------------

    def find(
        self,
        backend: Tenant,
        variant: str = "cpu",
        overrides: Sequence[Override] = (),
        role: Role = "runtime",
    ) -> Environment | None:
        """The environment if it was made; creates nothing.

        Raises:
            UsageError: no such variant, or overrides that contradict each other.
            EdgebenchError: the framework has no package for this platform.
        """
        return read_manifest(self._root / make_plan(backend, variant, overrides, role).name)

    def key(
        self,
        backend: Tenant,
        variant: str = "cpu",
        overrides: Sequence[Override] = (),
        role: Role = "runtime",
    ) -> str:
        """The key of what is asked, made or not; for `clean`. Raises as `find` does."""
        return make_plan(backend, variant, overrides, role).key

    def ensure(
        self,
        backend: Tenant,
        variant: str = "cpu",
        overrides: Sequence[Override] = (),
        role: Role = "runtime",
        progress: Progress = silent,
    ) -> Environment:
        """The environment, made if it is missing or damaged. Where one serves both roles, both give that one.

        Args:
            backend: the framework's backend, or a tool.
            variant: build variant, one of `Requirements.build`.
            overrides: of the whole session; those that are not for this framework are ignored.
            role: ``runtime`` or ``converter``.
            progress: told of every phase, a line each.

        Raises:
            UsageError: no such variant, or overrides that contradict each other.
            EdgebenchError: it cannot be made; says why and what to do. Nothing of it stays but the log.
        """
        plan = make_plan(backend, variant, overrides, role)
        folder = self._root / plan.name
        found = read_manifest(folder)
        if found is not None and self._damage(found) is None:
            return found
        label = _label(plan)
        try:
            with exclusive(
                self._lock(folder), lambda: progress(f"waiting for another session that makes {label}")
            ):
                found = read_manifest(folder)
                if found is not None:
                    problem = self._damage(found)
                    if problem is None:
                        return found
                    progress(f"warning: {label} is damaged: {problem}; it is made again")
                remove_tree(folder)
                builds = [(source, self._builder.ensure(source, progress)) for source in plan.sources]
                return self._make(plan, builds, folder, progress)
        except OSError as error:
            if disk_was_full(error):
                raise diagnose(str(error), f"making {label}", self._log(folder)) from error
            raise EdgebenchError(
                f"making {label} failed: {error}",
                next_step="make the cache folder writable, or put it elsewhere with EDGEBENCH_CACHE_DIR",
            ) from error

    def _damage(self, environment: Environment) -> str | None:
        """What is wrong with its files, None when nothing is; looked at once per manager."""
        if environment.path in self._whole:
            return None
        problem = damage(environment)
        if problem is None:
            self._whole.add(environment.path)
        return problem

    def verify(self, environment: Environment) -> None:
        """Import the framework in its environment.

        Raises:
            EdgebenchError: it cannot be imported, or the environment is gone.
        """
        manifest = read_manifest(environment.path)
        if manifest is None or manifest.id != environment.id:
            raise EdgebenchError(
                f"the environment {environment.path.name} is gone or not what it was",
                next_step="run the same command again: it is made anew",
            )
        _check_import(environment.path, environment.import_name, environment.path.name)

    def list(self) -> list[Environment]:
        """Every finished environment, in order of its folder's name."""
        folders = sorted(path for path in self._root.glob("*") if path.is_dir())
        found = [read_manifest(folder) for folder in folders]
        return [environment for environment in found if environment is not None]

    # -- removing -------------------------------------------------------------------------------------------------

    def remove(self, key: str) -> int:
        """Remove one environment; gives the bytes freed. Builds stay: they are what takes long.

        Args:
            key: its key, the beginning of it (at least 4 digits), or its folder's name.

        Raises:
            UsageError: no environment, or several, are meant.
        """
        meant = [
            environment
            for environment in self.list()
            if environment.path.name == key or (len(key) >= 4 and environment.key.startswith(key))
        ]
        if len(meant) != 1:
            which = f"{len(meant)} environments begin" if meant else "no environment begins"
            raise UsageError(
                f"{which} with the key {key!r}", next_step="see `edgebench env list` for the keys"
            )
        return self._remove(meant[0].path)

    def clean(self, keep: Collection[str] | None = None) -> int:
        """Remove what dead sessions left half-made, and old logs; gives the bytes freed.

        Args:
            keep: if given, finished environments whose key is not in it are removed too.
        """
        freed = self._builder.clean()
        for folder in sorted(path for path in self._root.glob("*") if path.is_dir()):
            environment = read_manifest(folder)
            if environment is not None and (keep is None or environment.key in keep):
                continue
            with exclusive_now(self._lock(folder)) as ours:
                if ours and (environment is not None or read_manifest(folder) is None):
                    freed += self._remove_held(folder)
        for log in self._root.glob("*.log"):
            with exclusive_now(self._lock(log.with_suffix(""))) as ours:
                if ours and not log.with_suffix("").exists():
                    freed += log.stat().st_size
                    log.unlink()
        return freed

    def _remove(self, folder: Path) -> int:
        with exclusive(self._lock(folder)):
            return self._remove_held(folder)

    def _remove_held(self, folder: Path) -> int:
        freed = tree_bytes(folder)
        (folder / MANIFEST).unlink(missing_ok=True)  # first: from now on it does not exist
        remove_tree(folder)
        self._log(folder).unlink(missing_ok=True)
        return freed

    # -- making ---------------------------------------------------------------------------------------------------

    def _lock(self, folder: Path) -> Path:
        return folder.with_name(f"{folder.name}.lock")

    def _log(self, folder: Path) -> Path:
        return folder.with_name(f"{folder.name}.log")

    def _make(
        self, plan: Plan, builds: Sequence[tuple[Source, Build]], folder: Path, progress: Progress
    ) -> Environment:
        log = self._log(folder)
        log.unlink(missing_ok=True)
        progress(f"making {_label(plan)}")
        begin = time.perf_counter()
        try:
            venv.EnvBuilder(with_pip=False, symlinks=os.name != "nt").create(folder)
            pin = None if plan.hashed or torch_build.has_cuda() else torch_build.cpu_pin(plan.lines)
            if pin is not None and not torch_build.is_offered(pin, folder, lambda _: None):
                progress(f"{_label(plan)}: pip finds no {pin}; the plain build is installed")
                packages = self._install(plan, builds, folder, log, progress)
            else:
                packages = self._install(plan, builds, folder, log, progress, pin)
            progress(f"{_label(plan)}: trying to import {plan.import_name}")
            _check_import(folder, plan.import_name, _label(plan))
            python = host.python_facts()
            environment = Environment(
                id=environment_id(packages, python),
                key=plan.key,
                framework=plan.framework,
                role=plan.role,
                variant=plan.variant,
                path=folder,
                python=python_of(folder),
                python_version=python["version"],
                python_abi=python["abi"],
                import_name=plan.import_name,
                packages=packages,
                hashed=plan.hashed,
                overrides=tuple(override.identity for override in plan.overrides),
                builds=tuple(build for _, build in builds),
                made_s=time.perf_counter() - begin,
                made_at=datetime.now(UTC).isoformat(timespec="seconds"),
                size_bytes=tree_bytes(folder),
                notes=(*_of_torch(folder, packages, pin), *given_way(plan, packages)),
            )
            # The manifest says that all of it is there: also after a power cut.
            sync_tree(folder)
            write_manifest(environment)
        except BaseException:
            remove_tree(folder)
            raise
        progress(f"made {_label(plan)} in {environment.made_s:.0f} s")
        return environment

    def _install(
        self,
        plan: Plan,
        builds: Sequence[tuple[Source, Build]],
        folder: Path,
        log: Path,
        progress: Progress,
        pin: str | None = None,
    ) -> tuple[Package, ...]:
        lines = list(plan.lines)
        for source, build in builds:
            extras = f"[{','.join(source.extras)}]" if source.extras else ""
            line = f"{source.name}{extras} @ {self._builder.path(source, build).as_uri()}"
            lines.append(f"{line} --hash=sha256:{build.sha256}" if plan.hashed else line)
        requirements, constraints = folder / "requirements.txt", folder / "constraints.txt"
        pins = plan.constraints if pin is None else (*plan.constraints, pin)
        report = folder / "pip-report.json"
        label = _label(plan)
        loose: frozenset[str] = frozenset()

        def on_line(line: str) -> None:
            # The configured indexes, their warnings, and where a line comes from are for the log.
            word, _, rest = line.strip().partition(" ")
            if word == "Installing":
                progress(f"{label}: installing {rest.count(',') + 1} packages")
            elif word in ("Collecting", "Downloading", "Processing", "Building"):
                progress(f"{label}: {word.lower()} {rest.partition(' (from ')[0]}")

        # A lock names every package, so there is nothing to resolve.
        mode = ["--no-deps", "--require-hashes"] if plan.hashed else ["-c", str(constraints)]
        while True:
            asked, held = without(lines, loose, keep=True), without(pins, loose, keep=False)
            requirements.write_text("\n".join(asked) + "\n", encoding="utf-8")
            constraints.write_text("\n".join(held) + "\n", encoding="utf-8")
            status = pip(
                "install", "--report", report, *mode, "-r", requirements,
                python=python_of(folder), log=log, on_line=on_line,
            )  # fmt: skip
            if status == 0:
                break
            said = log.read_text(encoding="utf-8")
            more = in_the_way(said, plan, loose)
            if not more:
                raise diagnose(said, f"making {label}", log)
            loose |= more
            progress(f"{label}: the pins of {', '.join(sorted(more))} give way to what was asked for")
        packages = read_report(report)
        for override in plan.overrides:
            installed = next((package for package in packages if package.name == override.name), None)
            if override.sha256 is not None and (installed is None or installed.sha256 != override.sha256):
                raise EdgebenchError(
                    f"making {label} failed: {override.wheel} changed meanwhile",
                    next_step="run the same command again",
                )
        return packages


def _label(plan: Plan) -> str:
    what = plan.framework if plan.role == "runtime" else f"{plan.framework} {plan.role}"
    return f"the {what} environment" if plan.variant == "cpu" else f"the {what} environment ({plan.variant})"


def _of_torch(folder: Path, packages: Sequence[Package], wanted: str | None) -> tuple[str, ...]:
    """Which build of torch is in an environment; nothing where none is.

    Args:
        folder: the environment.
        packages: what was installed.
        wanted: the CPU build that was looked for, None where none was.
    """
    torch = next((package for package in packages if package.name == "torch"), None)
    if torch is None:
        return ()
    asked = subprocess.run(
        [str(python_of(folder)), *torch_build.ask_for_build()],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        env=clean_environment(),
        cwd=folder,
        timeout=_IMPORT_TIMEOUT_S,
        check=False,
        encoding="utf-8",
        errors="replace",
    )
    build = asked.stdout.strip() or "it does not tell what"
    note = f"torch {torch.version} is a build for {build}"
    if wanted is not None and build != "cpu":
        note += f"; this machine has no CUDA, but pip, as it is configured, finds no {wanted}"
    return (note,)


def _check_import(folder: Path, import_name: str, label: str) -> None:
    command = [str(python_of(folder)), "-I", "-c", f"import {import_name}"]
    failure = ""
    try:
        done = subprocess.run(
            command,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            # Some packages report their first import to their makers; none does where CI is set.
            env=clean_environment({"CI": "true"}),
            cwd=folder,
            timeout=_IMPORT_TIMEOUT_S,
            check=False,
            encoding="utf-8",
            errors="replace",
        )
    except subprocess.TimeoutExpired:
        failure = f"the import did not end within {_IMPORT_TIMEOUT_S} s"
    else:
        if done.returncode < 0:
            failure = f"the import was ended by signal {-done.returncode}"
        elif done.returncode > 0:
            failure = (done.stderr.strip().splitlines() or ["the import failed without a word"])[-1]
    if failure:
        raise EdgebenchError(
            f"{label} was installed, but `import {import_name}` does not work in it: {failure}",
            next_step="a library that is named as missing is the system's to install; otherwise this version does not "
            "work on this machine: try another with --with 'NAME==VERSION'",
        )
