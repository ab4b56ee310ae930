"""The server's processes: started and ended here, or found by the port that they listen on, and their memory.

Owns starting llama-cpp-python's server on a free port of the loopback interface, and reading ``/proc``. Imports the
standard library and the worker half only. Contract: a started server ends with this object, and by itself when this
process ends in any way; memory is that of the whole tree, or None with the reason.
"""

from __future__ import annotations

import contextlib
import dataclasses
import json
import secrets
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from harness.backends._server_client import Endpoint, ServerError
from harness.worker import orphan
from harness.worker.memory import Shares, Usage, parse_status, read_shares
from harness.worker.protocol import MemoryReading

CHILD = Path(__file__).with_name("_server_child.py")
_PROC = Path("/proc")
#: Between two looks whether the server answers yet.
POLL_S = 0.05
#: Another program may take the free port before the server does.
_PORT_TRIES = 3
_TREE = "VmHWM(tree)"


class StartedServer:
    """llama-cpp-python's server with one model, answering when the constructor returns.

    Args:
        model: the GGUF file.
        arguments: further arguments of ``python -m llama_cpp.server``.

    Raises:
        ServerError: it ended before it answered.
    """

    def __init__(self, model: Path, arguments: list[str]) -> None:
        self.name = f"edgebench-{secrets.token_hex(8)}"
        self._folder = Path(tempfile.mkdtemp(prefix="edgebench-server-"))
        self._status = self._folder / "status"
        try:
            for left in reversed(range(_PORT_TRIES)):
                port = free_port()
                self.endpoint = Endpoint(f"http://127.0.0.1:{port}/v1")
                self._start(model, port, arguments)
                if self._answers():
                    return
                status = self.close()
                if left == 0 or not _taken(port):
                    raise ServerError(
                        f"llama-cpp-python's server ended with status {status} before it answered; "
                        "the run's log has its last words"
                    )
        except BaseException:
            self.close()
            shutil.rmtree(self._folder, ignore_errors=True)
            raise

    @property
    def pid(self) -> int:
        """The server's process."""
        return self._process.pid

    def _start(self, model: Path, port: int, arguments: list[str]) -> None:
        self._process = subprocess.Popen(
            [
                sys.executable, "-I", "-u", str(CHILD), "serve", str(self._status), "--model", str(model),
                "--host", "127.0.0.1", "--port", str(port), "--model_alias", self.name, *arguments,
            ],
            stdin=subprocess.PIPE,
            preexec_fn=orphan.die_with_parent if sys.platform == "linux" else None,
        )  # fmt: skip

    def _answers(self) -> bool:
        """Waits until it lists its model; False when it ended. The run's own time-out ends a server that never does."""
        while self._process.poll() is None:
            # Its own name: another program that took the port first is not this server.
            with contextlib.suppress(ServerError):
                if self.name in self.endpoint.models():
                    return True
            time.sleep(POLL_S)
        return False

    def bare(self) -> Usage | None:
        """Its memory after its imports, before it had a model; None where the system does not tell."""
        usage = parse_status(self._status.read_text(encoding="utf-8"))
        return None if usage.rss_bytes is None else usage

    def close(self) -> int | None:
        """End it; gives its exit status, None where none was started."""
        process: subprocess.Popen[bytes] | None = getattr(self, "_process", None)
        if process is None:
            return None
        if process.stdin is not None:
            process.stdin.close()
        try:
            process.wait(5)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        return process.returncode

    def remove(self) -> None:
        """End it and remove its files."""
        self.close()
        shutil.rmtree(self._folder, ignore_errors=True)


