"""One worker process, seen from the lab: start it, ask it, end it, and say exactly how it ended.

Owns the lab's side of the protocol, deadlines, the memory limit, and cleaning up. Never imports a framework or the
database. Contract: `WorkerProcess.call` returns an answer or raises one of the exceptions below, within its time-out;
after any but `WorkerRefused` the process is dead. After `close` or `kill` no process, thread or descriptor is left.
While it waits it blocks: it never spins, and it wakes up only for messages, once a second to see how long the log
has become, and, with a memory limit, ten times a second. A log is bounded, however much a worker writes.

On Linux a worker dies with the *thread* that started it (see `harness.worker.orphan`): start it in the thread that
uses it.
"""

from __future__ import annotations

import contextlib
import itertools
import os
import queue
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any

from harness.errors import EdgebenchError
from harness.runner.launch import Launch
from harness.runner.log import bound_log, log_tail
from harness.runner.tree import MARK, TreeMemory, kill_marked, kill_tree, oom_kills
from harness.worker.protocol import Message, Method, ProtocolError

#: A line of more than this is no message: nothing that is sent comes near it.
LINE_LIMIT_BYTES = 64 * 2**20
#: How often the resident set is read where there is a limit.
WATCH_INTERVAL_S = 0.1
#: How often the length of the log is looked at.
LOG_INTERVAL_S = 1.0
#: How long after the process's end its last words may take to arrive, and the other way round.
GRACE_S = 2.0
#: How long a killed process may take to disappear (one in an uninterruptible call takes as long as the call).
KILL_S = 10.0
#: What is kept of a refusal's message: it is one line for people. The log has all of it.
MESSAGE_CHARACTERS = 2_000
_NUMBERS = itertools.count(1)
# Waiting for a lock cannot be interrupted from the keyboard on Windows; slices of this length can.
_SLICE_S = 0.25 if sys.platform == "win32" else threading.TIMEOUT_MAX


class WorkerError(EdgebenchError):
    """A worker did not answer as asked.

    Attributes:
        method: what it had been asked, None between requests.
        phase: the last phase that it announced, None if it announced none.
    """

    method: str | None = None
    phase: str | None = None


class WorkerCrashed(WorkerError):
    """The process ended by itself, or somebody else ended it.

    Attributes:
        exit_code: its exit status, None when a signal ended it.
        signal: number of the signal, None when it exited.
        log_tail: its last log lines.
    """

    def __init__(self, what: str, *, exit_code: int | None, signal: int | None, log_tail: str) -> None:
        super().__init__(what, next_step="Read the worker's last lines and its log.")
        self.exit_code = exit_code
        self.signal = signal
        self.log_tail = log_tail


class WorkerTimeout(WorkerError):
    """No answer in time; the process was killed.

    Attributes:
        timeout_s: the time that it had.
        log_tail: its last log lines.
    """

    def __init__(self, what: str, *, timeout_s: float, log_tail: str) -> None:
        super().__init__(what, next_step="Give it more time, or look at its log for what it waited for.")
        self.timeout_s = timeout_s
        self.log_tail = log_tail


class WorkerOutOfMemory(WorkerError):
    """It exceeded its memory limit, was killed by the kernel for want of memory, or could not allocate.

    Attributes:
        peak_bytes: highest resident set that was seen, None where none was read.
        limit_bytes: the limit, None where there was none.
        log_tail: its last log lines.
    """

    def __init__(self, what: str, *, peak_bytes: int | None, limit_bytes: int | None, log_tail: str) -> None:
        super().__init__(
            what, next_step="Raise the memory limit, or choose a smaller model, precision or context."
        )
        self.peak_bytes = peak_bytes
        self.limit_bytes = limit_bytes
        self.log_tail = log_tail


class WorkerRefused(WorkerError):
    """The worker answered with an error; it is alive and can be asked again.

    Attributes:
        type: name of the exception in the worker; ``Unsupported`` is a capability that does not exist.
        message: its message.
        traceback: its traceback.
    """

    def __init__(self, what: str, *, type_: str, message: str, traceback: str) -> None:
        super().__init__(what, next_step="The worker's traceback says where it failed.")
        self.type = type_
        self.message = message
        self.traceback = traceback


class ProtocolBroken(WorkerError):
    """What came through the pipe is no message, or none that was expected; the process was killed.

    Attributes:
        log_tail: its last log lines.
    """

    def __init__(self, what: str, *, log_tail: str) -> None:
        super().__init__(
            what, next_step="The framework or its backend writes where it must not; see the worker's log."
        )
        self.log_tail = log_tail


@dataclass(frozen=True, slots=True)
class _Broken:
    reason: str


@dataclass(frozen=True, slots=True)
class _EndOfPipe:
    pass


