"""Exporting a database, or a part of it: which formats there are, and putting the result in its place as a whole.

Owns the choice of a format and that a half-written export never has its final name. Imports the formats when
they are asked for. Contract: streams; the same facts give the same bytes (as far as the format's own library does).
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from harness.errors import UsageError
from harness.exchange import choosing, flat, merging, tabular
from harness.exchange.choosing import Wish
from harness.exchange.flat import Part
from harness.exchange.json_lines import write_lines
from harness.exchange.reading import Reader
from harness.exchange.source import SHAPE, Source
from harness.files import Progress, remove_tree, silent, sync_folder

FORMATS = ("parquet", "csv", "jsonl", "sqlite")

#: Ending of a file's name -> format; a folder's name says nothing.
ENDINGS = {".jsonl": "jsonl", ".db": "sqlite", ".sqlite": "sqlite"}


def format_of(target: Path, asked: str | None) -> str:
    """The format that was asked for, or that a name says.

    Raises:
        UsageError: neither says one.
    """
    if asked is not None:
        return asked
    found = ENDINGS.get(target.suffix.lower())
    if found is None:
        raise UsageError(
            f"the name {target.name} does not say what to write",
            next_step=f"add --format {'|'.join(FORMATS)}, or end the name in {', '.join(ENDINGS)}",
        )
    return found


def export(
    source: Source, target: Path, format_: str, wish: Wish = choosing.ALL, *, progress: Progress = silent
) -> dict[str, int]:
    """Writes an export; gives the rows by table.

    Args:
        source: what is exported.
        target: a file for jsonl and sqlite; for csv and parquet a folder, or a file that ends in ``.zip``.
        format_: one of `FORMATS`.
        wish: which part; nothing: all.
        progress: told now and then.

    Raises:
        UsageError: the target exists, or nothing is as it was wished.
        EdgebenchError: it cannot be read or written.
    """
    if target.exists() or target.is_symlink():
        raise UsageError(f"{target} exists already", next_step="name a file or folder that does not exist")
    if format_ == "parquet":
        tabular.check_parquet()
    with source.store.reading() as connection, _in_its_place(target) as half:
        whole = Reader(connection, source.store.place, SHAPE, name=source.name)
        selection = choosing.choose(whole, wish)
        # One transaction chooses and reads: what a running session adds meanwhile is in neither.
        reader = Reader(connection, source.store.place, SHAPE, selection, name=source.name)
        if format_ == "sqlite":
            return merging.write_file(reader, half, progress)
        if format_ == "jsonl":
            return write_lines(reader, half, progress)
        return tabular.write(
            [*_tables(reader), *flat.parts(reader)],
            half,
            format_,
            zipped=target.suffix.lower() == ".zip",
            progress=progress,
        )


def _tables(reader: Reader) -> Iterator[Part]:
    for shape in reader.shape:
        yield Part(shape.name, tuple((one.name, one.kind) for one in shape.fields), reader.rows(shape))


@contextmanager
def _in_its_place(target: Path) -> Iterator[Path]:
    """A name beside the target's; what is written there gets the target's name when it is whole."""
    target.parent.mkdir(parents=True, exist_ok=True)
    half = target.with_name(f".{target.name}.{os.getpid()}.part")
    try:
        yield half
        half.rename(target)
        sync_folder(target.parent)
    finally:
        remove_tree(half)
