"""Where things are: the packaged data folders, the cache, the locks, the default database.

In an installed wheel the data folders are inside the package; in a checkout they are beside it.
"""

from __future__ import annotations

import os
from pathlib import Path

_PACKAGE = Path(__file__).resolve().parent


def data_dir(name: str) -> Path:
    """One of the data folders: ``suites``, ``results``, ``reports``."""
    packaged = _PACKAGE / "_data" / name
    return packaged if packaged.is_dir() else _PACKAGE.parent / name


def cache_dir() -> Path:
    """Models, artifacts, environments and builds: ``EDGEBENCH_CACHE_DIR``, else the user's cache folder."""
    set_by_user = os.environ.get("EDGEBENCH_CACHE_DIR")
    if set_by_user:
        return Path(set_by_user).expanduser().resolve()
    import platformdirs  # not at the top: `edgebench --help` must not pay for it

    return Path(platformdirs.user_cache_dir("edgebench", appauthor=False))


def state_dir() -> Path:
    """The locks of this machine: ``EDGEBENCH_STATE_DIR``, else the user's state folder."""
    set_by_user = os.environ.get("EDGEBENCH_STATE_DIR")
    if set_by_user:
        return Path(set_by_user).expanduser().resolve()
    import platformdirs  # as above

    return Path(platformdirs.user_state_dir("edgebench", appauthor=False))


def default_database() -> Path:
    """``results/edgebench.db`` below the working folder."""
    return Path("results") / "edgebench.db"