@dataclass(frozen=True, slots=True)
class _Exited:
    pass


_Item = Message | _Broken | _EndOfPipe | _Exited


class WorkerProcess:
    """A worker, started at once. Use it as a context manager: leaving it closes it, or kills it on an exception.

    Args:
        launch: how to start it.
        log: file that its standard output and error are appended to; its folder is made. Beyond
            `harness.runner.log.LIMIT_BYTES` the middle of what it wrote is left out.
        memory_limit_bytes: limit of the resident set of its process tree; None: none.
        watch_memory: read the tree's resident set also without a limit; it is never read otherwise.
        on_event: told every event, in the thread that calls `call`.

    Attributes:
        peak_seen_bytes: highest resident set of the tree that was seen, None where none was read.
        last_event: the newest event, None before the first.

    Raises:
        EdgebenchError: the process cannot be started.
    """

    def __init__(
        self,
        launch: Launch,
        *,
        log: Path,
        memory_limit_bytes: int | None = None,
        on_event: Callable[[Message], None] | None = None,
        watch_memory: bool = False,
    ) -> None:
        self.peak_seen_bytes: int | None = None
        self.last_event: Message | None = None
        self._limit = memory_limit_bytes
        self._watching = watch_memory or memory_limit_bytes is not None
        self._on_event = on_event
        self._log = log
        self._next_id = 1
        self._items: queue.SimpleQueue[_Item] = queue.SimpleQueue()
        self._pipe_ended = self._exited = self._closed = False
        self._oom_kills = oom_kills()
        self._mark = f"{os.getpid()}-{next(_NUMBERS)}"
        self._log_seen = time.monotonic()
        log.parent.mkdir(parents=True, exist_ok=True)
        bound_log(log, 0)
        with log.open("ab") as log_file:
            self._log_begin = log_file.tell()
            self._process, self._write_fd, read_fd = _start(launch, log_file.fileno(), self._mark)
        self._tree = TreeMemory(self._process.pid)
        self._waiter = _thread("waiter", _await, self._process, self._items)
        self._threads = [self._waiter, _thread("reader", _read, read_fd, self._items)]

    @property
    def pid(self) -> int:
        """Process id, also its process group's on POSIX."""
        return self._process.pid

    def __enter__(self) -> WorkerProcess:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if error is None:
            self.close()
        else:
            self.kill()

    def call(
        self, method: Method, body: Mapping[str, Any] | None = None, *, timeout_s: float
    ) -> dict[str, Any]:
        """Ask, and wait for the answer.

        Args:
            method: see `harness.worker.main`.
            body: JSON values.
            timeout_s: for the whole request.

        Raises:
            WorkerRefused: it answered with an error.
            WorkerCrashed: it ended.
            WorkerTimeout: it did not answer in time.
            WorkerOutOfMemory: it went beyond its limit or the machine's.
            ProtocolBroken: it sent something that is no answer.
        """
        if self._closed:
            raise RuntimeError("the worker is closed")
        request = Message(self._next_id, "request", method, dict(body or {}))
        self._next_id += 1
        try:
            # In a thread: a request larger than the pipe's buffer would block on a worker that hangs.
            writer = _thread("writer", _write, self._write_fd, request.encode())
            self._threads.append(writer)
            reply = self._wait(request, timeout_s)
            writer.join()
            self._threads.remove(writer)
        except WorkerError as failure:
            failure.method, failure.phase = method, self._phase
            self.kill()
            raise
        except BaseException:
            self.kill()
            raise
        if reply.kind == "result":
            return reply.body
        refusal = self._refusal(reply)
        refusal.method, refusal.phase = method, self._phase
        raise refusal

    def close(self, timeout_s: float = 10.0) -> None:
        """Ask it to leave, and see to it that it does. Never raises for what the worker does."""
        if self._closed:
            return
        # However it ends is fine here: every run that mattered has been answered.
        with contextlib.suppress(WorkerError):
            self.call("exit", {}, timeout_s=timeout_s)
            deadline = time.monotonic() + timeout_s
            while not self._exited and (item := self._next(deadline - time.monotonic())) is not None:
                self._note(item)
        self.kill()

    def kill(self) -> None:
        """Kill it and everything it started; returns when it is reaped. Harmless when it is gone."""
        if self._closed:
            return
        self._closed = True
        self._end_tree()
        deadline = time.monotonic() + GRACE_S
        for thread in self._threads:
            thread.join(max(0.0, deadline - time.monotonic()))
        os.close(self._write_fd)
        self._tree.close()
        bound_log(self._log, self._log_begin)

    def abort(self) -> None:
        """End the process from another thread: the call that is under way then raises `WorkerCrashed`.

        Whoever uses the worker must not have ended it yet.
        """
        if self._process.returncode is None:
            kill_tree(self._process.pid)

    def log_tail(self) -> str:
        """The last lines of its output so far; empty where it wrote none."""
        return log_tail(self._log, self._log_begin)

    def _end_tree(self) -> int | None:
        """Kill what is left of the tree and reap the process; its status, None where it does not die.

        Also after an orderly exit: it may have left children, and its number is its own until it is reaped.
        """
        if self._process.returncode is None or not hasattr(os, "waitid"):
            kill_tree(self._process.pid)
        kill_marked(self._mark)  # what left the tree before that
        self._waiter.join(KILL_S)
        return None if self._waiter.is_alive() else self._process.wait()

    # -- waiting -----------------------------------------------------------------------------------------------------

    @property
    def _phase(self) -> str | None:
        if self.last_event is None or self.last_event.name != "phase":
            return None
        return str(self.last_event.body.get("phase"))

    def _next(self, wait_s: float) -> _Item | None:
        """The next item, None when there is none in time; reads the resident set meanwhile where it is watched."""
        end = time.monotonic() + wait_s
        while (left := end - time.monotonic()) > 0:
            if self._watching:
                self._watch()
                left = min(left, WATCH_INTERVAL_S)
            if (now := time.monotonic()) >= self._log_seen + LOG_INTERVAL_S:
                bound_log(self._log, self._log_begin)
                self._log_seen = now
            try:
                return self._items.get(timeout=min(left, LOG_INTERVAL_S, _SLICE_S))
            except queue.Empty:
                continue
        return None

    def _watch(self) -> None:
        seen = self._tree.rss_bytes()
        self.peak_seen_bytes = max(seen, self.peak_seen_bytes or 0)
        if self._limit is not None and seen > self._limit:
            raise self._out_of_memory(
                f"The worker's resident set reached {seen} bytes, its limit is {self._limit} bytes"
            )

    def _note(self, item: _Item) -> None:
        self._pipe_ended = self._pipe_ended or isinstance(item, _EndOfPipe | _Broken)
        self._exited = self._exited or isinstance(item, _Exited)

    def _wait(self, request: Message, timeout_s: float) -> Message:
        deadline = time.monotonic() + timeout_s
        while True:
            item = self._next(deadline - time.monotonic())
            if item is None:
                # Once one half has ended, the deadline was the grace for the other.
                if self._exited:
                    raise self._crashed(request.name)
                if self._pipe_ended:
                    raise ProtocolBroken(
                        f"The worker closed its pipe during {request.name!r} without leaving",
                        log_tail=self.log_tail(),
                    )
                raise WorkerTimeout(
                    f"The worker gave no answer to {request.name!r} within {timeout_s:g} s",
                    timeout_s=timeout_s,
                    log_tail=self.log_tail(),
                )
            self._note(item)
            if isinstance(item, Message):
                if self._is_reply(item, request):
                    return item
            elif isinstance(item, _Broken):
                raise ProtocolBroken(
                    f"The worker broke the protocol during {request.name!r}: {item.reason}",
                    log_tail=self.log_tail(),
                )
            elif self._exited and self._pipe_ended:
                raise self._crashed(request.name)
            else:
                deadline = min(deadline, time.monotonic() + GRACE_S)

    def _is_reply(self, message: Message, request: Message) -> bool:
        if message.kind == "event" and message.id == request.id:
            self.last_event = message
            if self._on_event is not None:
                self._on_event(message)
            return False
        if message.kind in ("result", "error") and message.id == request.id:
            return True
        raise ProtocolBroken(
            f"The worker sent a {message.kind} {message.id} while {request.name!r} was request {request.id}",
            log_tail=self.log_tail(),
        )

    # -- how it ended ------------------------------------------------------------------------------------------------

    def _refusal(self, reply: Message) -> WorkerError:
        type_, message = str(reply.body.get("type", "")), str(reply.body.get("message", ""))
        if len(message) > MESSAGE_CHARACTERS:
            message = f"{message[:MESSAGE_CHARACTERS]}…"
        if type_ == "MemoryError":
            return self._out_of_memory(f"The worker could not allocate memory: {message}")
        return WorkerRefused(
            message if type_ == "Unsupported" else f"{type_}: {message}",
            type_=type_,
            message=message,
            traceback=str(reply.body.get("traceback", "")),
        )

    def _crashed(self, method: str) -> WorkerError:
        code = self._end_tree()
        number = -code if code is not None and code < 0 else None
        where = f"during {method!r}" + (f", phase {self._phase!r}" if self._phase else "")
        if number == signal_number("SIGKILL") and (oom_kills() or 0) > (self._oom_kills or 0):
            return self._out_of_memory(f"The kernel killed the worker for want of memory {where}")
        how = f"exited with status {code}" if number is None else f"was ended by {signal_name(number)}"
        tail = self.log_tail()
        return WorkerCrashed(
            f"The worker {how} {where}",
            exit_code=code if number is None else None,
            signal=number,
            log_tail=tail,
        )

    def _out_of_memory(self, what: str) -> WorkerOutOfMemory:
        return WorkerOutOfMemory(
            what, peak_bytes=self.peak_seen_bytes, limit_bytes=self._limit, log_tail=self.log_tail()
        )


