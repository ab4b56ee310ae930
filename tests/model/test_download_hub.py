"""Downloading from a hub, against a small server on this machine."""

from __future__ import annotations

import hashlib
import http.server
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from harness.errors import EdgebenchError
from harness.model.download import download_hub_file, hub_url
from harness.model.models import HubFile

REVISION = "c" * 40
DATA = bytes(range(256)) * 20_000  # several blocks
FILE = HubFile(repo="owner/name", revision=REVISION, file="sub/model.gguf")


class Hub(http.server.ThreadingHTTPServer):
    """Serves DATA; breaks off as often as it is told to."""

    breaks = 0
    status = 200
    ranges = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.seen: list[tuple[str, str | None, str | None]] = []

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}"


class _Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        hub = self.server
        assert isinstance(hub, Hub)
        wanted = self.headers.get("Range")
        hub.seen.append((self.path, wanted, self.headers.get("Authorization")))
        if hub.status != 200:
            self.send_error(hub.status)
            return
        begin = int(wanted.removeprefix("bytes=").rstrip("-")) if wanted and hub.ranges else 0
        body = DATA[begin:]
        self.send_response(206 if begin else 200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if hub.breaks:
            hub.breaks -= 1
            body = body[: len(body) // 2]
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002
        del format, args


@pytest.fixture
def hub(monkeypatch: pytest.MonkeyPatch) -> Iterator[Hub]:
    server = Hub()
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    monkeypatch.setenv("HF_ENDPOINT", server.url)
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    for name in ("HF_TOKEN", "HF_HUB_OFFLINE", "http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"):
        monkeypatch.delenv(name, raising=False)
    try:
        yield server
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def test_a_file_is_downloaded_at_its_revision(hub: Hub, tmp_path: Path) -> None:
    said: list[str] = []
    digest = download_hub_file(FILE, tmp_path / "x", said.append)
    assert (tmp_path / "x").read_bytes() == DATA
    assert digest == hashlib.sha256(DATA).hexdigest()
    assert hub.seen == [(f"/owner/name/resolve/{REVISION}/sub/model.gguf", None, None)]
    assert said == ["downloading, 0 of 5 MB"]


@pytest.mark.parametrize("ranges", [True, False])
def test_a_connection_that_breaks_is_taken_up_again(hub: Hub, tmp_path: Path, ranges: bool) -> None:
    hub.breaks, hub.ranges = 2, ranges
    download_hub_file(FILE, tmp_path / "x", lambda _: None)
    assert (tmp_path / "x").read_bytes() == DATA
    assert [bool(wanted) for _, wanted, _ in hub.seen] == [False, True, True]


def test_a_connection_that_always_breaks_ends_with_our_error(hub: Hub, tmp_path: Path) -> None:
    hub.breaks = 100
    with pytest.raises(EdgebenchError, match="connection ended at byte") as raised:
        download_hub_file(FILE, tmp_path / "x", lambda _: None)
    assert "HF_ENDPOINT" in raised.value.next_step


@pytest.mark.parametrize(
    ("status", "said", "step", "attempts"),
    [
        (404, "says 404", "revision", 1),
        (403, "not open to everybody", "HF_TOKEN", 1),
        (503, "says 503", "network", 4),
    ],
)
def test_a_refusal_is_told_with_the_next_step(
    hub: Hub, tmp_path: Path, status: int, said: str, step: str, attempts: int
) -> None:
    hub.status = status
    with pytest.raises(EdgebenchError, match=said) as raised:
        download_hub_file(FILE, tmp_path / "x", lambda _: None)
    assert step in raised.value.next_step
    assert len(hub.seen) == attempts


def test_nobody_listening_is_told(hub: Hub, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert hub.url
    monkeypatch.setenv("HF_ENDPOINT", "http://127.0.0.1:9")
    with pytest.raises(EdgebenchError, match="cannot be downloaded") as raised:
        download_hub_file(FILE, tmp_path / "x", lambda _: None)
    assert "mirror" in raised.value.next_step


def test_a_token_is_sent_to_the_hub(hub: Hub, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_TOKEN", "secret")
    download_hub_file(FILE, tmp_path / "x", lambda _: None)
    assert hub.seen[0][2] == "Bearer secret"


def test_offline_is_respected(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    with pytest.raises(EdgebenchError, match="HF_HUB_OFFLINE is set"):
        download_hub_file(FILE, tmp_path / "x", lambda _: None)
    assert not (tmp_path / "x").exists()


def test_the_endpoint_has_to_be_a_web_address(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_ENDPOINT", "file:///etc")
    with pytest.raises(EdgebenchError, match="no web address"):
        hub_url(FILE)
    monkeypatch.delenv("HF_ENDPOINT")
    assert hub_url(FILE) == f"https://huggingface.co/owner/name/resolve/{REVISION}/sub/model.gguf"
