"""A real browser for the tests of the site: the system's Chromium, without a network."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

#: As Debian, Ubuntu and Google call it.
_NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
#: Set where Chromium has to be there: a test that skips would then hide that nothing was looked at.
REQUIRED = "EDGEBENCH_TEST_CHROMIUM"


def find() -> str:
    """Where Chromium is; skips where there is none."""
    found = next((path for name in _NAMES if (path := shutil.which(name))), None)
    if found is None:
        reason = "Chromium is not installed (Debian and Ubuntu: apt-get install chromium)"
        if os.environ.get(REQUIRED):
            pytest.fail(reason)
        pytest.skip(reason)
    return found


@dataclass
class Watched:
    """A page in a browser, with what it said and what it asked for.

    Attributes:
        page: Playwright's page.
        said: errors and warnings of its console, and uncaught errors.
        asked: addresses of what it asked for, beside the page itself.
    """

    page: Any
    said: list[str] = field(default_factory=list)
    asked: list[str] = field(default_factory=list)

    def open(self, path: Path, anchor: str = "") -> None:
        """Open a file of the site."""
        self.page.goto(path.resolve().as_uri() + anchor)


@contextmanager
def browser() -> Iterator[Any]:
    """Chromium, headless."""
    from playwright.sync_api import sync_playwright

    # A root user's Chromium starts only without its sandbox, as in a container.
    words = ["--no-sandbox"] if hasattr(os, "geteuid") and os.geteuid() == 0 else []
    with sync_playwright() as playwright:
        chromium = playwright.chromium.launch(executable_path=find(), args=[*words, "--disable-gpu"])
        yield chromium
        chromium.close()


@contextmanager
def watched(chromium: Any, **settings: Any) -> Iterator[Watched]:
    """A page of its own context; whatever goes wrong in it is noted."""
    context = chromium.new_context(**settings)
    found = Watched(context.new_page())

    def request(one: Any) -> None:
        if not (one.is_navigation_request() and one.url.startswith("file:")):
            found.asked.append(one.url)

    found.page.on(
        "console", lambda one: found.said.append(one.text) if one.type in ("error", "warning") else None
    )
    found.page.on("pageerror", lambda one: found.said.append(str(one)))
    found.page.on("request", request)
    yield found
    context.close()
