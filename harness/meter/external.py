"""An external meter: any program that prints readings, as a bridge to a wattmeter, a smart plug or a USB-C meter.

Owns starting, checking and ending the program; its lines are `harness.meter.external_lines`'s. Contract: the program
is named by the user (``EDGEBENCH_METER``), started without a shell in a process group of its own, only around energy
windows, and ended with that group. One line that cannot be understood, or contradicts an earlier one, and it counts
no more.
"""

from __future__ import annotations

import contextlib
import json
import os
import shlex
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Sequence
from typing import IO, Any, Literal

import psutil

from harness.meter.base import Meter, MeterError, MissingMeter, Sources
from harness.meter.external_lines import MAX_LINE_BYTES, Limit, Track, parse
from harness.runner.tree import kill_tree

VARIABLE = "EDGEBENCH_METER"

#: Readings of each domain that a program prints before it is believed.
CHECKED_READINGS = 4
#: For these it has so many seconds.
START_S = 20.0
#: A program that is asked to end has so many seconds.
GOODBYE_S = 2.0
#: No reading for so many periods, and for so many seconds, is the end of the measurement.
_SILENT_PERIODS, _SILENT_S = 5, 2.0


class ExternalMeter(Meter):
    """What a program prints. Only while it is open is the program running.

    Args:
        command: the program and its arguments.
        clock: monotonic seconds.
    """

    name = "external"
    method: Literal["counter", "power"] = "power"

    def __init__(self, command: Sequence[str], clock: Callable[[], float] = time.monotonic) -> None:
        self._command = list(command)
        self._clock = clock
        self.domains = ()
        self.resolution_s = 0.0
        self._process: subprocess.Popen[bytes] | None = None
        self._words: IO[bytes] | None = None
        self._thread: threading.Thread | None = None
        self._news = threading.Condition()
        self._ending = threading.Lock()
        self._tracks: dict[str, Track] = {}
        self._limits: dict[str, float] = {}
        self._error: str | None = None

    def open(self) -> None:
        """Starts the program and waits for its first readings.

        Raises:
            MeterError: it does not start, does not print what it should, or ends.
        """
        self.close()
        self._tracks, self._limits, self._error = {}, {}, None
        self._start()
        try:
            self._check()
        except MeterError:
            self.close()
            raise
        self.domains = tuple(sorted(self._tracks))
        self.limits_watts = dict(self._limits)
        self.resolution_s = max(track.period_s for track in self._tracks.values())
        counted = all(track.unit == "J" for track in self._tracks.values())
        self.method = "counter" if counted else "power"

    def _start(self) -> None:
        # What it says besides readings; shown when it ends by itself.
        words = self._words = tempfile.TemporaryFile()  # noqa: SIM115  closed with the meter
        group: dict[str, Any] = {"start_new_session": True}
        if sys.platform == "win32":
            group = {"creationflags": subprocess.CREATE_NEW_PROCESS_GROUP}
        try:
            process = self._process = subprocess.Popen(
                self._command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=words, **group
            )
        except OSError as error:
            self.close()
            raise MeterError(
                f"the external meter {self._command[0]!r} does not start: {error.strerror or error}"
            ) from error
        assert process.stdout is not None
        self._thread = threading.Thread(
            target=self._listen, args=(process.stdout,), name="meter-external", daemon=True
        )
        self._thread.start()

    def _check(self) -> None:
        end = self._clock() + START_S
        with self._news:
            while not self._believed():
                self._raise_error()
                left = end - self._clock()
                if left <= 0:
                    raise MeterError(f"the external meter printed too few readings in {START_S:g} s")
                self._news.wait(left)

    def _believed(self) -> bool:
        return bool(self._tracks) and all(
            track.readings >= CHECKED_READINGS for track in self._tracks.values()
        )

    def _raise_error(self) -> None:
        if self._error is not None:
            raise MeterError(f"the external meter: {self._error}")

    def read(self) -> dict[str, float]:
        """Joules by domain at the moment of the call; waits for the readings after it."""
        now = self._clock()
        patience = now + max(_SILENT_S, _SILENT_PERIODS * self.resolution_s)
        with self._news:
            while True:
                self._raise_error()
                joules = {domain: self._tracks[domain].joules_at(now) for domain in self.domains}
                known = {domain: value for domain, value in joules.items() if value is not None}
                if known and len(known) == len(joules):
                    return known
                left = patience - self._clock()
                if left <= 0 or not joules:
                    raise MeterError(f"the external meter is silent for {self._clock() - now:.3g} s")
                self._news.wait(left)

    def close(self) -> None:
        """Ends the program with its process group."""
        process, self._process = self._process, None
        if process is not None:
            with self._ending:
                _end(process)
        if self._thread is not None:
            self._thread.join(GOODBYE_S)
            self._thread = None
        if process is not None and process.stdout is not None:
            process.stdout.close()
        if self._words is not None:
            self._words.close()
            self._words = None

    def _listen(self, stdout: IO[bytes]) -> None:
        """The reader's thread: until the program ends or says something wrong."""
        error = None
        while error is None:
            line = stdout.readline(MAX_LINE_BYTES + 1)
            arrived = self._clock()
            if not line:
                error = self._last_words()
                break
            with self._news:
                try:
                    self._take(line, arrived)
                except MeterError as wrong:
                    error = str(wrong)
                self._news.notify_all()
        with self._news:
            self._error = error
            self._news.notify_all()
        # Whoever prints into a full pipe hangs, and would not see that it is asked to end.
        while stdout.readline(MAX_LINE_BYTES):
            pass

    def _take(self, line: bytes, arrived: float) -> None:
        said = parse(line)
        if said is None:
            return
        if isinstance(said, Limit):
            self._limits[said.domain] = said.watts
            return
        track = self._tracks.get(said.domain)
        if track is not None:
            track.add(said, arrived)
        elif self.domains and said.domain not in self.domains:
            raise MeterError(f"{said.domain} was not among its domains before")
        else:
            self._tracks[said.domain] = Track(said, arrived)

    def _last_words(self) -> str:
        process, words = self._process, self._words
        if process is None or words is None or words.closed:
            return "it was ended"
        if not _wait_until_over(process.pid):
            return "it closed its output"
        with self._ending:
            _end(process)
        words.seek(0)
        said = words.read()[-2000:].decode("utf-8", errors="replace").strip().splitlines()
        return f"it ended with status {process.returncode}" + (f": {said[-1][:200]}" if said else "")


