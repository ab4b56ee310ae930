"""Rows as the runner would have stored them, of everything that a night leaves behind.

Owns the contents of columns: texts, settings, states, versions. Imports the store's records for what has an id of
its own. Contract: rows are mappings by column; many rows come as columns of lists.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from datetime import timedelta
from typing import Any

import numpy as np
from numpy.typing import NDArray

from harness.store import ids, records
from lab_years.timed import Timed
from lab_years.world import World, sha

Row = dict[str, Any]
Columns = dict[str, list[Any]]

_VERSION = "0.1.0"
_SUITE = """\
name: nightly
description: What the laboratory measures every night, unattended.
model: [smollm2-135m-instruct, qwen2.5-0.5b-instruct]
framework: [llamacpp, openvino, mlx, olive]
precision: [fp16, int8, int4]
workload: [pp512+tg128, pp32+tg16]
runs: 3
repetitions: 1
warmups: 1
"""
_NO_METER = "no energy meter: NVML library not found; no powercap zone under /sys/class/powercap"
_WINDOWS, _POSITIONS = 20, 255
_SETTINGS = {"repetitions": 1, "runs": 3, "timeout_s": 600.0, "warmups": 1}
_SKIPPED = "this machine has no NPU that OpenVINO knows"
_REASONS = {
    "failed": (
        "the framework failed in decode: cannot allocate the KV cache",
        "decode",
        "RuntimeError: KV cache",
    ),
    "timeout": ("no answer within 600 s", "prefill", None),
    "oom": ("killed by the system: out of memory", "load", None),
    "skipped": ("the artifact could not be made: no space left", None, None),
}
_OWN_BYTES = {"llamacpp": 80_000_000, "openvino": 210_000_000, "mlx": 79_000_000, "olive": 190_000_000}
_RUN_SECONDS = 15


def by_column(some: Sequence[Row]) -> Columns:
    """Rows, all of the same columns, as columns."""
    return {name: [row[name] for row in some] for name in some[0]}


def joined(first: Columns, second: Columns) -> Columns:
    """Rows below rows; either may be without any."""
    if not first or not second:
        return first or second
    return {name: [*first[name], *second[name]] for name in second}


def benches(world: World) -> list[Row]:
    """One bench of every machine, made when it came."""
    made = []
    for machine in world.machines:
        cores = machine.physical_cores or 1
        speed = 4e9 * cores**0.5
        record = records.MachineBenchRecord(
            machine.id, world.began[0], _VERSION, cores, 268_435_456, speed, 0.97 * speed, 0.8 * speed,
            0.78 * speed, 40e9 * cores, 38e9 * cores, last_level_cache_bytes=2**25,
            reasons={"int8_ops": "no OpenVINO environment"},
        )  # fmt: skip
        made.append({**asdict(record), "flags": []})
    return made


def session(world: World, machine: int, night: int) -> records.SessionRecord:
    """A nightly session as it begins; machines begin some minutes after one another."""
    updates = sum(1 for one in world.updates[machine] if one <= night)
    return records.SessionRecord(
        machine_id=world.machines[machine].id,
        suite="nightly",
        suite_sha256=sha(_SUITE),
        suite_text=_SUITE,
        command_line=["edgebench", "run", "nightly"],
        edgebench_version=_VERSION,
        seed=world.size.seed,
        started_at=world.began[night] + timedelta(minutes=machine),
        trigger="nightly",
        commit_sha=sha(f"commit {night}")[:40],
        system={"os": "Debian GNU/Linux", "kernel": f"5.{10 + updates}.0", "power_mode": None, "drivers": {}},
        settings={"runs": 3, "threads": world.machines[machine].physical_cores},
    )


def session_cells(world: World, session_id: str) -> list[Row]:
    """The plan: every cell, and one that cannot run."""
    made = [
        {
            "session_id": session_id,
            "cell_id": cell.id,
            "position": position,
            "reason": None,
            "expected_s": 45.0,
            "settings": _SETTINGS,
        }
        for position, cell in enumerate(world.cells)
    ]
    skipped = {"cell_id": world.skipped.id, "position": len(made), "reason": _SKIPPED, "expected_s": None}
    return [*made, {"session_id": session_id, **skipped, "settings": _SETTINGS}]


def recipe_of(cell: records.CellRecord) -> tuple[str, str, str]:
    """What artifacts of a cell follow one another in."""
    return cell.model, cell.framework, cell.recipe


def artifact(
    world: World, cell: records.CellRecord, artifact_id: str, source: str | None, night: int, machine: int
) -> dict[str, Row]:
    """An artifact with its lineage and the attempt that made it, by table."""
    weight_bytes = world.weight_bytes(cell)
    release = world.release(cell.framework, night)
    model = next(one for one in world.models if one.name == cell.model)
    made = {
        "artifact_id": artifact_id,
        "model_id": model.id,
        "framework": cell.framework,
        "recipe": cell.recipe,
        "precision": cell.precision,
        "source_artifact_id": source,
        "environment_id": release.environment.id,
        "tool": release.environment.packages[0].name,
        "tool_version": release.version,
        "parameters": {"recipe": cell.recipe},
        "notes": {},
        "made_s": 4.5,
    }
    made_at = world.began[night]
    lineage_id = ids.content_id("lineage", {**made, "made_at": made_at.isoformat()})
    attempt = records.PreparationRecord(
        machine_id=world.machines[machine].id, model=cell.model, framework=cell.framework, recipe=cell.recipe,
        tool=release.environment.packages[0].name, tool_version=release.version, status="ok", seconds=4.5,
        threads=2, jobs=1, started_at=made_at,
        environment_id=release.environment.id, artifact_id=artifact_id, peak_bytes=3 * weight_bytes,
    )  # fmt: skip
    return {
        "artifact": {
            "id": artifact_id,
            "weight_bytes": weight_bytes,
            "parameters": model.parameters,
            "bits_per_weight": weight_bytes * 8 / (model.parameters or 1),
            "files": [{"path": "model", "bytes": weight_bytes, "sha256": sha(artifact_id)}],
        },
        "lineage": {**made, "id": lineage_id, "made_at": made_at, "made_peak_bytes": 3 * weight_bytes},
        "preparation": asdict(attempt),
    }


def scoring_run(
    world: World,
    session_id: str,
    machine: int,
    night: int,
    cell: records.CellRecord,
    artifact_id: str,
    kind: str,
) -> Row:
    """A scoring run, as a row without its key."""
    release = world.release(cell.framework, night)
    return {
        "id": ids.run_id(session_id, cell.id, kind, 0, 1),
        "session_id": session_id,
        "cell_id": cell.id,
        "kind": kind,
        "run_index": 0,
        "attempt": 1,
        **dict.fromkeys(("reason", "phase", "error", "log_tail", "seed", "kv_cache_bytes")),
        "status": "ok",
        "artifact_id": artifact_id,
        "environment_id": release.environment.id,
        "framework_version": release.version,
        "versions": _versions(world, cell.framework, release.version),
        "device": _device(world, machine),
        "hints": _hints(cell),
        "threads": world.machines[machine].physical_cores,
        "started_at": world.began[night] + timedelta(minutes=machine, seconds=5),
        "duration_s": 21.5,
        "phases_s": {"import": 0.8, "load": 0.4, "score": 19.5, "start": 0.6, "unload": 0.1},
        "harness_s": 0.3,
        "vocab_size": world.vocabulary[cell.model],
        "validity": "ok",
        "flags": [],
        "machine_state": {},
        "details": {},
    }


def planned(row: Row, position: int) -> Row:
    """The plan's row of a run that was made."""
    kept = {name: row[name] for name in ("session_id", "cell_id", "kind", "run_index", "seed")}
    return {**kept, "position": position}


