"""What an id, or the beginning of one, means in a database."""

from __future__ import annotations

from harness.errors import UsageError
from harness.store import Store


def session_id_of(store: Store, prefix: str | None, suite: str | None = None) -> str:
    """A session's id from its beginning; the newest one where nothing is given.

    Raises:
        UsageError: there is none, or several begin so.
    """
    if prefix is None:
        newest = store.newest_session(suite)
        if newest is None:
            what = f"no session of the suite {suite!r}" if suite is not None else "no session"
            raise UsageError(
                f"{store.place} holds {what} yet that was measured",
                next_step="measure first: edgebench run quickstart; or name an imported one with --session,"
                " see edgebench db sessions",
            )
        return newest
    return only(store, prefix, ("session",))[1]


def only(store: Store, prefix: str, kinds: tuple[str, ...] | None = None) -> tuple[str, str]:
    """``(kind, id)`` of the one thing whose id begins so.

    Raises:
        UsageError: nothing or several things do.
    """
    found = [one for one in store.find(prefix) if kinds is None or one[0] in kinds]
    exact = [one for one in found if one[1] == prefix]
    if len(exact) == 1:
        return exact[0]
    what = " or ".join(kinds) if kinds else "thing"
    if not found:
        raise UsageError(
            f"no {what} in {store.place} has an id that begins with {prefix!r}",
            next_step="`edgebench db sessions` lists the sessions; `edgebench show` takes any id that it prints",
        )
    if len(found) > 1:
        some = ", ".join(f"{kind} {row_id}" for kind, row_id in found[:5])
        raise UsageError(
            f"{prefix!r} begins {len(found)} ids: {some}{' ...' if len(found) > 5 else ''}",
            next_step="give more characters",
        )
    return found[0]
