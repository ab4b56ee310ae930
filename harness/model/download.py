"""Model files of a Hugging Face repository, over plain HTTPS.

Owns that one download; needs no client library. Honours ``HF_ENDPOINT`` (mirrors), ``HF_TOKEN`` (gated
repositories), ``HF_HUB_OFFLINE`` and the usual proxy variables. Contract: the file at the pinned revision, whole,
or one `EdgebenchError`; a connection that breaks is taken up where it broke, a few times.
"""

from __future__ import annotations

import hashlib
import http.client
import os
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Callable
from pathlib import Path
from typing import BinaryIO

from harness.errors import EdgebenchError
from harness.model.models import HubFile

_BLOCK_BYTES = 1 << 20
#: A line this often, or every tenth of the file if that is more.
_SHOW_EVERY_BYTES = 64 << 20
_TIMEOUT_S = 30.0
_ATTEMPTS = 4


class _BrokenOffError(Exception):
    """The connection ended early; what is there can be kept."""


def hub_url(file: HubFile) -> str:
    """Address of the file at its revision.

    Raises:
        EdgebenchError: ``HF_ENDPOINT`` is no web address.
    """
    endpoint = os.environ.get("HF_ENDPOINT") or "https://huggingface.co"
    if urllib.parse.urlsplit(endpoint).scheme not in ("https", "http"):
        raise EdgebenchError(
            f"HF_ENDPOINT is {endpoint!r}, no web address", next_step="set it to https://HOST, or unset it"
        )
    return f"{endpoint.rstrip('/')}/{file.repo}/resolve/{file.revision}/{urllib.parse.quote(file.file)}"


def download_hub_file(file: HubFile, target: Path, step: Callable[[str], None]) -> str:
    """Download the file to ``target``, which does not exist yet; its SHA-256.

    Raises:
        EdgebenchError: offline, not found, refused, or broken off again and again.
        OSError: ``target`` cannot be written.
    """
    url = hub_url(file)
    if os.environ.get("HF_HUB_OFFLINE", "").lower() in ("1", "true", "yes", "on"):
        raise EdgebenchError(
            f"HF_HUB_OFFLINE is set, and {file.repo}/{file.file} is not here yet",
            next_step="unset it, or give the model as a local path",
        )
    reason = ""
    with target.open("xb") as out:
        for _ in range(_ATTEMPTS):
            try:
                _continue(url, out, step)
            except _BrokenOffError as error:
                reason = str(error)
            else:
                break
        else:
            raise EdgebenchError(
                f"{url} cannot be downloaded: {reason}",
                next_step="check the network and proxy, set HF_ENDPOINT to a mirror, or give the model as a local path",
            )
    with target.open("rb") as written:
        return hashlib.file_digest(written, "sha256").hexdigest()


def _continue(url: str, out: BinaryIO, step: Callable[[str], None]) -> None:
    """Append what is missing of the file."""
    have = out.tell()
    request = urllib.request.Request(url, headers={"User-Agent": "edgebench", "Accept-Encoding": "identity"})
    if have:
        request.add_header("Range", f"bytes={have}-")
    if token := os.environ.get("HF_TOKEN"):
        # Not sent on to the storage host that the hub redirects to.
        request.add_unredirected_header("Authorization", f"Bearer {token}")
    try:
        with urllib.request.urlopen(request, timeout=_TIMEOUT_S) as response:
            if have and response.status != http.HTTPStatus.PARTIAL_CONTENT:
                out.seek(0)
                out.truncate()
                have = 0
            length = response.headers.get("Content-Length")
            total = have + int(length) if length and length.isdigit() else None
            _copy(response, out, have, total, step)
    except urllib.error.HTTPError as error:
        with error:
            if error.code >= http.HTTPStatus.INTERNAL_SERVER_ERROR:
                raise _BrokenOffError(f"the server says {error.code}") from error
            raise _refused(url, error.code) from error
    except urllib.error.URLError as error:
        raise _BrokenOffError(str(error.reason)) from error
    except (http.client.HTTPException, TimeoutError, ConnectionError) as error:
        raise _BrokenOffError(str(error) or type(error).__name__) from error


def _copy(
    response: http.client.HTTPResponse,
    out: BinaryIO,
    have: int,
    total: int | None,
    step: Callable[[str], None],
) -> None:
    every = max(_SHOW_EVERY_BYTES, (total or 0) // 10)
    shown = -every
    while True:
        if have - shown >= every:
            of = f" of {total / 1e6:.0f}" if total else ""
            step(f"downloading, {have / 1e6:.0f}{of} MB")
            shown = have
        block = response.read(_BLOCK_BYTES)
        if not block:
            break
        out.write(block)
        have += len(block)
    if total is not None and have < total:
        raise _BrokenOffError(f"the connection ended at byte {have:,} of {total:,}")


def _refused(url: str, code: int) -> EdgebenchError:
    if code in (http.HTTPStatus.UNAUTHORIZED, http.HTTPStatus.FORBIDDEN):
        return EdgebenchError(
            f"{url} is not open to everybody ({code})",
            next_step="accept the repository's terms, set HF_TOKEN to a token that may read it, and try again",
        )
    return EdgebenchError(
        f"{url} cannot be downloaded: the server says {code}",
        next_step='check "repo", "revision" and "file" in the model list',
    )
