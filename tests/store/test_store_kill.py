"""Killed without warning, the store keeps what it said it had."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import make_store_records as make
import pytest

from harness.store import Store

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="SIGKILL is of POSIX")

HERE = Path(__file__).resolve().parent
ENVIRONMENT = {**os.environ, "PYTHONPATH": os.pathsep.join([str(HERE.parents[1]), str(HERE)])}

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


def start(program: str, database: str, first: int) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-c", BEGIN + program, database, str(first)],
        env=ENVIRONMENT,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )


def kill(process: subprocess.Popen[str]) -> None:
    process.send_signal(signal.SIGKILL)
    process.wait()
    for pipe in (process.stdin, process.stdout):
        assert pipe is not None
        pipe.close()


def stored(database: str) -> set[str]:
    with Store.open(database) as store:
        assert store.check() == []
        session = store.newest_session()
        assert session is not None
        return {run.id for run in store.session_facts(session).others}


def test_every_run_that_was_said_to_be_stored_survives_a_kill(any_database: str) -> None:
    said: set[str] = set()
    for round_, runs in enumerate((1, 4, 9)):
        process = start(STORING, any_database, 1000 * round_)
        assert process.stdout is not None
        # It goes on storing while it is being killed: at whatever point of a transaction that is.
        said |= {process.stdout.readline().strip() for _ in range(runs)}
        kill(process)
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


def test_a_transaction_that_is_killed_half_way_never_happened(any_database: str) -> None:
    process = start(HALF_WAY, any_database, 0)
    assert process.stdout is not None
    run_id = process.stdout.readline().strip()
    assert run_id
    kill(process)
    assert stored(any_database) == set()
    with Store.open(any_database) as store:
        session = store.newest_session()
        assert session is not None
        run = make.run(session, make.cell().id, 0)
        assert run.id == run_id
        assert store.record_run(run)
    assert stored(any_database) == {run_id}


def test_several_processes_make_and_fill_one_new_database(new_any_database: str) -> None:
    program = (
        "for index in range(first, first + 10): store.record_run(make.run(session, make.cell().id, index))\n"
    )
    processes = [start(program, new_any_database, number * 10) for number in range(4)]
    for one in processes:
        one.communicate()
    assert [one.returncode for one in processes] == [0] * 4
    with Store.open(new_any_database) as store:
        assert store.check() == []
        assert store.info()["rows"]["run"] == 40
