"""The first file that runs in a worker, started by its path in the framework's own environment.

    python -I -u bootstrap.py --read-fd N --write-fd M --package harness=/path/to/harness --backend module:Class

Owns: making exactly the named packages importable (the lab's site-packages stay out of ``sys.path``), taking the two
ends of the protocol's pipes, and moving standard output to the log. Without ``--read-fd`` and ``--write-fd`` the pipes
are standard input and output, which every system hands on (docs/decisions/0006): they are moved out of the way first.
Imports only the standard library until the finder is in place. Contract: environment variables are left alone; a
framework that prints, at any level, disturbs nothing but the log.
"""

from __future__ import annotations

import argparse
import importlib
import importlib.machinery
import importlib.util
import os
import sys
from collections.abc import Mapping, Sequence
from importlib.abc import MetaPathFinder
from pathlib import Path
from types import ModuleType


class PackageFinder(MetaPathFinder):
    """Finds the named top-level packages in their folders, and nothing else that lies beside them.

    Args:
        packages: top-level import name to its folder, or to its file for a single-file module.
    """

    def __init__(self, packages: Mapping[str, Path]) -> None:
        self._packages = dict(packages)

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> importlib.machinery.ModuleSpec | None:
        """The spec of a named package; submodules are found by Python's own finder through the package's path."""
        del path, target
        location = self._packages.get(fullname)
        if location is None:
            return None
        if location.is_file():
            return importlib.util.spec_from_file_location(fullname, location)
        init = location / "__init__.py"
        if init.is_file():
            return importlib.util.spec_from_file_location(
                fullname, init, submodule_search_locations=[str(location)]
            )
        if not location.is_dir():
            return None
        namespace = importlib.machinery.ModuleSpec(fullname, None, is_package=True)
        namespace.submodule_search_locations = [str(location)]
        return namespace


def parse_arguments(arguments: Sequence[str]) -> argparse.Namespace:
    """The command line: ``read_fd``, ``write_fd``, ``parent_pid``, ``package`` (pairs), ``backend`` and ``program``."""
    parser = argparse.ArgumentParser(prog="bootstrap", allow_abbrev=False)
    parser.add_argument("--read-fd", type=int, default=0, help="requests; standard input unless given")
    parser.add_argument(
        "--write-fd", type=int, default=1, help="answers and events; standard output unless given"
    )
    parser.add_argument("--parent-pid", type=int, help="the runner's process id")
    parser.add_argument("--package", type=_package, action="append", default=[], metavar="NAME=PATH")
    parser.add_argument("--backend", required=True, metavar="MODULE:CLASS")
    parser.add_argument(
        "--program", default="harness.worker.main", help="module whose `serve` answers requests"
    )
    return parser.parse_args(arguments)


def _package(text: str) -> tuple[str, Path]:
    name, separator, path = text.partition("=")
    if not separator or not name.isidentifier() or not path:
        raise argparse.ArgumentTypeError(f"expected NAME=PATH, got {text!r}")
    return name, Path(path)


def take_pipes(read_fd: int, write_fd: int) -> tuple[int, int]:
    """The protocol's descriptors, from now on not inherited by whatever the framework starts.

    Standard ones are duplicated, so that `redirect_standard_streams` can give their numbers to something else.
    """
    taken = []
    for descriptor in (read_fd, write_fd):
        if descriptor <= 2:
            taken.append(os.dup(descriptor))
        else:
            os.set_inheritable(descriptor, False)
            taken.append(descriptor)
    if sys.platform == "win32":
        import msvcrt

        # Lines end in one byte: a text-mode descriptor would make two of it.
        for descriptor in taken:
            msvcrt.setmode(descriptor, os.O_BINARY)
    return taken[0], taken[1]


def redirect_standard_streams() -> None:
    """Standard input reads nothing; standard output goes where standard error goes, at descriptor level."""
    null = os.open(os.devnull, os.O_RDONLY)
    os.dup2(null, 0)
    if null != 0:
        os.close(null)
    sys.stdout.flush()
    os.dup2(2, 1)


def main(arguments: Sequence[str]) -> None:
    """Set up, then serve requests until told to exit or left alone."""
    options = parse_arguments(arguments)
    read_fd, write_fd = take_pipes(options.read_fd, options.write_fd)
    redirect_standard_streams()
    sys.meta_path.insert(0, PackageFinder(dict(options.package)))

    from harness.worker import orphan  # only now importable

    program = importlib.import_module(options.program)
    orphan.guard(options.parent_pid)
    program.serve(read_fd, write_fd, options.backend)


if __name__ == "__main__":
    main(sys.argv[1:])
