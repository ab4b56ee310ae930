"""Runs in a process of its own: llama-cpp-python's server, or a look at a model's vocabulary.

Started by path in isolated mode, so it imports nothing of the harness. Contract: the process ends when its standard
input does, on every system and however its parent ended; what it weighs before it has a model is written down first.

    python -I _server_child.py serve STATUS_FILE [arguments of llama_cpp.server]
    python -I _server_child.py vocabulary MODEL.gguf
"""

from __future__ import annotations

import json
import os
import sys
import threading
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


if __name__ == "__main__":
    if sys.argv[1] == "serve":
        _serve(sys.argv[2], sys.argv[3:])
    else:
        _vocabulary(sys.argv[2])