def score(
    world: World, cell: records.CellRecord, row: Row, reference: Row | None, rng: np.random.Generator
) -> Row:
    """A score with its windows and verdict; it names runs by their ids. One artifact in fifty is broken."""
    quality = {"fp32": 1e-5, "fp16": 1e-4, "int8": 0.01, "int4": 0.08}[cell.precision] * rng.uniform(0.7, 1.4)
    broken = reference is not None and rng.random() < 0.02
    kld = 9.0 if broken else quality
    # The text of a window decides most of its likelihood, whatever computes it.
    nll = 2.7 + np.random.default_rng([world.size.seed, 3]).normal(0.0, 0.2, _WINDOWS)
    if reference is not None:
        nll += kld / 2 + rng.normal(0.0, kld / 2, _WINDOWS)
    sums = kld * rng.uniform(0.8, 1.2, _WINDOWS) * _POSITIONS
    same = max(0.0, 1.0 - 2.0 * kld**0.5 / 3) if not broken else 0.01
    windows = [
        {
            "window_index": number,
            "positions": _POSITIONS,
            "nll_sum": float(nll[number] * _POSITIONS),
            "kld_sum": None if reference is None else float(sums[number]),
            "same_top": None if reference is None else round(same * _POSITIONS),
            "delta_p_sq_sum": None if reference is None else float(sums[number] / 9),
            "bytes": 1040,
        }
        for number in range(_WINDOWS)
    ]
    verdict = {"verdict": "ok", "reason": None}
    if broken:
        verdict = {"verdict": "broken", "reason": "the divergence of 9 nats is above the limit of 1"}
    quantiles = {name: None if reference is None else kld * factor for name, factor in _QUANTILES}
    return {
        "run_id": row["id"],
        "scoring_key": sha(f"{row['artifact_id']} {row['environment_id']} {row['session_id']}")[:32],
        "artifact_id": row["artifact_id"],
        "corpus": "scoring.txt",
        "corpus_sha256": sha("corpus"),
        "window_tokens": _POSITIONS + 1,
        "stride_tokens": _POSITIONS + 1,
        "score_from": 0,
        "bos": None,
        "positions": _WINDOWS * _POSITIONS,
        "reference_run_id": None if reference is None else reference["id"],
        "quality_reference": "llamacpp F32",
        **quantiles,
        "finite": True,
        "vocab_size": row["vocab_size"],
        "details": {},
        "method": "sketch-1",
        "delta_p": None,
        "errors": {},
        "windows": windows,
        "verdict": None if reference is None else verdict,
    }


