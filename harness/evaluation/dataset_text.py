"""Writes one column of a data set as a text: run by its path in lm-eval's environment, which has `datasets`.

Owns the joining of rows. Imports the standard library, and `datasets` inside a function. Contract: the request is one
JSON object on standard input; the text is written whole or not at all; what fails is a line on standard error and
status 1.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Any

#: Between two rows: an empty line, as the texts that others score are joined.
SEPARATOR = "\n\n"


def joined(rows: Iterable[Any], field: str) -> str:
    """The rows of a column as one text; rows without any text are left out.

    Raises:
        ValueError: there is no text, or a value that is none.
    """
    texts = []
    for number, row in enumerate(rows):
        if not isinstance(row, str):
            raise ValueError(f"row {number} of {field!r} is {type(row).__name__}, not text")
        if row.strip():
            texts.append(row.strip("\n"))
    if not texts:
        raise ValueError(f"{field!r} holds no text")
    return SEPARATOR.join(texts)


def main() -> int:
    """Read the request, write the text."""
    request = json.load(sys.stdin)
    try:
        import datasets

        split = datasets.load_dataset(
            request["dataset"], request["config"], split=request["split"], revision=request["revision"]
        )
        if request["field"] not in split.column_names:
            raise ValueError(f"it has no field {request['field']!r}, only {', '.join(split.column_names)}")
        text = joined(split[request["field"]], request["field"])
        half = Path(request["out"] + ".new")
        with half.open("w", encoding="utf-8", newline="") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())  # before it has its name: that must not outlive a power cut alone
        half.replace(request["out"])
    except Exception as error:  # noqa: BLE001  whatever the library raises is told to a person
        print(f"{type(error).__name__}: {' '.join(str(error).split())}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
