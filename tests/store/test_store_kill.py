"""Killed without warning, the store keeps what it said it had."""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TextIO

import make_store_records as make
import pytest
from forks import Forks

from harness.store import Store

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="SIGKILL is of POSIX")

BEGIN = """
import sys
import make_store_records as make
from harness.store import Store, records, writing

path, first = sys.argv[1], int(sys.argv[2])
store = Store.open(path)
store.record_model(make.model())
store.record_artifact(make.artifact())
store.record_environment(make.environment())
store.record_cells([make.cell()])
session = store.newest_session() or store.start_session(make.session(store.record_machine(make.machine())))
"""

#: Says each run after it was stored.
STORING = """
for index in range(first, 1_000_000):
    run = make.run(session, make.cell().id, index)
    assert store.record_run(run)
    print(run.id, flush=True)
"""

#: Stops in the middle of a transaction, with the run and all its samples inserted.
HALF_WAY = """
run = make.run(session, make.cell().id, first)
with store._writing() as connection:
    assert writing.run(connection, run, {})
    print(run.id, flush=True)
    sys.stdin.read()
"""


@contextmanager
def started(forks: Forks, program: str, database: str, first: int) -> Iterator[TextIO]:
    """What a process says that does this; it is killed at the end."""
    (their_in, our_out), (our_in, their_out) = os.pipe(), os.pipe()
    process = forks.start(BEGIN + program, database, str(first), stdin=their_in, stdout=their_out, stderr=2)
    for descriptor in (their_in, their_out):
        os.close(descriptor)
    with os.fdopen(our_out, "w"), os.fdopen(our_in, encoding="utf-8") as said:
        yield said
        process.kill()
        assert process.wait() == -signal.SIGKILL


def stored(database: str) -> set[str]:
    with Store.open(database) as store:
        assert store.check() == []
        session = store.newest_session()
        assert session is not None
        return {run.id for run in store.session_facts(session).others}


def test_every_run_that_was_said_to_be_stored_survives_a_kill(any_database: str, forks: Forks) -> None:
    said: set[str] = set()
    for round_, runs in enumerate((1, 4, 9)):
        with started(forks, STORING, any_database, 1000 * round_) as lines:
            # It goes on storing while it is being killed: at whatever point of a transaction that is.
            said |= {lines.readline().strip() for _ in range(runs)}
        assert "" not in said
        found = stored(any_database)
        assert said <= found
        with Store.open(any_database) as store:
            session = store.newest_session()
            assert session is not None
            for run in store.session_facts(session).others:
                assert len(run.samples) == 4
                assert len(run.memory) == 4
                assert all(len(one.values) == 10 and len(one.traces) == 2 for one in run.samples)


def test_a_transaction_that_is_killed_half_way_never_happened(any_database: str, forks: Forks) -> None:
    with started(forks, HALF_WAY, any_database, 0) as lines:
        run_id = lines.readline().strip()
    assert run_id
    assert stored(any_database) == set()
    with Store.open(any_database) as store:
        session = store.newest_session()
        assert session is not None
        run = make.run(session, make.cell().id, 0)
        assert run.id == run_id
        assert store.record_run(run)
    assert stored(any_database) == {run_id}


def test_several_processes_make_and_fill_one_new_database(new_any_database: str, forks: Forks) -> None:
    program = (
        "for index in range(first, first + 10): store.record_run(make.run(session, make.cell().id, index))\n"
    )
    processes = [
        forks.start(BEGIN + program, new_any_database, str(number * 10), stdout=2, stderr=2)
        for number in range(4)
    ]
    assert [one.wait() for one in processes] == [0] * 4
    with Store.open(new_any_database) as store:
        assert store.check() == []
        assert store.info()["rows"]["run"] == 40
