"""What every page shares: template, style, scripts, and how a page is written.

Owns `Shell` and `Folder`. Imports Jinja. Contract: whatever a template shows is escaped, and control characters are
made visible; a page's policy lets nothing load and nothing run but the styles and scripts that stand in it, by their
hashes; a page is written whole or not at all.
"""

from __future__ import annotations

import functools
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import jinja2
from markupsafe import Markup

from harness import __version__
from harness.errors import EdgebenchError
from harness.files import write_atomically
from harness.names import safe_path
from harness.page_policy import page_policy
from harness.safe_text import printable

_HERE = Path(__file__).parent
#: What the builder keeps of itself in the folder: which files are the site's.
MANIFEST = "site.json"
#: Of a page before compression; the largest that is still read on a phone without waiting.
MOST_BYTES = 1_500_000


@functools.cache
def asset(name: str) -> str:
    """A style or script of ours, as it is put into pages."""
    return (_HERE / name).read_text(encoding="utf-8").strip()


def _shown(value: Any) -> Any:
    """Words of a database from elsewhere are shown, not obeyed: here for every template."""
    return printable(value) if isinstance(value, str) and not isinstance(value, Markup) else value


#: What every page leads to: path from the site's root, and name.
MENU: tuple[tuple[str, str], ...] = (
    ("index.html", "Overview"),
    ("ship.html", "Which one to ship"),
    ("sessions.html", "Sessions"),
    ("coverage.html", "Coverage"),
    ("failures.html", "Failures"),
    ("versions.html", "Versions"),
    ("method.html", "Method"),
)


class Shell:
    """Makes pages from templates.

    Args:
        title: of the whole site.
        menu: what every page leads to.
    """

    def __init__(self, title: str, menu: Sequence[tuple[str, str]] = MENU) -> None:
        self.title = title
        self.menu = menu
        self._templates = jinja2.Environment(
            loader=jinja2.FileSystemLoader(_HERE / "templates"),
            autoescape=True,
            undefined=jinja2.StrictUndefined,
            finalize=_shown,
            trim_blocks=True,
            lstrip_blocks=True,
        )

    def page(
        self,
        template: str,
        *,
        root: str,
        heading: str,
        current: str = "",
        scripts: Sequence[str] = (),
        styles: Sequence[str] = (),
        trail: Sequence[tuple[str, str]] = (),
        **values: Any,
    ) -> str:
        """One page.

        Args:
            template: its name without its ending.
            root: the way to the site's first page: ``""`` or ``"../"``.
            heading: what the page is about.
            current: its name in the menu, where it is there.
            scripts: texts of scripts, which the page may run.
            styles: texts of styles beside the site's own.
            trail: pages above it: path from the site's root, and name.
            values: what the template wants.
        """
        used = [asset("site.css"), *styles]
        return self._templates.get_template(f"{template}.html.j2").render(
            site=self.title,
            heading=heading,
            root=root,
            menu=self.menu,
            current=current,
            trail=trail,
            # Ours, and hashed: neither a style nor a script holds anything of a database.
            styles=[Markup(one) for one in used],
            scripts=[Markup(one) for one in scripts],
            policy=page_policy(used, scripts),
            version=__version__,
            **values,
        )


class Folder:
    """The folder of a site: what is written, and what an earlier build left there.

    Args:
        path: the folder; made where it is missing.

    Raises:
        EdgebenchError: the folder holds something that is no site of ours.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.sizes: dict[str, int] = {}
        self._earlier = self._of_earlier_build()

    def write(self, name: str, text: str) -> None:
        """Write one page; ``name`` is relative, with forward slashes."""
        safe_path(name)
        write_atomically(self.path / name, text)
        self.sizes[name] = len(text.encode())

    def finish(self) -> None:
        """Remove the pages of an earlier build that are no more, and note which files are the site's."""
        for name in sorted(self._earlier - self.sizes.keys()):
            file = self.path / safe_path(name)
            file.unlink(missing_ok=True)
            if file.parent != self.path and file.parent.is_dir() and not any(file.parent.iterdir()):
                file.parent.rmdir()
        write_atomically(self.path / MANIFEST, json.dumps(sorted(self.sizes), indent=0) + "\n")

    def _of_earlier_build(self) -> set[str]:
        manifest = self.path / MANIFEST
        if manifest.is_file():
            try:
                names = json.loads(manifest.read_text(encoding="utf-8"))
                return {safe_path(str(name)) for name in names}
            except (ValueError, TypeError) as error:
                raise EdgebenchError(
                    f"{manifest} is not what edgebench report wrote: {error}",
                    next_step="remove the folder, or name another one with --out",
                ) from error
        if self.path.exists() and (not self.path.is_dir() or any(self.path.iterdir())):
            raise EdgebenchError(
                f"{self.path} is there already and is no site of edgebench report",
                next_step="name a new or an empty folder with --out",
            )
        return set()
