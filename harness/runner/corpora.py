"""Texts that are scored: those of data sets, kept as plain text files, and that none is calibrated with.

Owns the folder ``corpora`` of the cache. The data set is read in lm-eval's environment, which has the library for it.
Contract: a text is whole or not there; what cannot be had is an error with the library's own last words.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import subprocess
from collections.abc import Callable
from pathlib import Path

from filelock import FileLock

from harness.environment import Environment
from harness.errors import EdgebenchError
from harness.evaluation import dataset_text
from harness.suite import DatasetCorpus
from harness.suite.shared_words import shared_words

#: For fetching and joining a data set.
TIMEOUT_S = 3600.0


def dataset_corpus(
    corpus: DatasetCorpus, cache_dir: Path, environment: Callable[[], Environment], say: Callable[[str], None]
) -> Path:
    """The text file of a data set; made where the cache has none.

    Args:
        corpus: which column of which split; a folder is an absolute path.
        cache_dir: where it is kept.
        environment: lm-eval's, asked for only where the text has to be made.
        say: told what takes long.

    Raises:
        EdgebenchError: it cannot be fetched, or holds no such text.
    """
    words = corpus.model_dump()
    key = hashlib.sha256(json.dumps(words, sort_keys=True).encode()).hexdigest()[:16]
    name = re.sub(
        r"[^A-Za-z0-9._-]+", "-", f"{Path(corpus.dataset).name}-{corpus.config or ''}-{corpus.split}"
    )
    folder = cache_dir / "corpora" / key
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{name.strip('-')}.txt"
    with FileLock(folder / "lock"):
        if not path.is_file():
            say(f"reading the data set {corpus.dataset} ({corpus.split}, {corpus.field})")
            _write(words, path, environment().python, cache_dir)
    return path


def why_seen(name: str, text: str, calibration: Path) -> str | None:
    """Why a text cannot be scored beside this calibration text; None where they are strangers.

    Args:
        name: of the scored text, for the words.
        text: the scored text.
        calibration: the file that recipes are calibrated with.
    """
    shared = shared_words(text, calibration.read_text(encoding="utf-8", errors="replace"))
    if shared is None:
        return None
    return (
        f"{name} would be both scored and calibrated with: {100 * shared.share:.1f} % of the runs of eight words of "
        f'one text are in the other, {calibration.name}, such as "{shared.words}"; recipes would be measured on what '
        "they have seen"
    )


def _write(words: dict[str, object], path: Path, python: Path, cache_dir: Path) -> None:
    quiet = {"HF_HUB_DISABLE_TELEMETRY": "1", "HF_DATASETS_DISABLE_PROGRESS_BARS": "1"}
    try:
        done = subprocess.run(
            [str(python), "-I", str(dataset_text.__file__)],
            input=json.dumps({**words, "out": str(path)}),
            env={**os.environ, **quiet, "HF_DATASETS_CACHE": str(cache_dir / "datasets")},
            capture_output=True,
            encoding="utf-8",
            timeout=TIMEOUT_S,
            check=False,
        )
    except subprocess.TimeoutExpired as error:
        raise EdgebenchError(
            f"the data set {words['dataset']} was not read within {TIMEOUT_S:g} s",
            next_step="score a text file instead: `scoring: {corpus: FILE}`",
        ) from error
    if done.returncode != 0:
        lines = done.stderr.strip().splitlines() or ["it said nothing"]
        raise EdgebenchError(
            f"the data set {words['dataset']} cannot be read: {lines[-1]}",
            next_step="check its name, config, split and field, and the network (HF_ENDPOINT names a mirror), "
            "or score a text file instead",
        )
