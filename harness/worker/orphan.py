"""A worker that loses its runner ends within a second.

Owns every way of noticing. Imports the standard library only. Contract: after `guard`, the death of the runner ends
this process, on Linux even while native code holds the GIL (the kernel does it); elsewhere a thread waits for the
runner's process, and one for the end of file on the request pipe. A backend that starts a process of its own passes
`die_with_parent` as its ``preexec_fn``, so that the chain holds.

On Linux the kernel means the *thread* that started the worker: a runner keeps it alive as long as the worker.
"""

from __future__ import annotations

import os
import signal
import sys
import threading

#: Exit status of a worker whose runner is gone. Nobody is left to read it; it is for the system's own log.
ORPHANED = 3


def guard(parent_pid: int | None) -> None:
    """Tie this process's life to its runner's.

    Args:
        parent_pid: the runner, as it named itself; None: the pipe's end of file alone tells (see `leave`).
    """
    if sys.platform == "linux":
        die_with_parent()
        # The runner may have died before the kernel was told: then this process already has another parent.
        if parent_pid is not None and os.getppid() != parent_pid:
            os.write(2, b"worker: the runner is gone, or is not the parent of this process\n")
            leave()
    elif parent_pid is not None:
        threading.Thread(target=_wait_and_leave, args=(parent_pid,), name="orphan", daemon=True).start()


def leave() -> None:
    """End this process at once, with those it started: no handlers, no flushing, nothing that could hang."""
    if sys.platform != "win32" and os.getpgid(0) == os.getpid():
        os.killpg(0, signal.SIGKILL)
    os._exit(ORPHANED)


def die_with_parent() -> None:
    """Linux: have the kernel kill this process when the thread that started it ends. Elsewhere: nothing."""
    if sys.platform == "linux":
        import ctypes

        pr_set_pdeathsig = 1
        if ctypes.CDLL(None, use_errno=True).prctl(pr_set_pdeathsig, int(signal.SIGKILL), 0, 0, 0) != 0:
            raise OSError(ctypes.get_errno(), "prctl(PR_SET_PDEATHSIG) failed")


def _wait_and_leave(parent_pid: int) -> None:
    _wait_for_exit(parent_pid)
    leave()


if sys.platform == "win32":

    def _wait_for_exit(pid: int) -> None:
        import ctypes

        synchronize, infinite = 0x00100000, 0xFFFFFFFF
        kernel32 = ctypes.WinDLL("kernel32", use_last_error=True)
        kernel32.OpenProcess.restype = ctypes.c_void_p
        kernel32.WaitForSingleObject.argtypes = (ctypes.c_void_p, ctypes.c_uint32)
        handle = kernel32.OpenProcess(synchronize, False, pid)
        if handle:  # None: it is gone already
            kernel32.WaitForSingleObject(handle, infinite)

elif sys.platform == "darwin":

    def _wait_for_exit(pid: int) -> None:
        import select

        queue = select.kqueue()
        event = select.kevent(
            pid, select.KQ_FILTER_PROC, select.KQ_EV_ADD | select.KQ_EV_ONESHOT, select.KQ_NOTE_EXIT
        )
        try:
            queue.control([event], 0, None)
        except ProcessLookupError:
            return  # it is gone already
        # Before the registration the runner may have died and its number been given away.
        if os.getppid() == pid:
            queue.control(None, 1, None)

else:

    def _wait_for_exit(pid: int) -> None:
        """Other systems: the end of file on the request pipe is what tells."""
        del pid
        threading.Event().wait()