def signal_number(name: str) -> int | None:
    """The number of a signal by name, None where the system has no such signal."""
    member = signal.Signals.__members__.get(name)
    return None if member is None else int(member)


def signal_name(number: int) -> str:
    """``SIGSEGV`` for 11; ``signal 64`` where it has no name."""
    try:
        return signal.Signals(number).name
    except ValueError:
        return f"signal {number}"


def _start(launch: Launch, log_fd: int, mark: str) -> tuple[subprocess.Popen[bytes], int, int]:
    """The process, our end of the request pipe, our end of the answer pipe."""
    child_read, write_fd = os.pipe()
    read_fd, child_write = os.pipe()
    try:
        process = _popen(launch, child_read, child_write, log_fd, mark)
    except OSError as error:
        os.close(write_fd)
        os.close(read_fd)
        raise EdgebenchError(
            f"The worker cannot be started with {launch.python}: {error.strerror or error}",
            next_step="Make the framework's environment anew: `edgebench env --help`.",
        ) from error
    finally:
        os.close(child_read)
        os.close(child_write)
    return process, write_fd, read_fd


#: May hold the database's password, which no framework needs, and a worker's last words are stored.
_KEPT_BACK = frozenset({"EDGEBENCH_DB", "PGPASSWORD"})


def _inherited() -> dict[str, str]:
    """This process's variables without the database's secrets."""
    return {name: value for name, value in os.environ.items() if name not in _KEPT_BACK}


