"""Answering requests one at a time: the loop that every process behind the protocol's pipe shares.

Owns reading request lines, checking them, and answering. Imports the standard library and the worker half. Contract:
whatever a request or a library does, short of killing the process, the answer is one ``result`` or ``error``; when
the request pipe ends, the process ends at once.
"""

from __future__ import annotations

import os
import queue
import sys
import threading
import traceback
from collections.abc import Callable, Mapping
from typing import Any

from harness.worker import orphan
from harness.worker.bodies import from_body
from harness.worker.protocol import Message, ProtocolError

#: A traceback longer than this is cut in the middle: it is for a person, and the log has it too.
TRACEBACK_CHARACTERS = 20_000

#: The dataclass of a request's body, and what answers it.
Handler = tuple[type[Any], Callable[[Any], dict[str, Any]]]


def serve_lines(read_fd: int, write_fd: int, make: Callable[[Callable[[Message], None]], Server]) -> None:
    """Serve requests from ``read_fd`` until ``exit`` or its end; never returns.

    Args:
        read_fd: requests.
        write_fd: answers and events.
        make: the server, from what writes a message.
    """
    lines: queue.SimpleQueue[bytes] = queue.SimpleQueue()
    threading.Thread(target=_read_lines, args=(read_fd, lines), name="requests", daemon=True).start()
    server = make(lambda message: _write(write_fd, message))
    while True:
        server.handle(lines.get())


def _read_lines(read_fd: int, lines: queue.SimpleQueue[bytes]) -> None:
    # Blocks without the GIL between requests: a thread of its own, so that the end of the pipe is noticed while the
    # main thread computes.
    with os.fdopen(read_fd, "rb") as pipe:
        for line in pipe:
            lines.put(line)
    orphan.leave()


def _write(write_fd: int, message: Message) -> None:
    left = memoryview(message.encode())
    try:
        while left:
            left = left[os.write(write_fd, left) :]
    except BrokenPipeError:
        orphan.leave()


class Server:
    """Answers request lines.

    Args:
        send: writes a message.
    """

    def __init__(self, send: Callable[[Message], None]) -> None:
        self._send = send
        self._request = 0
        self._before = ""  # the name of the request before, empty where it failed
        self._handlers: Mapping[str, Handler] = {}

    def handle(self, line: bytes) -> None:
        """Answer one request line; an error of any kind is an answer too."""
        self._request = -1
        try:
            message = Message.decode(line)
            self._request = message.id
            if message.kind != "request" or message.name not in self._handlers:
                raise ProtocolError(f"no request: {message.kind} {message.name!r}")
            kind, handler = self._handlers[message.name]
            answer = handler(from_body(kind, message.body))
            reply = Message(message.id, "result", message.name, answer)
            reply.encode()  # a NaN in an answer is an error answer, not a crash
        except (Exception, SystemExit) as error:  # noqa: BLE001  frameworks raise anything, and some call sys.exit
            reply = Message(self._request, "error", "error", _described(error))
        self._before = reply.name if reply.kind == "result" else ""
        self._send(reply)
        if reply.kind == "result" and reply.name == "exit":
            sys.stdout.flush()
            sys.stderr.flush()
            # A framework's own exit handlers may hang or crash, and nothing is left for them to do.
            os._exit(0)

    def _emit(self, name: str, body: dict[str, Any]) -> None:
        self._send(Message(self._request, "event", name, body))


def _described(error: BaseException) -> dict[str, Any]:
    text = "".join(traceback.format_exception(error))
    if len(text) > TRACEBACK_CHARACTERS:
        half = TRACEBACK_CHARACTERS // 2
        text = f"{text[:half]}\n[...]\n{text[-half:]}"
    return {"type": type(error).__name__, "message": str(error) or type(error).__name__, "traceback": text}
