"""What a person sees when the database cannot be used, and that nothing stored before is lost.

Most of it is about SQLite's file: a full disk under it, its rights, its deletion, its bytes. A server's disk and files
are its own to watch; what it refuses is told in words of `harness.store.engine`, which the tests of URLs look at.
"""

from __future__ import annotations

import contextlib
import os
import sqlite3
import subprocess
import sys
import tempfile
import threading
from pathlib import Path

import make_store_records as make
import pytest
import quick_store
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from harness.errors import EdgebenchError, UsageError
from harness.safe_text import without_passwords
from harness.store import Store, engine

FIRST_PAGE = b"SQLite format 3\x00"


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "edgebench.db"


def begin(store: Store) -> str:
    store.record_model(make.model())
    store.record_artifact(make.artifact())
    store.record_environment(make.environment())
    session = store.start_session(make.session(store.record_machine(make.machine())))
    store.record_cells([make.cell()])
    return session


def test_a_full_disk_is_said_and_what_was_stored_stays(path: Path) -> None:
    with Store.open(path) as store:
        session = begin(store)
        with store._writing() as connection:
            # SQLite reports this limit with the very error of a full disk.
            used = connection.exec_driver_sql("PRAGMA page_count").scalar_one()
            connection.exec_driver_sql(f"PRAGMA max_page_count={used + 8}")

        def fill() -> None:
            for index in range(1000):
                store.record_run(make.run(session, make.cell().id, index))

        with pytest.raises(EdgebenchError, match="the disk is full") as caught:
            fill()
        assert "free some space" in caught.value.next_step
        stored = store.info()["rows"]["run"]
    with Store.open(path) as store:
        assert store.info()["rows"]["run"] == stored > 0
        assert store.check() == []
        assert store.record_run(make.run(session, make.cell().id, stored))


@pytest.mark.parametrize("read_only", [False, True])
def test_what_is_stored_is_on_the_disk_before_anything_follows(
    path: Path, monkeypatch: pytest.MonkeyPatch, read_only: bool
) -> None:
    monkeypatch.setattr(engine, "_sqlite_engine", quick_store.SQLITE_ENGINE)
    Store.open(path).close()
    with Store.open(path, read_only=read_only) as store, store.reading() as connection:
        assert connection.exec_driver_sql("PRAGMA synchronous").scalar() == 2, "FULL"
        assert connection.exec_driver_sql("PRAGMA journal_mode").scalar() == "wal"


def test_a_lock_that_another_program_keeps_is_said_after_waiting(path: Path) -> None:
    with Store.open(path, busy_timeout_s=0.05) as store:
        other = sqlite3.connect(path, isolation_level=None)
        try:
            other.execute("BEGIN IMMEDIATE")
            with pytest.raises(EdgebenchError, match="locked: another process has been writing"):
                store.record_machine(make.machine())
            other.execute("ROLLBACK")
        finally:
            other.close()
        assert store.record_machine(make.machine())


def test_a_table_that_another_session_of_a_server_keeps_is_said_after_waiting(
    postgresql_database: str,
) -> None:
    with (
        Store.open(postgresql_database, busy_timeout_s=0.05) as store,
        Store.open(postgresql_database) as other,
    ):
        with other.writing() as connection:
            connection.exec_driver_sql("LOCK TABLE machine")
            with pytest.raises(EdgebenchError, match="is locked by another session"):
                store.record_machine(make.machine())
        assert store.record_machine(make.machine())


def test_a_database_or_user_that_a_server_does_not_know_is_said(postgresql_database: str) -> None:
    server, _, settings_ = postgresql_database.rpartition("/bench")
    with pytest.raises(EdgebenchError) as caught:
        Store.open(f"{server}/nowhere?{settings_.partition('?')[2]}")
    assert caught.value.next_step
    with pytest.raises(EdgebenchError) as caught:
        Store.open(postgresql_database.replace("bench@", "nobody:hunter2@"))
    assert "hunter2" not in str(caught.value) + caught.value.next_step


def test_a_reader_of_a_server_sees_one_state_of_it(postgresql_database: str) -> None:
    """As it is with SQLite: what is stored meanwhile is not in half of an export."""
    with Store.open(postgresql_database) as store, Store.open(postgresql_database) as other:
        store.record_machine(make.machine())
        with store.reading() as connection:
            count = "SELECT count(*) FROM machine"
            assert connection.exec_driver_sql(count).scalar() == 1
            other.record_machine(make.machine(cpu_model="another"))
            assert connection.exec_driver_sql(count).scalar() == 1
        assert store.info()["rows"]["machine"] == 2