_QUANTILES = (("kld_median", 0.3), ("kld_p99", 9.0), ("kld_p999", 20.0), ("kld_max", 40.0))


def _versions(world: World, framework: str, version: str) -> dict[str, str]:
    return {"framework": version, world.releases[framework][0].environment.packages[0].name: version}


def _device(world: World, machine: int) -> Row:
    name = world.machines[machine].cpu_model
    return {"api": "cpu", "driver": None, "emulated": False, "id": "cpu", "memory_bytes": None, "name": name}


def _hints(cell: records.CellRecord) -> dict[str, str]:
    return {
        "framework": cell.framework,
        "flash_attn": "off",
        "n_batch": "2048",
        "n_ubatch": "512",
        "type_k": "f16",
        "type_v": "f16",
    }


def timed_runs(world: World, timed: Timed, first_key: int) -> Columns:
    """The rows of `run` of all timed runs that are stored, in their order."""
    count = len(timed.cell_of_run)
    cells, status = timed.cell_of_run.tolist(), timed.status_of_run.tolist()
    sessions = timed.session_of_run.tolist()
    machines, nights = timed.of_run(timed.machines).tolist(), timed.of_run(timed.nights).tolist()
    started = [status != "skipped" for status in status]
    attempts = (1 + timed.retried_of_run).tolist()
    releases = {
        (name, night): world.release(name, night) for name in world.releases for night in sorted(set(nights))
    }
    # One object for many runs: the store makes its text once.
    versions = {
        (name, one.version): _versions(world, name, one.version) for (name, _), one in releases.items()
    }
    devices = [_device(world, machine) for machine in range(len(world.machines))]
    hints = [_hints(cell) for cell in world.cells]
    details = {"prompt": {"kind": "random"}, "warmup": {"change": None, "ended_by": "number", "passes": 1}}
    of_run = [releases[world.cells[cell].framework, night] for cell, night in zip(cells, nights, strict=True)]
    framework = [world.cells[cell].framework for cell in cells]
    artifacts = {
        (cell, epoch): world.artifact(world.cells[cell], epoch)
        for cell, epoch in {(cell, one.epoch) for cell, one in zip(cells, of_run, strict=True)}
    }
    took = 2.0 + 2.2 * (timed.seconds["prefill_s"] + timed.seconds["decode_s"])
    suspect = timed.suspect_of_run & (timed.status_of_run == "ok")
    index = timed.index_of_run.tolist()
    session_ids = [timed.session_ids[one] for one in sessions]
    cell_ids = [world.cells[cell].id for cell in cells]

    def where(values: list[Any]) -> list[Any]:
        return [value if one else None for value, one in zip(values, started, strict=True)]

    return {
        "key": list(range(first_key, first_key + count)),
        "id": [
            ids.run_id(session_id, cell_id, "timed", number, attempt)
            for session_id, cell_id, number, attempt in zip(
                session_ids, cell_ids, index, attempts, strict=True
            )
        ],
        "session_id": session_ids,
        "cell_id": cell_ids,
        "kind": ["timed"] * count,
        "run_index": index,
        "attempt": attempts,
        "status": status,
        **{
            name: [None if one == "ok" else _REASONS[one][place] for one in status]
            for place, name in enumerate(("reason", "phase", "error"))
        },
        "log_tail": ["llama_decode: failed" if one == "failed" else None for one in status],
        "artifact_id": where([artifacts[cell, one.epoch] for cell, one in zip(cells, of_run, strict=True)]),
        "environment_id": where([one.environment.id for one in of_run]),
        "framework_version": where([one.version for one in of_run]),
        "versions": [
            versions[name, one.version] if begun else {}
            for name, one, begun in zip(framework, of_run, started, strict=True)
        ],
        "device": where([devices[machine] for machine in machines]),
        "hints": [hints[cell] for cell in cells],
        "threads": where([world.machines[machine].physical_cores for machine in machines]),
        "seed": [7000 + number for number in index],
        "started_at": [
            timed.started[one] + timedelta(seconds=60 + _RUN_SECONDS * position)
            for one, position in zip(sessions, timed.position_of_run.tolist(), strict=True)
        ],
        "duration_s": where(took.tolist()),
        "phases_s": [one if begun else {} for one, begun in zip(_phases(took), started, strict=True)],
        "harness_s": where((0.25 + 0.1 * timed.state[:, 0]).tolist()),
        "vocab_size": where([world.vocabulary[world.cells[cell].model] for cell in cells]),
        "kv_cache_bytes": where([23_592_960] * count),
        "validity": ["suspect" if one else "ok" for one in suspect.tolist()],
        "flags": [
            [f"foreign CPU load {0.2 + share:.2f} cores"] if one else []
            for one, share in zip(suspect.tolist(), timed.state[:, 1].tolist(), strict=True)
        ],
        "machine_state": _states(timed.state, suspect),
        "details": [details] * count,
    }


