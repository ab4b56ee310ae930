"""An OpenAI-compatible server on the loopback interface that does what a test says."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any


def piece(text: str, finish: str | None = None, usage: dict[str, int] | None = None) -> bytes:
    """One event with a piece of text."""
    event: dict[str, Any] = {"choices": [{"text": text, "index": 0, "finish_reason": finish}]}
    if usage is not None:
        event["usage"] = usage
    return b"data: " + json.dumps(event).encode() + b"\r\n\r\n"


DONE = b"data: [DONE]\r\n\r\n"


class Scripted(ThreadingHTTPServer):
    """The server.

    Attributes:
        script: seconds to wait, or bytes to write as one HTTP chunk, in order.
        status: of completions.
        bodies: every request for completions.
        keys: their Authorization.
    """

    daemon_threads = True

    def __init__(self, port: int = 0) -> None:
        super().__init__(("127.0.0.1", port), _Handler)
        self.script: list[float | bytes] = []
        self.status = 200
        self.bodies: list[dict[str, Any]] = []
        self.keys: list[str | None] = []
        self.begun: list[float] = []

    @property
    def url(self) -> str:
        """Its base."""
        return f"http://127.0.0.1:{self.server_address[1]}/v1"


class _Handler(BaseHTTPRequestHandler):
    server: Scripted
    protocol_version = "HTTP/1.1"

    def log_message(self, *args: object) -> None:
        pass

    def do_GET(self) -> None:
        listed = {"data": [{"id": "tiny", "owned_by": "tests"}]}
        self._whole(200 if self.path == "/v1/models" else 404, listed)

    def do_POST(self) -> None:
        server = self.server
        server.begun.append(time.perf_counter())
        server.bodies.append(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))
        server.keys.append(self.headers["Authorization"])
        if server.status != 200:
            self._whole(server.status, {"error": {"message": "scripted refusal"}})
            return
        self.send_response(200)
        self.send_header("Content-Type", "text/event-stream")
        self.send_header("Transfer-Encoding", "chunked")
        self.end_headers()
        for step in server.script:
            if isinstance(step, bytes):
                self.wfile.write(b"%x\r\n%b\r\n" % (len(step), step))
                self.wfile.flush()
            elif step < 0:  # the connection is cut in the middle of the body
                self.close_connection = True
                return
            else:
                time.sleep(step)
        self.wfile.write(b"0\r\n\r\n")

    def _whole(self, status: int, body: object) -> None:
        data = json.dumps(body).encode()
        self.send_response(status)
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)


@contextmanager
def scripted() -> Iterator[Scripted]:
    """A running server, gone afterwards."""
    server = Scripted()
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield server
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