def _popen(
    launch: Launch, child_read: int, child_write: int, log_fd: int, mark: str
) -> subprocess.Popen[bytes]:
    standard = launch.standard_pipes
    where: dict[str, Any] = {
        "stdin": child_read if standard else subprocess.DEVNULL,
        "stdout": child_write if standard else log_fd,
        "stderr": log_fd,
        "env": {**_inherited(), **launch.env, MARK: mark},
    }
    command = launch.command(child_read, child_write)
    if sys.platform == "win32":
        # A key press on the console reaches the runner alone.
        return subprocess.Popen(command, creationflags=subprocess.CREATE_NEW_PROCESS_GROUP, **where)
    return subprocess.Popen(
        command,
        pass_fds=() if standard else (child_read, child_write),
        # A session of its own: a key press on the terminal reaches the runner alone, and one call kills all of it.
        start_new_session=True,
        **where,
    )


def _thread(name: str, target: Callable[..., None], *arguments: object) -> threading.Thread:
    thread = threading.Thread(target=target, args=arguments, name=f"worker-{name}", daemon=True)
    thread.start()
    return thread


def _write(write_fd: int, data: bytes) -> None:
    left = memoryview(data)
    # A worker that is gone is noticed by its exit.
    with contextlib.suppress(BrokenPipeError, ConnectionResetError):
        while left:
            left = left[os.write(write_fd, left) :]


def _read(read_fd: int, items: queue.SimpleQueue[_Item]) -> None:
    """Until the end of the pipe or the first bytes that are no message: lines into messages."""
    pending = bytearray()
    try:
        while chunk := os.read(read_fd, 65_536):
            begin = len(pending)
            pending += chunk
            while (end := pending.find(b"\n", begin)) >= 0:
                line = bytes(pending[: end + 1])
                del pending[: end + 1]
                begin = 0
                items.put(Message.decode(line))
            if len(pending) > LINE_LIMIT_BYTES:
                items.put(_Broken(f"a line of more than {LINE_LIMIT_BYTES} bytes"))
                return
        # Half a line is what a crash leaves behind; how the process ended says more than that.
        items.put(_EndOfPipe())
    except (ProtocolError, ValueError, TypeError, RecursionError) as error:
        items.put(_Broken(str(error)))
    finally:
        os.close(read_fd)


def _await(process: subprocess.Popen[bytes], items: queue.SimpleQueue[_Item]) -> None:
    """Until the process ends. It is left unreaped where the system allows, so that its group can still be named."""
    if hasattr(os, "waitid"):
        with contextlib.suppress(ChildProcessError):
            os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOWAIT)
    else:
        process.wait()
    items.put(_Exited())