def _phases(took: NDArray[np.float64]) -> list[Row]:
    return [
        {"import": 0.8, "load": 0.4, "start": 0.7, "timed": round(seconds - 2.0, 6), "unload": 0.1}
        for seconds in took.tolist()
    ]


def _states(state: NDArray[np.float64], suspect: NDArray[np.bool_]) -> list[Row]:
    return [
        {
            "calibration_after_s": round(0.0047 + 1e-4 * a, 7),
            "calibration_before_s": round(0.0047 + 1e-4 * b, 7),
            "window": {
                "cpu_pressure_share": round(0.01 * c, 6),
                "foreign_cores": round(0.2 + b if spoilt else 0.01 * d, 6),
                "involuntary_switches": int(200 * d),
                "major_faults": int(3 * c),
                "steal_share": 0.0,
                "temperature_c": round(45 + 20 * a, 1),
            },
        }
        for (a, b, c, d), spoilt in zip(state.tolist(), suspect.tolist(), strict=True)
    ]


def setup_failures(timed: Timed, rows: Mapping[str, Sequence[Any]]) -> Columns:
    """The first attempts of the runs whose set-up failed once, behind all others."""
    again = np.flatnonzero(timed.retried_of_run).tolist()
    made = []
    for number, place in enumerate(again):
        row = {name: values[place] for name, values in rows.items()}
        row |= dict.fromkeys(
            ("artifact_id", "framework_version", "device", "duration_s", "vocab_size", "kv_cache_bytes")
        )
        run_id = ids.run_id(row["session_id"], row["cell_id"], "timed", row["run_index"], 1)
        row |= {"key": rows["key"][-1] + 1 + number, "id": run_id, "attempt": 1, "status": "failed"}
        row |= {"phase": "set-up", "reason": "the environment could not be made: no route to the registry"}
        row |= {
            "validity": "ok",
            "flags": [],
            "versions": {},
            "started_at": row["started_at"] - timedelta(seconds=5),
        }
        made.append(row)
    return by_column(made) if made else {}


