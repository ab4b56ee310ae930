"""The client of an OpenAI-compatible server: one connection and one thread a request, the standard library alone.

Owns HTTP, server-sent events and counting tokens. Contract: while a stream comes in, a line is read and stamped and
nothing else; it is parsed when all streams have ended. Every way to fail is one `ServerError` that says which.
"""

from __future__ import annotations

import copy
import http.client
import ipaddress
import json
import threading
import time
from collections.abc import Iterator, Mapping
from typing import Any
from urllib.parse import urlsplit

from harness.worker.api import Stream

#: Nothing arrives for so long: the server stalls.
STALL_S = 120.0
_DONE = b"[DONE]"


class ServerError(RuntimeError):
    """The server cannot be reached, refused, or did not finish its answer."""


class Endpoint:
    """Where a server answers.

    Args:
        url: the base of its API, with the version: ``http://127.0.0.1:8000/v1``.
        headers: sent with every request.
        stall_s: seconds without a byte after which a request has failed.

    Raises:
        ValueError: it is no such URL.
    """

    def __init__(self, url: str, headers: Mapping[str, str] | None = None, stall_s: float = STALL_S) -> None:
        parts = urlsplit(url)
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise ValueError(f"option url={url!r}: expected something like http://127.0.0.1:8000/v1")
        if parts.username or parts.password:
            raise ValueError("option url holds a password; name the variable that has the key by api_key_env")
        self.host: str = parts.hostname
        self.port = parts.port or (443 if parts.scheme == "https" else 80)
        self._https = parts.scheme == "https"
        self._base = parts.path.rstrip("/")
        self._headers = {"Content-Type": "application/json", **(headers or {})}
        self._stall_s = stall_s

    @property
    def where(self) -> str:
        """Host and port, for messages."""
        return f"{self.host}:{self.port}"

    @property
    def local(self) -> bool:
        """Whether it is on this machine's loopback interface."""
        try:
            return ipaddress.ip_address(self.host).is_loopback
        except ValueError:
            return self.host == "localhost"

    def connect(self) -> http.client.HTTPConnection:
        """A new connection.

        Raises:
            ServerError: nobody answers there.
        """
        kind = http.client.HTTPSConnection if self._https else http.client.HTTPConnection
        connection = kind(self.host, self.port, timeout=self._stall_s)
        try:
            connection.connect()
        except OSError as error:
            raise ServerError(f"no server answers at {self.where}: {error.strerror or error}") from error
        return connection

    def send(
        self, connection: http.client.HTTPConnection, method: str, path: str, body: bytes | None
    ) -> None:
        """Send a request; ``path`` begins at the base."""
        connection.request(method, self._base + path, body, self._headers)

    def answer(self, connection: http.client.HTTPConnection, what: str) -> http.client.HTTPResponse:
        """The answer's head.

        Raises:
            ServerError: its status is not 200.
        """
        response = connection.getresponse()
        if response.status != 200:
            text = " ".join(response.read(4096).decode(errors="replace").split())[:300]
            raise ServerError(
                f"the server at {self.where} answered {what} with {response.status} {response.reason}: {text}"
            )
        return response

    def json(self, method: str, path: str, body: Any = None) -> tuple[Any, Mapping[str, str]]:
        """One request and its JSON answer, with the answer's headers by lower-case name.

        Raises:
            ServerError: it failed in any way.
        """
        connection = self.connect()
        try:
            self.send(connection, method, path, None if body is None else json.dumps(body).encode())
            response = self.answer(connection, f"{method} {path}")
            headers = {name.lower(): value for name, value in response.getheaders()}
            return json.loads(response.read()), headers
        except (OSError, http.client.HTTPException, ValueError) as error:
            raise ServerError(
                f"{method} {path} of the server at {self.where} failed: {_said(error)}"
            ) from error
        finally:
            connection.close()

    def above(self, path: str, body: Any = None) -> Any:
        """JSON of a path that does not begin at the base, with the version, but at the server's root."""
        root = copy.copy(self)
        root._base = self._base.rpartition("/")[0]
        return root.json("GET" if body is None else "POST", path, body)[0]

    def models(self) -> list[str]:
        """Names of the models that it lists.

        Raises:
            ServerError: it does not.
        """
        listed, _ = self.json("GET", "/models")
        try:
            return [str(each["id"]) for each in listed["data"]]
        except (KeyError, TypeError) as error:
            raise ServerError(f"the server at {self.where} lists no models at /models") from error


def _said(error: BaseException) -> str:
    if isinstance(error, TimeoutError):
        return "it stalled"
    return str(error) or type(error).__name__


