"""What a whole database holds, on both databases: sessions in a list, versions, failures, environments."""

from __future__ import annotations

import make_store_records as make
from make_store_sessions import store_sessions

from harness.store import Store, overview


def test_lines_of_sessions_count_what_the_sessions_hold(any_database: str) -> None:
    with Store.open(any_database) as store:
        ids = store_sessions(store, 3, 3)
        with store.reading() as connection:
            lines = overview.session_lines(connection)
        assert [one.id for one in lines] == list(reversed(ids))
        told = {one["id"]: (one["cells"], one["runs"], one["suite"]) for one in store.sessions()}
        assert {one.id: (one.cells, dict(one.runs), one.suite) for one in lines} == told


def test_versions_span_the_sessions_that_timed_them(any_database: str) -> None:
    with Store.open(any_database) as store:
        store_sessions(store, 3, 3)
        runs = [run for one in store.sessions() for run in store.describe("session", one["id"])["runs"]]
        cells = store.cells({run["cell_id"] for run in runs})
        with store.reading() as connection:
            spans = overview.version_spans(connection)
    found: dict[tuple[str, str], list[str]] = {}
    for run in runs:
        if run["kind"] == "timed" and run["framework_version"] is not None:
            key = (cells[run["cell_id"]].framework, run["framework_version"])
            found.setdefault(key, []).append(run["session_id"])
    assert {
        (one.framework, one.version): (one.first_session, one.last_session, one.runs) for one in spans
    } == {key: (min(sessions), max(sessions), len(sessions)) for key, sessions in found.items()}
    assert len(spans) > 2


def test_a_machines_sessions_are_looked_at_only_so_far_back(any_database: str) -> None:
    with Store.open(any_database) as store:
        machine = store.record_machine(make.machine())
        began = [
            store.began_at(store.start_session(make.session(machine, later_s=60.0 * place)))
            for place in range(3)
        ]
        with store.reading() as connection:
            assert overview.began_before(connection, machine, 1) == began[1]
            assert overview.began_before(connection, machine, 3) is None


def test_failures_have_the_workers_own_words_and_environments_their_packages(any_database: str) -> None:
    with Store.open(any_database) as store:
        machine = store.record_machine(make.machine())
        environment = store.record_environment(make.environment())
        store.record_model(make.model())
        store.record_artifact(make.artifact())
        store.record_cells([make.cell()])
        session = store.start_session(make.session(machine))
        failed = make.run(
            session, make.cell().id, status="failed", reason="it broke", error="e", log_tail="l"
        )
        store.record_run(failed)
        store.record_run(make.run(session, make.cell().id, 1))
        with store.reading() as connection:
            assert overview.failure_texts(connection, session) == {failed.id: ("e", "l")}
            (found,) = overview.environment_rows(connection, [environment])
            assert [name for name, _, _ in found["packages"]] == sorted(
                one.name for one in make.environment().packages
            )
            assert overview.machine_ids(connection) == [machine]
            assert [one["name"] for one in overview.model_rows(connection)] == [make.model().name]