@pytest.mark.parametrize(
    "content",
    [b"pp,tg\n512,128\n" * 400, b"\x00" * 4096, FIRST_PAGE + b"\xff" * 4096, b"GGUF" + b"\x03" * 4096],
    ids=["text", "zeros", "a first page of rubbish", "another format"],
)
def test_a_file_that_is_no_database_is_said_and_left_as_it_was(path: Path, content: bytes) -> None:
    path.write_bytes(content)
    with pytest.raises(EdgebenchError, match=r"not a database|damaged|cannot be"):
        Store.open(path)
    assert path.read_bytes() == content


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(start=st.integers(0, 8191), noise=st.binary(min_size=1, max_size=600))
def test_a_damaged_or_hostile_file_gives_an_error_or_opens_but_never_crashes(
    tmp_path: Path, start: int, noise: bytes
) -> None:
    sound = tmp_path / "sound.db"
    if not sound.exists():
        with Store.open(sound) as store:
            begin(store)
    content = sound.read_bytes()
    hostile = tmp_path / "hostile.db"
    hostile.write_bytes(content[:start] + noise + content[start + len(noise) :])
    with contextlib.suppress(EdgebenchError), Store.open(hostile) as store:
        store.sessions()
        store.find("2")
    for left in tmp_path.glob("hostile.db*"):
        left.unlink()


def test_a_folder_is_not_a_database(tmp_path: Path) -> None:
    with pytest.raises(EdgebenchError, match="is a folder"):
        Store.open(tmp_path)


