"""Runs in a process of its own: llama-cpp-python's server, a look at a model's vocabulary, or a command's server.

Started by path in isolated mode, so it imports nothing of the harness. Contract: the process ends when its standard
input does, on every system and however its parent ended; what it weighs before it has a model is written down first.

    python -I _server_child.py serve STATUS_FILE [arguments of llama_cpp.server]
    python -I _server_child.py vocabulary MODEL.gguf
    python -I _server_child.py run PID_FILE COMMAND [arguments]
"""

from __future__ import annotations

import contextlib
import ctypes
import json
import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path


def _end_with_parent() -> None:
    while os.read(0, 4096):
        pass
    os._exit(3)


def _serve(status_file: str, arguments: list[str]) -> None:
    threading.Thread(target=_end_with_parent, daemon=True).start()
    from llama_cpp.server import __main__ as server

    status = Path("/proc/self/status")
    Path(status_file).write_text(status.read_text() if status.exists() else "", encoding="utf-8")
    sys.argv = ["llama_cpp.server", *arguments]
    server.main()


def _vocabulary(model: str) -> None:
    import llama_cpp

    loaded = llama_cpp.Llama(model, vocab_only=True, verbose=False)
    vocab = llama_cpp.llama_model_get_vocab(loaded.model)
    size = llama_cpp.llama_vocab_n_tokens(vocab)
    ends = [token for token in range(size) if llama_cpp.llama_vocab_is_eog(vocab, token)]
    print(json.dumps({"size": size, "ends": ends}))


#: So long a command's server may take to end by itself.
_GRACE_S = 3.0


def _run(pid_file: str, words: list[str]) -> None:
    """A command in a group of processes of its own, all of which end with it, and with standard input."""
    parent = os.getpid()

    def die_with_parent() -> None:
        # Whoever kills this process leaves nobody to end the command.
        ctypes.CDLL(None).prctl(1, signal.SIGKILL)
        if os.getppid() != parent:
            os._exit(3)

    process = subprocess.Popen(
        words,
        stdin=subprocess.DEVNULL,
        start_new_session=True,
        preexec_fn=die_with_parent if sys.platform == "linux" else None,
    )
    Path(pid_file).write_text(str(process.pid), encoding="utf-8")

    def end_with_parent() -> None:
        while os.read(0, 4096):
            pass
        _end(process)
        os._exit(3)

    threading.Thread(target=end_with_parent, daemon=True).start()
    status = process.wait()
    _end(process)
    os._exit(status if 0 <= status < 256 else 1)


def _end(process: subprocess.Popen[bytes]) -> None:
    """End a command and its group: asked first, then killed."""
    if sys.platform == "win32":
        subprocess.run(["taskkill", "/T", "/F", "/PID", str(process.pid)], check=False, capture_output=True)
        return
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGTERM)
    end = time.monotonic() + _GRACE_S
    while process.poll() is None and time.monotonic() < end:
        time.sleep(0.02)
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)


if __name__ == "__main__":
    if sys.argv[1] == "serve":
        _serve(sys.argv[2], sys.argv[3:])
    elif sys.argv[1] == "run":
        _run(sys.argv[2], sys.argv[3:])
    else:
        _vocabulary(sys.argv[2])
