"""Eight processes write into one database beside readers: nothing is lost, and nobody is told that it is locked.

For how long says ``EDGEBENCH_TEST_WRITERS_S``; ``tox -e faults`` makes it a minute.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest
from forks import Forked, Forks

from harness.store import Store

SECONDS = float(os.environ.get("EDGEBENCH_TEST_WRITERS_S", "4"))
WRITERS, READERS = 8, 2
#: Beyond the time that they write: for starting, and for the last one's turn.
PATIENCE_S = 180.0

#: Begins sessions and stores runs in them, says each run after it was stored, and opens the file anew now and then.
WRITER = """
import sys, time
import make_store_records as make
from harness.store import Store

path, number, seconds = sys.argv[1], int(sys.argv[2]), float(sys.argv[3])
index, longest, end = 0, 0.0, time.monotonic() + seconds
while time.monotonic() < end:
    with Store.open(path) as store:
        store.record_model(make.model())
        store.record_artifact(make.artifact())
        store.record_environment(make.environment())
        store.record_cells([make.cell()])
        session = store.start_session(make.session(store.record_machine(make.machine())))
        for _ in range(25):
            run = make.run(session, make.cell().id, index)
            begin = time.monotonic()
            assert store.record_run(run)
            longest = max(longest, time.monotonic() - begin)
            print(run.id, flush=True)
            index += 1
        store.end_session(session, "ok")
print("longest", longest)
"""

#: Looks at everything, again and again, each time through a connection of its own.
READER = """
import sys, time
from pathlib import Path
from harness.errors import EdgebenchError
from harness.store import Store

path, seconds = sys.argv[1], float(sys.argv[3])
end, looks, seen = time.monotonic() + seconds, 0, 0
while time.monotonic() < end:
    try:
        store = Store.open(path, read_only=True)
    except EdgebenchError as error:
        if looks or "there is no database" not in error.what and "holds no results yet" not in error.what:
            raise
        time.sleep(0.02)
        continue
    with store:
        newest = store.newest_session()
        runs = store.info()["rows"]["run"]
        assert runs >= seen, "a run that had been there is gone"
        seen = runs
        if newest is not None:
            for run in store.session_facts(newest).others:
                assert len(run.samples) == 4
        looks += 1
assert looks
print("looks", looks)
"""

#: What a person does meanwhile, by the command line.
PERSON = """
import sys, time
from harness.cli import main
from harness.errors import EdgebenchError
from harness.store import Store

path, seconds = sys.argv[1], float(sys.argv[3])
end = time.monotonic() + seconds
while time.monotonic() < end:
    try:
        with Store.open(path, read_only=True) as store:
            if store.sessions(limit=1):  # there is one to show
                break
    except EdgebenchError:
        pass
    time.sleep(0.02)
commands = (["db", "sessions", "--db", path], ["db", "info", "--db", path], ["show", "--db", path])
number = 0
while time.monotonic() < end or number < 3:
    try:
        main(commands[number % 3])
    except SystemExit as ended:
        assert not ended.code, ended.code
    number += 1
print("looks", number)
"""


def start(forks: Forks, program: str, database: str, number: int, folder: Path) -> Forked:
    with (folder / f"{number}.out").open("wb") as out, (folder / f"{number}.err").open("wb") as err:
        return forks.start(program, database, str(number), str(SECONDS), stdout=out, stderr=err)


@pytest.mark.alone
@pytest.mark.skipif(sys.platform == "win32", reason="processes are forked")
def test_eight_writers_beside_readers_lose_nothing_and_meet_no_lock(
    new_any_database: str, tmp_path: Path, capfd: pytest.CaptureFixture[str], forks: Forks
) -> None:
    programs = [WRITER] * WRITERS + [READER] * READERS + [PERSON]
    processes = [
        start(forks, program, new_any_database, number, tmp_path) for number, program in enumerate(programs)
    ]
    try:
        for process in processes:
            process.wait(timeout=SECONDS + PATIENCE_S)
    finally:
        for process in processes:
            process.kill()
            process.wait()
    told = [
        (tmp_path / f"{number}.out").read_text(encoding="utf-8").splitlines()
        for number in range(len(programs))
    ]
    errors = [(tmp_path / f"{number}.err").read_text(encoding="utf-8") for number in range(len(programs))]
    assert [process.returncode for process in processes] == [0] * len(programs), "\n".join(errors)
    assert not any("locked" in text for text in errors)
    assert errors[: WRITERS + READERS] == [""] * (WRITERS + READERS)
    said = [line for lines in told[:WRITERS] for line in lines if not line.startswith("longest")]
    assert len(said) == len(set(said)) >= WRITERS * 25
    with Store.open(new_any_database) as store:
        place = store.place
        assert store.check() == []
        stored = {
            run.id
            for session in store.sessions(limit=1_000_000)
            for run in store.session_facts(session["id"]).others
        }
    assert stored == set(said)
    waits = [float(lines[-1].split()[1]) for lines in told[:WRITERS]]
    with capfd.disabled():
        print(
            f"\n{place.url.get_backend_name()}: {WRITERS} writers stored {len(said)} runs in {SECONDS:.0f} s;"
            f" the longest wait of one was "
            f"{max(waits):.2f} s; readers looked {sum(int(lines[-1].split()[1]) for lines in told[WRITERS:])} times"
        )
    if place.path is not None:
        journal = place.path.with_name("edgebench.db-wal")
        assert not journal.exists() or journal.stat().st_size == 0
