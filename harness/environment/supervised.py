"""Running pip and the compilers that it starts: their output to a log, their end with ours.

Owns the starting of long commands. Never imports another room except `harness.files`. Contract: when
`run` returns or raises, or this process is killed in whatever way, nothing that the command started still runs (see
`supervisor.py`; a kill -9 of the supervisor itself is the one exception).
"""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

_SUPERVISOR = Path(__file__).with_name("supervisor.py")


def run(
    command: Sequence[str | Path],
    *,
    env: Mapping[str, str],
    log: Path,
    on_line: Callable[[str], None],
) -> int:
    """Run a command to its end, in this process's working folder.

    Args:
        command: program and arguments; its standard input is empty.
        env: its whole environment.
        log: file to which its output (both streams) is appended.
        on_line: called with each line of it, without the newline.

    Returns:
        The exit status; 128 + the number of a signal that ended it.
    """
    words = [sys.executable, "-I", "-S", str(_SUPERVISOR), *map(str, command)]
    log.parent.mkdir(parents=True, exist_ok=True)
    with (
        log.open("a", encoding="utf-8", newline="\n") as log_file,
        subprocess.Popen(
            words,
            stdin=subprocess.PIPE,  # its end, whatever ends this process, is the supervisor's order to kill
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            env=dict(env),
            encoding="utf-8",
            errors="replace",
            # Ctrl-C reaches this process alone, which then ends the supervisor.
            start_new_session=True,
            creationflags=getattr(subprocess, "CREATE_NEW_PROCESS_GROUP", 0),
        ) as process,
    ):
        assert process.stdin is not None
        assert process.stdout is not None
        log_file.write("$ " + " ".join(map(str, command)) + "\n")
        try:
            for line in process.stdout:
                log_file.write(line)
                log_file.flush()
                on_line(line.rstrip("\n"))
            return process.wait()
        finally:
            process.stdin.close()
            process.wait()