def test_a_database_below_a_file_cannot_be_made(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(EdgebenchError, match="cannot be used"):
        Store.open(tmp_path / "file" / "edgebench.db")


@pytest.mark.skipif(not Path("/proc").is_dir(), reason="needs a folder in which nobody can make files")
def test_a_folder_in_which_nothing_can_be_made_is_said() -> None:
    with pytest.raises(EdgebenchError, match=r"read-only|cannot be"):
        Store.open("/proc/edgebench.db")


def test_a_reader_does_not_make_what_is_not_there(path: Path) -> None:
    with pytest.raises(EdgebenchError, match="there is no database") as caught:
        Store.open(path, read_only=True)
    assert "edgebench run" in caught.value.next_step
    path.touch()
    with pytest.raises(EdgebenchError, match="holds no results yet"):
        Store.open(path, read_only=True)
    assert path.stat().st_size == 0


PROGRAM = """
import os, sys
from harness.errors import EdgebenchError
from harness.store import Store
with Store.open("sqlite://") as store:  # loads what is loaded late, while it can be read
    store.sessions()
if os.geteuid() == 0:  # the rights of files do not bind root
    os.setgid(65534)
    os.setuid(65534)
for path, wanted in zip(sys.argv[1::2], sys.argv[2::2]):
    try:
        with Store.open(path, read_only=wanted == "read") as store:
            print(len(store.sessions()), "session")
    except EdgebenchError as error:
        print(error)
"""

#: Opened for this, with these rights of file and folder: what is said.
RIGHTS = [
    ("write", 0o444, 0o555, "is read-only"),
    ("write", 0o444, 0o777, "is read-only"),
    ("write", 0o666, 0o555, "is read-only"),
    ("write", 0o666, 0o777, "1 session"),
    ("read", 0o444, 0o555, "1 session"),
    ("read", 0o000, 0o555, "cannot be opened"),
]


@pytest.mark.skipif(sys.platform == "win32", reason="the rights of files are set otherwise there")
def test_the_rights_of_file_and_folder_are_respected() -> None:
    # pytest's own folders are closed to other users
    with tempfile.TemporaryDirectory(prefix="edgebench-rights-") as home:
        Path(home).chmod(0o755)
        words = []
        for number, (wanted, file_mode, folder_mode, _) in enumerate(RIGHTS):
            path = Path(home) / str(number) / "edgebench.db"
            with Store.open(path) as store:
                begin(store)
            path.chmod(file_mode)
            path.parent.chmod(folder_mode)
            words += [str(path), wanted]
        done = subprocess.run(
            [sys.executable, "-c", PROGRAM, *words],
            capture_output=True,
            text=True,
            check=True,
            cwd=Path(__file__).resolve().parents[2],
        )
        for folder in Path(home).iterdir():
            folder.chmod(0o700)
    for (*_, said), line in zip(RIGHTS, done.stdout.splitlines(), strict=True):
        assert said in line


@pytest.mark.parametrize(
    "damage",
    [
        "UPDATE session SET system = '{no json'",
        "UPDATE session SET started_at = 'yesterday'",
        "UPDATE session SET suite = CAST(x'ff' AS TEXT)",
    ],
)
def test_a_value_that_cannot_be_read_is_said(path: Path, damage: str) -> None:
    with Store.open(path) as store:
        begin(store)
        with store._writing() as connection:
            connection.exec_driver_sql(damage)
        with pytest.raises(EdgebenchError, match="cannot be read"):
            store.sessions()


@pytest.mark.skipif(sys.platform == "win32", reason="an open file cannot be deleted there")
@pytest.mark.parametrize("replaced", [False, True])
def test_a_file_that_was_deleted_or_replaced_is_not_written_into_nowhere(path: Path, replaced: bool) -> None:
    with Store.open(path) as store:
        session = begin(store)
        path.rename(path.with_name("moved.db"))
        if replaced:
            path.touch()
        with pytest.raises(EdgebenchError, match="deleted or replaced"):
            store.record_run(make.run(session, make.cell().id))


def test_a_reader_without_rights_is_told_that_somebody_else_wrote(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with Store.open(path) as store:
        session = begin(store)
    # As for a user who may not write in the folder: root may everywhere.
    monkeypatch.setattr(engine, "is_frozen", lambda _: True)
    with Store.open(path, read_only=True) as reader:
        monkeypatch.undo()
        assert reader.info()["rows"]["run"] == 0
        with (
            pytest.raises(EdgebenchError, match="written to by somebody else") as caught,
            reader.reading(),
            Store.open(path) as writer,
        ):
            writer.record_run(make.run(session, make.cell().id))
        assert "run the same command again" in caught.value.next_step
        assert reader.info()["rows"]["run"] == 1


@pytest.mark.parametrize(
    "url",
    [
        "mysql://bench:hunter2@server/edgebench",
        "postgresql+nothing://bench:hunter2@server/edgebench",
        "postgresql://bench:hunter2@server:port/edgebench",
        "sqlite:///edgebench.db?password=hunter2",
        "postgresql+psycopg://bench:hunter2@127.0.0.1:1/edgebench?connect_timeout=2",
        "postgresql+psycopg://bench@127.0.0.1:1/edgebench?connect_timeout=2&password=hunter2",
        "postgresql+psycopg://bench@127.0.0.1:1/edgebench?password=hunter2&sslmode=prefer",
        "://hunter2",
    ],
)
def test_a_url_that_cannot_be_used_is_said_without_its_password(url: str) -> None:
    if "psycopg" in url:
        pytest.importorskip("psycopg")
    with pytest.raises(EdgebenchError) as caught:
        Store.open(url)
    assert caught.value.next_step
    assert "hunter2" not in str(caught.value) + caught.value.next_step


def test_words_that_are_wrong_are_the_users_to_mend() -> None:
    with pytest.raises(UsageError, match="no database that edgebench can store results in"):
        Store.open("oracle://server/edgebench")


@pytest.mark.parametrize(
    "url",
    [
        "postgresql+psycopg://bench:hunter2@server/edgebench",
        "postgresql+psycopg://bench:hun/ter2:hunter2@server/edgebench",
        "postgresql+psycopg://bench@server/edgebench?password=hunter2",
        "postgresql+psycopg://bench@/edgebench?host=/run&PASSWORD=hunter2&sslpassword=hunter2",
    ],
)
@pytest.mark.parametrize("written", ["{}", "--db={}", "EDGEBENCH_DB={} edgebench run"])
def test_a_password_is_in_no_description_of_a_place(url: str, written: str) -> None:
    place = engine.locate(url)
    assert "hunter2" not in str(place)
    assert "bench" in str(place)
    assert "server" in str(place) or "run" in str(place)
    shown = without_passwords(written.format(url))
    assert "hunter2" not in shown
    assert shown.startswith(written.partition("{}")[0] + "postgresql+psycopg://bench")


@pytest.mark.parametrize(
    "word", ["--suite=a:b@c", "https://example.org:8080/x", "openvino.HINT=f32", "a@b", "x://y@z"]
)
def test_a_word_without_a_password_is_kept_as_it_was_typed(word: str) -> None:
    assert without_passwords(word) == word


def test_a_database_in_memory_holds_while_it_is_open() -> None:
    with Store.open("sqlite://") as store:
        session = begin(store)
        assert store.record_run(make.run(session, make.cell().id))
        assert store.info()["size_bytes"] is None
        with pytest.raises(EdgebenchError, match="is not a file"):
            store.backup(Path("copy.db"))


def test_threads_share_a_store(any_database: str) -> None:
    with Store.open(any_database) as store:
        session = begin(store)
        failures: list[BaseException] = []

        def record(first: int) -> None:
            try:
                for index in range(first, first + 5):
                    store.record_run(make.run(session, make.cell().id, index))
            except BaseException as error:  # noqa: BLE001 - told by the main thread
                failures.append(error)

        threads = [threading.Thread(target=record, args=(number * 5,)) for number in range(4)]
        for one in threads:
            one.start()
        for one in threads:
            one.join()
        assert failures == []
        assert store.info()["rows"]["run"] == 20


def test_times_of_change_do_not_move_when_nothing_is_written(path: Path) -> None:
    with Store.open(path) as store:
        begin(store)
    before = path.stat().st_mtime_ns
    with Store.open(path, read_only=True) as store:
        store.sessions()
    with Store.open(path) as store:
        store.sessions()
    assert path.stat().st_mtime_ns == before
    assert not os.path.exists(f"{path}-wal")  # noqa: PTH110 - the name, as SQLite makes it