def _end(process: subprocess.Popen[bytes]) -> None:
    """Asks the group to end, waits a little, then ends what is left of it, and reaps the program."""
    if process.returncode is not None:
        return  # reaped: its number may be another's by now
    if sys.platform != "win32":
        # Gone already; macOS says "not permitted" for a group of nothing but zombies.
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(process.pid, signal.SIGTERM)
        _wait_until_over(process.pid)
    kill_tree(process.pid)
    process.wait()


def _wait_until_over(pid: int) -> bool:
    """Whether a child ends within the time for goodbyes; it is not reaped."""
    end = time.monotonic() + GOODBYE_S
    while time.monotonic() < end:
        if _is_over(pid):
            return True
        time.sleep(0.02)
    return False


def _is_over(pid: int) -> bool:
    try:
        return psutil.Process(pid).status() == psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return True


def command_of(text: str) -> list[str]:
    """Words of a command line, as a shell would separate them, or the texts of a JSON list.

    Raises:
        ValueError: it is neither.
    """
    if not text.lstrip().startswith("["):
        words = shlex.split(text)
    else:
        words = json.loads(text)
        if not all(isinstance(word, str) for word in words):
            raise ValueError("the list holds something that is no text")
    if not words:
        raise ValueError("it is empty")
    return words


def find(sources: Sources) -> list[Meter | MissingMeter]:
    """The meter that the user names, or why there is none. Starts the program once, to see what it prints."""
    text = sources.environment.get(VARIABLE, "")
    step = f"set {VARIABLE} to a command that prints `SECONDS WATTS W` or `SECONDS JOULES J` (docs/meters.md)"
    if not text.strip():
        return [MissingMeter("external", f"{VARIABLE} names no program", step, expected=False)]
    try:
        meter = ExternalMeter(command_of(text), sources.clock)
        with meter:
            pass
    except ValueError as error:
        return [MissingMeter("external", f"{VARIABLE} is no command: {error}", step)]
    except MeterError as error:
        return [
            MissingMeter(
                "external", str(error), f"run the command of {VARIABLE} by hand and look at its lines"
            )
        ]
    return [meter]
