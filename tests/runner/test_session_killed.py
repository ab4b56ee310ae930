"""The orchestrator is killed at random instants of a session: nothing finished is lost, nothing is done twice.

Some kills hit a fresh session, others its resumption, until it completes; sessions store into an SQLite file, or each
into a database of its own on a PostgreSQL server. How many kills there are says ``EDGEBENCH_TEST_KILLS``, of the server
a fifth; ``tox -e faults`` makes it 200.
"""

from __future__ import annotations

import os
import random
import re
import signal
import sys
import threading
import time
import uuid
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path

import pytest
from fake_lab import PATIENCE_S, write_gguf
from killing import Ended, Zygote, wait_until_none
from sqlalchemy import NullPool, create_engine, text
from store_servers import new_database

from harness.runner.front import cell_of
from harness.store import Store
from harness.store.tables import metadata

pytestmark = [
    pytest.mark.skipif(sys.platform == "win32", reason="SIGKILL and fork are POSIX's"),
    pytest.mark.alone,
]

_ALL = int(os.environ.get("EDGEBENCH_TEST_KILLS", "20"))
#: On a server fewer: each of its sessions begins with making the tables, which takes it longest.
KILLS = {"sqlite": _ALL, "postgresql": _ALL // 5}
SEED = 6
LANES = 2
TOKEN = "EDGEBENCH_TEST_LANE"

SUITE = """\
name: killed
model: tiny
framework: fake
precision: [fp16, int4]
device: [cpu, npu]
workload: pp8+tg4
runs: 2
repetitions: 1
warmups: 0
scoring: {window: 64, stride: 64, score_from: 32, max_windows: 2}
models:
  tiny:
    source: {path: tiny.gguf}
    reference: {framework: fake, recipe: FP32}
"""
#: What a whole session stores, by kind and status.
WHOLE = {
    ("reference", "ok"): 1,
    ("score", "ok"): 2,
    ("timed", "ok"): 4,
    ("timed", "skipped"): 2,
}
#: Tables whose rows change: a session has its end and a number of resumptions.
CHANGING = {"session"}
#: What asks for the tables that there are, by the kind of database.
_TABLES = {
    "sqlite": "SELECT name FROM sqlite_master WHERE type = 'table'",
    "postgresql": "SELECT tablename FROM pg_tables WHERE schemaname = 'public'",
}
#: One line of the display for a run that was stored.
SAID = re.compile(r"^\[\d+/\d+\] (?P<label>.+?): (?P<outcome>ok in .*|scored before.*)$", re.MULTILINE)

Rows = dict[str, set[tuple[object, ...]]]


class Instants:
    """The share of a session after which to kill: spread evenly, in random order, shared by the lanes."""

    def __init__(self, count: int) -> None:
        self._random = random.Random(SEED)
        self._left = [(place + self._random.random()) / count for place in range(count)]
        self._random.shuffle(self._left)
        self._lock = threading.Lock()
        self._launches = 4 * count + 20

    def take(self) -> float | None:
        """The next one; None when all kills are done."""
        with self._lock:
            self._launches -= 1
            assert self._launches > 0, "sessions end before they are killed: their length is not known"
            return self._left.pop() if self._left else None

    def give_back(self) -> None:
        """The session ended before: another instant takes that one's place."""
        with self._lock:
            self._left.append(self._random.random())


class Session:
    """One scripted session in a folder of its own, and all that was seen of it; ``url`` of a server's database."""

    def __init__(self, folder: Path, environments: Path, url: str | None) -> None:
        self.folder = folder
        self.cache = folder / "cache"
        self.file = folder / "results" / "edgebench.db" if url is None else None
        self.database = url or str(self.file)
        self._engine = create_engine(url or f"sqlite:///{self.file}", poolclass=NullPool)
        self.token = uuid.uuid4().hex
        self.kept: Rows = {}
        self.labels: set[str] = set()
        self.cache.mkdir(parents=True)
        (self.cache / "environments").symlink_to(environments)
        (folder / "killed.yaml").write_text(SUITE, encoding="utf-8")
        write_gguf(folder / "tiny.gguf")

    def launch(self, zygote: Zygote, kill_after_s: float | None) -> Ended:
        """Begin it, or go on with it where a session is stored, and look at everything afterwards."""
        resume = ["--resume"] if self.kept.get("session") else []
        where = [] if self.file is not None else ["--db", self.database]
        environment = {"EDGEBENCH_CACHE_DIR": str(self.cache), "NO_COLOR": "1", TOKEN: self.token}
        ended = zygote.run(
            "run",
            "killed.yaml",
            *resume,
            *where,
            folder=self.folder,
            environment=environment,
            kill_after_s=kill_after_s,
        )
        assert wait_until_none(TOKEN, self.token, PATIENCE_S) == [], "a worker outlived its runner"
        self.labels |= {found["label"] for found in SAID.finditer(ended.said)}
        self.look()
        return ended

    def look(self) -> None:
        """The database is sound, nothing that was stored has changed, and all that was said to be stored is."""
        if self.file is not None and not self.file.exists():
            assert self.labels == set()
            return
        now = self.rows()
        for name, before in self.kept.items():
            if name not in CHANGING:
                assert before <= now[name], f"rows of {name} are gone or changed"
        if not now["session"]:
            assert self.labels == set()
        else:
            assert self.labels <= self.stored_labels()
        self.kept = now

    def rows(self) -> Rows:
        """Every row of every table; none where the tables are not made yet."""
        if self.file is not None:
            assert self.query("PRAGMA integrity_check") == [("ok",)]
            assert self.query("PRAGMA foreign_key_check") == []
        made = {name for (name,) in self.query(_TABLES[self._engine.name])}
        if not made:
            return {name: set() for name in metadata.tables}
        assert made >= metadata.tables.keys(), "half of the tables were made"
        # The server gives a row as one text: its JSON has no hash.
        columns = "*" if self.file is not None else "CAST(made AS text)"
        return {name: set(self.query(f"SELECT {columns} FROM {name} AS made")) for name in metadata.tables}

    def query(self, statement: str) -> list[tuple[object, ...]]:
        """Its rows, by a connection of its own."""
        with self._engine.connect() as connection:
            return [tuple(row) for row in connection.execute(text(statement))]

    def stored_labels(self) -> set[str]:
        """The runs that are stored, by the words of the display."""
        with Store.open(self.database) as store:
            assert store.check() == []
            newest = store.newest_session()
            assert newest is not None
            labels = set()
            for one in store.session_facts(newest).cells:
                cell = cell_of(one.cell)
                for run in one.runs:
                    score = run.kind == "score"
                    labels.add(
                        f"{cell.framework} {cell.recipe} score"
                        if score
                        else f"{cell.name} run {run.index + 1}"
                    )
            return labels

    def missing_share(self) -> float:
        """How much of it is not stored yet, 0 to 1."""
        done = len(self.kept["run"]) if self.kept else 0
        return 1 - done / sum(WHOLE.values())

    def stage(self, said: str) -> str:
        """Where in the session a kill fell."""
        if not self.kept.get("session"):
            return "before the plan"
        if "runs to do" not in said:
            return "set-up"
        return "end" if self.missing_share() == 0 else "runs"

    def assert_whole(self, ended: Ended) -> None:
        """Every planned run once, and nothing of the kills is left."""
        assert ended.code == 0, ended.said
        assert "Traceback" not in ended.said
        runs = self.query("SELECT cell_id, kind, run_index, status, phase FROM run")
        sessions = self.query("SELECT status FROM session")
        assert Counter((kind, status) for _, kind, _, status, _ in runs) == WHOLE
        assert max(Counter(run[:3] for run in runs).values()) == 1, "a run was done twice"
        assert sessions == [("ok",)]
        assert list(self.cache.glob("artifacts/staging/*")) == []
        assert list(self.cache.glob("scoring-*")) == []


class Lane:
    """Sessions one after another, each killed and resumed until it is whole.

    Args:
        folder: for their folders.
        environments: the scripted framework's.
        instants: when to kill; shared by all lanes.
        new_url: makes a database on a server for each session; None: files.
    """

    def __init__(
        self, folder: Path, environments: Path, instants: Instants, new_url: Callable[[], str] | None
    ) -> None:
        self._folder = folder
        self._environments = environments
        self._instants = instants
        self._new_url = new_url
        self._sessions = 0
        self.kills: list[str] = []
        self.whole_s = 0.0

    def run(self) -> None:
        """As long as there are instants."""
        with Zygote() as zygote:
            # How long a session takes here and now, beside the other lanes.
            session = self._session()
            ended = session.launch(zygote, None)
            session.assert_whole(ended)
            self.whole_s = ended.seconds
            while self._killed_and_resumed(zygote, self._session()):
                pass

    def _session(self) -> Session:
        self._sessions += 1
        url = None if self._new_url is None else self._new_url()
        return Session(self._folder / str(self._sessions), self._environments, url)

    def _killed_and_resumed(self, zygote: Zygote, session: Session) -> bool:
        """One session to its end; gives whether there are instants left."""
        while True:
            instant = self._instants.take()
            # A resumed session is as long as what is missing of it, and its set-up.
            length_s = self.whole_s * max(0.3, session.missing_share())
            ended = session.launch(zygote, None if instant is None else instant * length_s)
            if ended.code == -signal.SIGKILL:
                self.kills.append(session.stage(ended.said))
                continue
            session.assert_whole(ended)
            if instant is not None:
                self._instants.give_back()
            return instant is not None


@pytest.mark.parametrize("kind", sorted(KILLS, reverse=True))
def test_killed_at_random_instants_a_session_loses_nothing_and_is_resumed(
    kind: str,
    tmp_path: Path,
    fake_environments: Path,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
    request: pytest.FixtureRequest,
) -> None:
    new_url = None
    if kind == "postgresql":
        server: str = request.getfixturevalue("postgresql_server")
        new_url = partial(new_database, server)
    for name in ("EDGEBENCH_DB", "EDGEBENCH_FAKE_SCRIPT"):
        monkeypatch.delenv(name, raising=False)
    begin = time.monotonic()
    instants = Instants(KILLS[kind])
    lanes = [Lane(tmp_path / str(number), fake_environments, instants, new_url) for number in range(LANES)]
    with ThreadPoolExecutor(LANES) as pool:
        for done in [pool.submit(lane.run) for lane in lanes]:
            done.result()
    took = time.monotonic() - begin
    kills = [kill for lane in lanes for kill in lane.kills]
    stages = Counter(kills)
    with capfd.disabled():
        whole = ", ".join(f"{lane.whole_s:.1f} s" for lane in lanes)
        print(f"\n{kind}: {len(kills)} kills in {took:.0f} s, sessions of {whole}: {dict(stages)}")
    assert len(kills) == KILLS[kind]
    # Instants are shares of the length of a session: they fall into all that takes long.
    assert stages["set-up"] >= KILLS[kind] // 20
    assert stages["runs"] >= KILLS[kind] // 20
