"""What the laboratory measured, night by night, as batches for `Store.import_rows`.

Owns which rows a night has, the scores that later nights refer to, and the samples. Contract: batches come in
the order of time and repeat no row but those of runs that later rows refer to; deterministic for a world.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import asdict
from datetime import timedelta

import numpy as np
from numpy.typing import NDArray

from harness.store import ids, records
from lab_years import rows as make
from lab_years.rows import Columns, Row
from lab_years.timed import Timed
from lab_years.world import RUNS_A_CELL, World

#: Runs of a batch: some ten megabytes of rows.
RUNS_A_BATCH = 5000
#: Metrics of a repetition, in the order in which they are left out where samples are few.
_METRICS = ("prefill_s", "decode_s", "ttft_s", "sampling_s", "framework_decode_s")
_WARMUP_SLOWER = 1.08


class Nights:
    """Makes the batches of a world. ``sessions`` holds the ids by (machine, night) of what was made so far.

    Args:
        world: the laboratory.
        traced_nights: the newest nights whose runs keep traces and a memory timeline, which take most of the space.
        runs_a_batch: about how many.
    """

    def __init__(self, world: World, traced_nights: int = 1, runs_a_batch: int = RUNS_A_BATCH) -> None:
        self.world = world
        self.sessions: dict[tuple[int, int], str] = {}
        self._runs_a_batch = runs_a_batch
        self._traced_from = world.nights - traced_nights
        #: Scoring runs that are still linked to, by machine and artifact; and that artifact by machine and recipe.
        self._scores: dict[tuple[int, str], Row] = {}
        self._newest: dict[tuple[int, tuple[str, str, str]], str] = {}
        self._references: dict[tuple[int, str], Row] = {}
        self._artifacts: set[str] = set()
        repetitions = -(-world.size.samples_per_run // len(_METRICS))
        pairs = [(metric, repetition) for repetition in range(repetitions) for metric in range(len(_METRICS))]
        #: (place in _METRICS, repetition) of each sample of a run, in the order of the table's key.
        self._pairs = sorted(pairs[: world.size.samples_per_run])
        self._warmups = 1 if repetitions > 1 else 0

    def batches(self) -> Iterator[Mapping[str, Columns]]:
        """All of it."""
        yield self._lasting()
        a_night = len(self.world.machines) * len(self.world.cells) * RUNS_A_CELL
        step = max(1, self._runs_a_batch // a_night)
        for first in range(0, self.world.nights, step):
            yield self._block(range(first, min(first + step, self.world.nights)))

    def _lasting(self) -> Mapping[str, Columns]:
        """What no night changes."""
        world = self.world
        environments = [one.environment for of_one in world.releases.values() for one in of_one]
        every_cell = [*world.cells, world.skipped, *world.references.values()]
        return {
            "machine": make.by_column([{**asdict(one), "accelerators": []} for one in world.machines]),
            "machine_bench": make.by_column(make.benches(world)),
            "model": make.by_column([asdict(one) for one in world.models]),
            "cell": make.by_column([asdict(one) for one in every_cell]),
            "environment": make.by_column(
                [
                    {name: getattr(one, name) for name in ("id", "framework", "role", "variant", "python")}
                    for one in environments
                ]
            ),
            "environment_package": make.by_column(
                [{"environment_id": one.id, **asdict(each)} for one in environments for each in one.packages]
            ),
        }

    def _block(self, nights: range) -> Mapping[str, Columns]:
        world = self.world
        rng = np.random.default_rng([world.size.seed, 2, nights.start])
        held = [(night, machine) for night in nights for machine in range(len(world.machines))]
        found: dict[str, list[Row]] = {}
        # Scores of earlier nights that rows of these refer to; the store has them and leaves them as they are.
        runs: list[Row] = [*self._references.values(), *self._scores.values()]
        numbers = {row["id"]: number for number, row in enumerate(runs)}
        planned: list[Row] = []
        scored: Columns = {"session_id": [], "cell_id": [], "run_key": []}
        timed = Timed(world, held, rng)
        for place, (night, machine) in enumerate(held):
            record = make.session(world, machine, night)
            content = {name: one for name, one in asdict(record).items() if name != "started_at"}
            session_id = ids.session_id(record.started_at, content)
            self.sessions[machine, night] = session_id
            timed.session_ids.append(session_id)
            timed.started.append(record.started_at)
            fate = timed.fate(place)
            ended = record.started_at + timedelta(seconds=60 + 15 * timed.width)
            found.setdefault("session", []).append(
                {
                    **asdict(record),
                    "id": session_id,
                    "ended_at": None if fate == "running" else ended,
                    "status": fate,
                    "resumed": int(timed.resumed[place]),
                }
            )
            found.setdefault("session_cell", []).extend(make.session_cells(world, session_id))
            new = self._score(session_id, machine, night, found, rng)
            for position, row in enumerate(new):
                numbers[row["id"]] = len(runs)
                runs.append(row)
                planned.append(make.planned(row, position))
            timed.first_position.append(len(new))
            self._link(scored, session_id, machine, night, numbers)
        self._below_scores(found, numbers)
        rows_of = make.timed_runs(world, timed, len(runs))
        tail = make.setup_failures(timed, rows_of)
        batch = {name: make.by_column(some) for name, some in found.items()}
        head = [{**row, "key": number} for number, row in enumerate(runs)]
        batch["run"] = make.joined(make.by_column(head) if head else {}, make.joined(rows_of, tail))
        batch["planned_run"] = make.joined(
            make.by_column(planned) if planned else {}, make.planned_runs(timed)
        )
        batch["session_score"] = scored
        batch |= self._below(timed, rows_of, rng)
        return batch

    # -- scores -------------------------------------------------------------------------------------------------

    def _score(
        self, session_id: str, machine: int, night: int, found: dict[str, list[Row]], rng: np.random.Generator
    ) -> list[Row]:
        """Scoring runs of a session: every artifact that this machine meets for the first time."""
        world, new = self.world, []
        for model, cell in world.references.items():
            if (machine, model) not in self._references:
                artifact = self._artifact(cell, 0, night, machine, found)
                row = make.scoring_run(world, session_id, machine, night, cell, artifact, "reference")
                self._references[machine, model] = row
                found.setdefault("score", []).append(make.score(world, cell, row, None, rng))
                new.append(row)
        for cell in world.cells:
            artifact = self._artifact_of(cell, night)
            if (machine, artifact) not in self._scores:
                self._artifact(cell, world.release(cell.framework, night).epoch, night, machine, found)
                # Nothing refers any more to the score of the artifact that an earlier release made.
                self._scores.pop((machine, self._newest.get((machine, make.recipe_of(cell)), "")), None)
                self._newest[machine, make.recipe_of(cell)] = artifact
                row = make.scoring_run(world, session_id, machine, night, cell, artifact, "score")
                self._scores[machine, artifact] = row
                reference = self._references[machine, cell.model]
                found.setdefault("score", []).append(make.score(world, cell, row, reference, rng))
                new.append(row)
        return new

    def _artifact_of(self, cell: records.CellRecord, night: int) -> str:
        return self.world.artifact(cell, self.world.release(cell.framework, night).epoch)

    def _artifact(
        self, cell: records.CellRecord, epoch: int, night: int, machine: int, found: dict[str, list[Row]]
    ) -> str:
        artifact = self.world.artifact(cell, epoch)
        if artifact not in self._artifacts:
            self._artifacts.add(artifact)
            source = (
                None if cell.recipe == "F32" else self.world.artifact(self.world.references[cell.model], 0)
            )
            for name, row in make.artifact(self.world, cell, artifact, source, night, machine).items():
                found.setdefault(name, []).append(row)
        return artifact

    def _link(
        self, scored: Columns, session_id: str, machine: int, night: int, numbers: Mapping[str, int]
    ) -> None:
        for cell in self.world.cells:
            scored["session_id"].append(session_id)
            scored["cell_id"].append(cell.id)
            row = self._scores[machine, self._artifact_of(cell, night)]
            scored["run_key"].append(numbers[row["id"]])

    def _below_scores(self, found: dict[str, list[Row]], numbers: Mapping[str, int]) -> None:
        """Windows and verdicts, and numbers instead of ids in what refers to runs."""
        scores = found.pop("score", [])
        made: dict[str, list[Row]] = {"score": [], "score_window": [], "verdict": []}
        for one in scores:
            number = numbers[one.pop("run_id")]
            reference = one.pop("reference_run_id")
            windows, verdict = one.pop("windows"), one.pop("verdict")
            made["score"].append(
                {
                    **one,
                    "run_key": number,
                    "reference_run_key": None if reference is None else numbers[reference],
                }
            )
            made["score_window"] += [{"run_key": number, **window} for window in windows]
            if verdict is not None:
                made["verdict"].append({"run_key": number, "artifact_id": one["artifact_id"], **verdict})
        found |= {name: some for name, some in made.items() if some}

    # -- what a timed run left ----------------------------------------------------------------------------------

    def _below(self, timed: Timed, rows_of: Columns, rng: np.random.Generator) -> dict[str, Columns]:
        """Samples, readings, traces and timelines of the timed runs."""
        ok = np.array([status == "ok" for status in rows_of["status"]], dtype=bool)
        keys = np.array(rows_of["key"], dtype=np.int64)
        values = self._values(timed, ok, rng)
        width = len(self._pairs)
        samples: Columns = {
            "run_key": np.repeat(keys[ok], width).tolist(),
            "metric_key": np.tile([metric for metric, _ in self._pairs], len(values)).tolist(),
            "repetition": np.tile([repetition for _, repetition in self._pairs], len(values)).tolist(),
            "warmup": np.tile([r < self._warmups for _, r in self._pairs], len(values)).tolist(),
            "value": values.ravel().tolist(),
        }
        below: dict[str, Columns] = {
            "metric": {"key": list(range(len(_METRICS))), "name": list(_METRICS)},
            "sample": samples,
            **make.readings(self.world, timed, ok, keys, rng),
        }
        if timed.nights.max() >= self._traced_from:
            traced = ok & (timed.of_run(timed.nights) >= self._traced_from)
            below |= make.traces(self.world, timed, traced, keys, values[traced[ok]], self._pairs, rng)
        return below

    def _values(self, timed: Timed, ok: NDArray[np.bool_], rng: np.random.Generator) -> NDArray[np.float64]:
        """float64[ok runs, samples of a run]: seconds."""
        prefill, decode = timed.seconds["prefill_s"][ok], timed.seconds["decode_s"][ok]
        repetitions = 1 + max(repetition for _, repetition in self._pairs)
        noise = np.exp(rng.normal(0.0, 0.003, (len(prefill), repetitions, 2)))
        noise[:, : self._warmups] *= _WARMUP_SLOWER
        tokens = timed.decode_tokens[timed.cell_of_run[ok]]
        # A framework's own counters and the first token go with what they count.
        made = {
            "prefill_s": (prefill, 0),
            "decode_s": (decode, 1),
            "ttft_s": (prefill * 1.002 + 2e-4, 0),
            "sampling_s": (tokens * 4e-5, 0),
            "framework_decode_s": (decode * 0.997, 1),
        }
        columns = []
        for metric, repetition in self._pairs:
            seconds, place = made[_METRICS[metric]]
            columns.append(seconds * noise[:, repetition, place])
        return np.stack(columns, axis=1)