def free_port() -> int:
    """A port of the loopback interface that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _taken(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


def vocabulary(model: Path) -> dict[str, Any]:
    """``size`` and ``ends`` (ids that end a generation) of a GGUF file's vocabulary.

    Raises:
        ServerError: llama.cpp cannot read it.
    """
    done = subprocess.run(
        [sys.executable, "-I", str(CHILD), "vocabulary", str(model)],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode != 0:
        last = (done.stderr.strip().splitlines() or ["no reason given"])[-1]
        raise ServerError(f"llama.cpp cannot read the vocabulary of {model.name}: {last}")
    found: dict[str, Any] = json.loads(done.stdout.strip().splitlines()[-1])
    return found


def listeners(port: int, proc: Path = _PROC) -> list[int]:
    """Processes that listen on a TCP port of this machine, as far as this user may see them."""
    sockets = set()
    for table in ("tcp", "tcp6"):
        path = proc / "net" / table
        for line in path.read_text().splitlines()[1:] if path.exists() else ():
            fields = line.split()
            # 0A: listening.
            if fields[3] == "0A" and int(fields[1].rpartition(":")[2], 16) == port:
                sockets.add(f"socket:[{fields[9]}]")
    found = []
    for folder in proc.glob("[0-9]*/fd"):
        with contextlib.suppress(OSError):
            if any(str(link.readlink()) in sockets for link in folder.iterdir()):
                found.append(int(folder.parent.name))
    return sorted(found)


def tree(roots: list[int], proc: Path = _PROC) -> list[int]:
    """The processes and all that descend from them."""
    children: dict[int, list[int]] = {}
    for stat in proc.glob("[0-9]*/stat"):
        with contextlib.suppress(OSError):
            # The name may hold anything, blanks and brackets too; the parent is the second field after it.
            parent = int(stat.read_text().rpartition(")")[2].split()[1])
            children.setdefault(parent, []).append(int(stat.parent.name))
    found: list[int] = []
    left = list(roots)
    while left:
        pid = left.pop()
        if pid not in found:
            found.append(pid)
            left += children.get(pid, [])
    return found


def tree_usage(roots: list[int], proc: Path = _PROC) -> Usage | None:
    """Sum over the tree: of each process's own high-water mark, which they need not have reached together.

    None where nothing can be read.
    """
    usages = []
    for pid in tree(roots, proc):
        with contextlib.suppress(OSError):
            usage = parse_status((proc / str(pid) / "status").read_text())
            if usage.rss_bytes is not None:
                usages.append(usage)
    if not usages:
        return None

    def total(name: str) -> int:
        return sum(getattr(usage, name) or 0 for usage in usages)

    return Usage(*(total(field.name) for field in dataclasses.fields(Usage)))


def tree_shares(roots: list[int], proc: Path = _PROC) -> Shares:
    """Sums of the tree's proportional and unique sets; the reason where one of its processes does not tell."""
    shares = [read_shares(proc / str(pid)) for pid in tree(roots, proc)]
    reasons = [one.reason for one in shares if one.reason is not None]
    if reasons or not shares:
        return Shares(reason=next(iter(reasons), "no process of the server was found"))
    return Shares(sum(one.pss_bytes or 0 for one in shares), sum(one.uss_bytes or 0 for one in shares))


def reading(
    phase: str,
    usage: Usage | None,
    reason: str | None = None,
    method: str = _TREE,
    shares: Shares | None = None,
) -> MemoryReading:
    """A reading of a server, or the reason why there is none."""
    if usage is None:
        return MemoryReading(phase, None, None, None, None, "none", None, reason, shares_reason=reason)
    shares = shares or Shares(reason="not read at that moment")
    return MemoryReading(
        phase,
        usage.peak_rss_bytes,
        usage.rss_bytes,
        usage.anon_bytes,
        usage.file_bytes,
        method,
        shared_bytes=usage.shared_bytes,
        pss_bytes=shares.pss_bytes,
        uss_bytes=shares.uss_bytes,
        shares_reason=shares.reason,
    )


class ServerMemory:
    """Readings of one server's tree, whose peak never falls.

    Args:
        roots: its processes; empty: there are none to read.
        reason: why there are none.
        method: how readings are labelled.
    """

    def __init__(self, roots: list[int], reason: str | None, method: str = _TREE) -> None:
        self._roots = roots
        self._reason = reason or "the server's processes cannot be read"
        self._method = method
        self._peak = 0

    @classmethod
    def of_running(cls, endpoint: Endpoint, pid: int | None) -> ServerMemory:
        """That of a server that was there before: by its process, or by who listens on its port."""
        if not endpoint.local:
            return cls([], "the server is on another machine")
        if sys.platform != "linux":
            return cls([], "only Linux tells another process's peak memory")
        roots = [pid] if pid is not None else listeners(endpoint.port)
        method = "VmHWM(tree, since the server's own start)"
        return cls(roots, f"no process of this user listens on port {endpoint.port}", method)

    def read(self, phase: str) -> MemoryReading:
        """The tree's memory now."""
        found = tree_usage(self._roots) if self._roots and sys.platform == "linux" else None
        if found is None:
            return reading(phase, None, self._reason)
        self._peak = max(self._peak, found.peak_rss_bytes or 0)
        usage = dataclasses.replace(found, peak_rss_bytes=self._peak)
        return reading(phase, usage, None, self._method, tree_shares(self._roots))
