"""What a published report was made from, beside it: whoever has the folder can make the report again.

Owns that file. Imports the exchange. Contract: `edgebench import` takes it in; every figure and reason is as it was
stored; of where things lay on the machine only the last two names are left, because the file is for everybody.
"""

from __future__ import annotations

import re
import tempfile
import zipfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from harness.errors import EdgebenchError
from harness.store import Store

#: The file in a report's folder.
RESULTS = "results.zip"

#: Tables with texts that a program wrote: command lines, settings, errors, ends of output.
_WITH_PLACES = frozenset({"session.csv", "run.csv"})
#: Three names and more from the root; those that every machine has stay. In JSON a backslash is written twice.
_PLACE = re.compile(
    r"(?<![\w.:/~])/(?!(?:sys|proc|dev|usr|lib|etc)/)(?:[\w.@+-]+/)+(?=[\w.@+-]+/[\w.@+-]+)"
    r"|(?<!\w)[A-Za-z]:\\{1,2}(?:[\w .@+-]+\\{1,2})+(?=[\w .@+-]+\\{1,2}[\w .@+-]+)"
)


def keep_results(db: str, sessions: Sequence[str], folder: Path) -> None:
    """Put the sessions' results into the folder; an earlier file is replaced when the new one is whole.

    Args:
        db: a file, or an SQLAlchemy URL.
        sessions: their ids.
        folder: of the report, which is there.

    Raises:
        EdgebenchError: it cannot be read or written.
    """
    from harness.exchange import export
    from harness.exchange.choosing import Wish
    from harness.exchange.source import opened

    try:
        with opened(db) as source, tempfile.TemporaryDirectory(prefix=".results-", dir=folder) as place:
            whole, told = Path(place) / "whole.zip", Path(place) / RESULTS
            export.export(source, whole, "csv", Wish(sessions=sessions))
            _without_places(whole, told, sessions)
            told.replace(folder / RESULTS)
    except OSError as error:
        raise EdgebenchError(
            f"{folder / RESULTS} cannot be written: {error.strerror or error}",
            next_step="name another folder",
        ) from error


@contextmanager
def kept_results(folder: Path) -> Iterator[tuple[Store, list[str]]]:
    """The results that lie in a folder, in a database for as long as it takes, and the sessions of the report.

    Raises:
        EdgebenchError: they are damaged, or of a newer program.
    """
    from harness.exchange.own_import import import_own

    with (
        tempfile.TemporaryDirectory(prefix="edgebench-") as place,
        Store.open(Path(place) / "results.db") as store,
    ):
        import_own(store, folder / RESULTS)
        with zipfile.ZipFile(folder / RESULTS) as kept:
            sessions = kept.comment.decode().split()
        yield store, sessions


def without_places(text: str) -> str:
    """``/home/me/lab/bin/edgebench`` as ``.../bin/edgebench``."""
    return _PLACE.sub(".../", text)


def _without_places(whole: Path, told: Path, sessions: Sequence[str]) -> None:
    with zipfile.ZipFile(whole) as source, zipfile.ZipFile(told, "w", zipfile.ZIP_DEFLATED) as target:
        # An export brings along what its sessions refer to; the report is about these, in this order.
        target.comment = " ".join(sessions).encode()
        for info in source.infolist():
            content = source.read(info)
            if info.filename in _WITH_PLACES:
                content = without_places(content.decode()).encode()
            target.writestr(info, content, zipfile.ZIP_DEFLATED)