class _Request(threading.Thread):
    """One streamed request; `lines` are (nanoseconds, data) as they came."""

    def __init__(self, endpoint: Endpoint, path: str, body: bytes, start: threading.Barrier) -> None:
        super().__init__(daemon=True)
        self.lines: list[tuple[int, bytes]] = []
        self.submitted_ns = 0
        self.error: ServerError | None = None
        self._endpoint, self._path, self._body, self._begin = endpoint, path, body, start

    def run(self) -> None:
        """Connect, wait for the others, send, and read to the end."""
        try:
            connection = self._endpoint.connect()
        except ServerError as error:
            self.error = error
            self._begin.abort()
            return
        try:
            self._begin.wait()
            self.submitted_ns = time.perf_counter_ns()
            self._endpoint.send(connection, "POST", self._path, self._body)
            response = self._endpoint.answer(connection, f"POST {self._path}")
            while line := response.readline():
                if line.startswith(b"data:"):
                    self.lines.append((time.perf_counter_ns(), line[5:].strip()))
                    if self.lines[-1][1] == _DONE:
                        break
        except threading.BrokenBarrierError:
            return  # another request could not even connect, and says so
        except ServerError as error:
            self.error = error
        except (OSError, http.client.HTTPException, ValueError) as error:
            self.error = ServerError(
                f"the stream of the server at {self._endpoint.where} broke after {len(self.lines)} events: "
                f"{_said(error)}"
            )
        finally:
            connection.close()


def streams(endpoint: Endpoint, path: str, bodies: list[dict[str, Any]], count: int) -> list[Stream]:
    """Send all requests at the same time; what came back, in their order.

    Args:
        endpoint: the server.
        path: ``/completions`` or ``/chat/completions``.
        bodies: one JSON body a request; ``stream`` is set in them.
        count: tokens that each asks for.

    Raises:
        ServerError: the first request that failed.
    """
    start = threading.Barrier(len(bodies))
    requests = [_Request(endpoint, path, json.dumps(body).encode(), start) for body in bodies]
    for request in requests:
        request.start()
    for request in requests:
        request.join()
    for request in requests:
        if request.error is not None:
            raise request.error
    return [parsed(request.submitted_ns, request.lines, count) for request in requests]


def completion(endpoint: Endpoint, path: str, body: dict[str, Any]) -> str:
    """The text of one streamed completion: as a stream it stalls only where nothing comes, however long the text is.

    Args:
        endpoint: the server.
        path: ``/completions``.
        body: the JSON body; ``stream`` is set in it.

    Raises:
        ServerError: it failed, or ended early.
    """
    request = _Request(endpoint, path, json.dumps(body).encode(), threading.Barrier(1))
    request.start()
    request.join()
    if request.error is not None:
        raise request.error
    text, finish = "", None
    for event in _events(request.lines):
        for choice in (event.get("choices") or [])[:1]:
            text += choice.get("text") or ""
            finish = choice.get("finish_reason") or finish
    if finish is None:
        raise ServerError(f"the completion ended early, after {len(text)} characters")
    return text


def _events(lines: list[tuple[int, bytes]]) -> Iterator[dict[str, Any]]:
    """The events of a stream up to its end, as JSON.

    Raises:
        ServerError: an event that is an error or no JSON.
    """
    for _, data in lines:
        if data == _DONE:
            return
        try:
            event = json.loads(data)
        except ValueError as error:
            raise ServerError(f"the server sent an event that is no JSON: {data[:80]!r}") from error
        if not isinstance(event, dict) or "error" in event:
            raise ServerError(
                f"the server sent an error in its stream: {data[:300].decode(errors='replace')}"
            )
        yield event


def parsed(submitted_ns: int, lines: list[tuple[int, bytes]], count: int) -> Stream:
    """A stream from its events.

    Tokens are counted by the server's ``usage`` where it sends it; else a stream that ended for its length has as many
    as were asked for. Each piece holds one token where there are as many pieces as tokens, or as many as a usage that
    grows from piece to piece says; else it is not known.

    Raises:
        ServerError: an event that is an error or no JSON, an early end, or no token at all.
    """
    arrivals: list[int] = []
    growing: list[int | None] = []
    total = prompt = finish = None
    for (at, _), event in zip(lines, _events(lines), strict=False):
        usage = event.get("usage") or {}
        total, prompt = usage.get("completion_tokens", total), usage.get("prompt_tokens", prompt)
        for choice in (event.get("choices") or [])[:1]:
            finish = choice.get("finish_reason") or finish
            if _holds_tokens(choice):
                arrivals.append(at)
                growing.append(usage.get("completion_tokens"))
    if finish is None:
        raise ServerError(f"the stream ended early, after {len(arrivals)} of {count} tokens")
    if not arrivals:
        raise ServerError("the stream held no token")
    if total is None and finish == "length":
        total = count
    return Stream(submitted_ns, arrivals, total, _each(growing, len(arrivals), total), prompt)


def _holds_tokens(choice: Mapping[str, Any]) -> bool:
    """Whether a piece holds tokens: a chat begins with a role alone, and a last piece may only say why it ended."""
    if "delta" in choice:
        delta = choice["delta"] or {}
        return bool(delta.get("content") or delta.get("reasoning_content"))
    return bool(choice.get("text")) or choice.get("finish_reason") is None


def _each(growing: list[int | None], pieces: int, total: int | None) -> list[int]:
    if total == pieces:
        return [1] * pieces
    known = [tokens for tokens in growing if tokens is not None]
    if len(known) != pieces or known[-1] != total:
        return []
    each = [now - before for before, now in zip([0, *known], known, strict=False)]
    return each if min(each) >= 0 else []