def planned_runs(timed: Timed) -> Columns:
    """The rows of `planned_run` of all timed runs, also of those that were never made."""
    count = len(timed.held) * timed.width
    cell_ids = np.array([cell.id for cell in timed.world.cells])
    first = np.array(timed.first_position)[:, None]
    return {
        "session_id": np.repeat(np.array(timed.session_ids), timed.width).tolist(),
        "position": (first + np.arange(timed.width)[None, :]).ravel().tolist(),
        "cell_id": cell_ids[timed.cells.ravel()].tolist(),
        "kind": ["timed"] * count,
        "run_index": timed.indexes.ravel().tolist(),
        "seed": (7000 + timed.indexes).ravel().tolist(),
    }


def readings(
    world: World, timed: Timed, ok: NDArray[np.bool_], keys: NDArray[np.int64], rng: np.random.Generator
) -> dict[str, Columns]:
    """Memory of all runs that were ok, and energy: where there is a meter, joules, else the reason."""
    cells = timed.cell_of_run[ok]
    own = np.array([_OWN_BYTES[cell.framework] for cell in world.cells])[cells]
    weights = np.array([world.weight_bytes(cell) for cell in world.cells])[cells]
    noise = rng.integers(0, 512, (len(cells), 5)) * 4096
    shares = np.array([0.0, 1.0, 1.05, 1.06, 1.06])
    peak = (own[:, None] + weights[:, None] * shares + noise).astype(np.int64)
    peak = np.maximum.accumulate(peak, axis=1)
    phases = ["import", "load", "prefill", "warmup", "decode"]
    count = len(cells)
    memory: Columns = {
        "run_key": np.repeat(keys[ok], 5).tolist(),
        "position": np.tile(np.arange(5), count).tolist(),
        "phase": phases * count,
        "peak_rss_bytes": peak.ravel().tolist(),
        "rss_bytes": peak.ravel().tolist(),
        "anon_bytes": (peak - 30_000_000).ravel().tolist(),
        "file_bytes": [30_000_000] * (5 * count),
        "method": ["VmHWM"] * (5 * count),
        "shared_bytes": [0] * (5 * count),
        "pss_bytes": (peak - 10_000_000).ravel().tolist(),
        "uss_bytes": (peak - 12_000_000).ravel().tolist(),
    }
    return {"memory_reading": memory, "energy_reading": _energy(world, timed, ok, keys)}


