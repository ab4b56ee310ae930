"""Runs one command and lets nothing of it outlive the program that wanted it.

Run by path as ``python -I -S supervisor.py COMMAND...``; standard library only, imports nothing of the project.
Contract: the command gets a session of its own and inherits this process's output. When the pipe on standard input
ends (its writer died, or closed it to say "stop"), every process of the command's session is killed. The exit
status is the command's.

A session, because killing a process group is not enough: ninja puts each compiler into a group of its own.
"""

import contextlib
import os
import signal
import subprocess
import sys
import threading
import time


def _process_ids() -> list[int]:
    try:
        names = os.listdir("/proc")  # noqa: PTH208 - as text, in one call
    except FileNotFoundError:
        names = subprocess.run(
            ["ps", "-axo", "pid="], check=False, capture_output=True, text=True
        ).stdout.split()
    return [int(name) for name in names if name.isdigit()]


def _members(session: int) -> list[int]:
    """Living processes of a session."""
    found = []
    for pid in _process_ids():
        with contextlib.suppress(OSError):  # it ended meanwhile
            if os.getsid(pid) == session and not _is_zombie(pid):
                found.append(pid)
    return found


def _is_zombie(pid: int) -> bool:
    try:
        descriptor = os.open(f"/proc/{pid}/stat", os.O_RDONLY)
    except OSError:
        return False
    try:
        return os.read(descriptor, 512).rpartition(b")")[2].split()[0] in (b"Z", b"X")
    finally:
        os.close(descriptor)


def kill_all(child: subprocess.Popen[bytes]) -> None:
    """Kill the command and everything that it started."""
    if sys.platform == "win32":
        command = ["taskkill", "/T", "/F", "/PID", str(child.pid)]
        subprocess.run(command, check=False, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        return
    # Again until none is left: a dying parent may just have forked.
    for _ in range(100):
        members = _members(child.pid)
        if not members:
            return
        for pid in members:
            with contextlib.suppress(OSError):
                os.kill(pid, signal.SIGKILL)
        time.sleep(0.01)


def main(command: list[str]) -> int:
    """Run the command; its exit status, or 128 + the number of the signal that ended it."""
    child = subprocess.Popen(command, stdin=subprocess.DEVNULL, start_new_session=True)

    def watch() -> None:
        with contextlib.suppress(OSError):
            while os.read(0, 4096):
                pass
        kill_all(child)

    threading.Thread(target=watch, daemon=True).start()
    status = child.wait()
    kill_all(child)
    return status if status >= 0 else 128 - status


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