def _energy(world: World, timed: Timed, ok: NDArray[np.bool_], keys: NDArray[np.int64]) -> Columns:
    machines = timed.of_run(timed.machines)[ok]
    metered = np.array([one is not None for one in world.meters])[machines]
    watts = np.array([3.0 * (one.physical_cores or 1) for one in world.machines])[machines]
    cells = timed.cell_of_run[ok]
    tokens = np.array([[cell.prompt_tokens, cell.decode_tokens] for cell in world.cells])[cells]
    windows = np.stack([timed.seconds["prefill_s"][ok], timed.seconds["decode_s"][ok]], axis=1)
    more = np.ceil(2.0 / windows)  # passes until the window is long enough for the meter
    windows, tokens = windows * more, (tokens * more).astype(np.int64)
    gross = (watts + 4.0)[:, None] * windows
    both = np.repeat(metered, 2).tolist()

    def where(values: Any) -> list[Any]:
        return [value if one else None for value, one in zip(values, both, strict=True)]

    count = len(both)
    return {
        "run_key": np.repeat(keys[ok], 2).tolist(),
        "position": [0, 1] * (count // 2),
        "phase": ["prefill", "decode"] * (count // 2),
        "gross_joules": where(gross.ravel().tolist()),
        "net_joules": where((gross - 4.0 * windows).ravel().tolist()),
        "tokens": where(tokens.ravel().tolist()),
        "window_s": where(windows.ravel().tolist()),
        "idle_watts": where([4.0] * count),
        "idle_watts_before": where([4.0] * count),
        "idle_watts_after": where([4.0] * count),
        "idle_drift": where([False] * count),
        "meter": where(["powercap"] * count),
        "domain": where(["dram-0+package-0"] * count),
        "method": where(["counter"] * count),
        "resolution_s": where([0.001] * count),
        "resolution_joules": where([6.1e-5] * count),
        "reason": [None if one else _NO_METER for one in both],
    }


def traces(
    world: World, timed: Timed, traced: NDArray[np.bool_], keys: NDArray[np.int64], values: NDArray[np.float64],
    pairs: Sequence[tuple[int, int]], rng: np.random.Generator,
) -> dict[str, Columns]:  # fmt: skip
    """Token times of every repetition whose decode is a sample, and a memory timeline of every run.

    ``values`` is float64[traced runs, samples], ``pairs`` (metric, repetition) of each sample; metric 1 is `decode_s`.
    """
    found: list[Row] = []
    lines: list[Row] = []
    series = np.array([np.arange(20) * 50_000_000, *np.full((3, 20), 120_000_000)], dtype="<i8").tobytes()
    for place, number in enumerate(np.flatnonzero(traced).tolist()):
        run_key = int(keys[number])
        tokens = world.cells[int(timed.cell_of_run[number])].decode_tokens
        for sample, (metric, repetition) in enumerate(pairs):
            if metric != 1:
                continue
            share = rng.uniform(0.9, 1.1, tokens)
            forward = np.round(values[place, sample] * 1e9 * share / share.sum()).astype("<i8")
            token = np.concatenate([[round(timed.seconds["prefill_s"][number] * 1e9)], forward]).cumsum()
            for name, one in (("forward_ns", forward), ("token_ns", token.astype("<i8"))):
                row = {"run_key": run_key, "name": name, "repetition": repetition, "dtype": "int64"}
                found.append({**row, "warmup": repetition == 0 and len(pairs) > 5, "data": one.tobytes()})
        lines.append(
            {
                "run_key": run_key,
                "scope": "worker",
                "method": "/proc/PID/status",
                "interval_s": 0.05,
                "readings": 40,
                "seconds": 2.0,
                "watcher_cpu_s": 0.01,
                "marks": [["import", 0], ["load", 100_000_000]],
                "names": ["time_ns", "anon_bytes", "file_bytes", "shared_bytes"],
                "data": series,
            }
        )
    return {name: by_column(some) for name, some in (("trace", found), ("memory_timeline", lines)) if some}
