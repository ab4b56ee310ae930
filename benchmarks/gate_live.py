"""Live gates on this machine: base against itself, and against real slowdowns.

    python benchmarks/gate_live.py --db live.db --gates 10 --wheel llama_cpp_python-0.3.36-....whl --fewer-threads 1

``edgebench gate`` itself on ``gate_suites/live.yaml``: first ``--gates`` A/A gates (``--same``, each with a seed of its
own), then, with ``--wheel``, one whose head is that wheel of llama-cpp-python with a sleep in its decode call. The
patched wheel is the given one repacked with one changed Python file; nothing is compiled. Base of that gate is the
given wheel itself, so that both sides are installed alike. With ``--fewer-threads`` one more, whose head runs the
cells of OpenVINO with that many threads, where base has one for each physical core.

Exit status: 0 no A/A gate fails, and the slowdowns are found; 3 otherwise.
"""

from __future__ import annotations

import argparse
import base64
import csv
import hashlib
import io
import json
import subprocess
import sys
import tempfile
import zipfile
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

SUITE = Path(__file__).parent / "gate_suites" / "live.yaml"
PATCHED = "llama_cpp/llama_cpp.py"
#: Appended to the module of the bindings: every decode call takes so much longer.
SLEEP = """

import time as _time

_decode = llama_decode


def llama_decode(ctx, batch, /):
    _time.sleep({seconds!r})
    return _decode(ctx, batch)
"""


def patched_wheel(wheel: Path, folder: Path, seconds: float) -> Path:
    """The wheel repacked with a sleep in its decode call, under the same file name.

    Raises:
        ValueError: it has no such module, or no RECORD.
    """
    target = folder / wheel.name
    with zipfile.ZipFile(wheel) as source:
        names = source.namelist()
        records = [name for name in names if name.endswith(".dist-info/RECORD")]
        if PATCHED not in names or len(records) != 1:
            raise ValueError(f"{wheel} is no wheel of llama-cpp-python")
        changed = source.read(PATCHED) + SLEEP.format(seconds=seconds).encode()
        digest = base64.urlsafe_b64encode(hashlib.sha256(changed).digest()).rstrip(b"=").decode()
        rows = [
            [PATCHED, f"sha256={digest}", str(len(changed))] if row[0] == PATCHED else row
            for row in csv.reader(io.StringIO(source.read(records[0]).decode()))
            if row
        ]
        record = io.StringIO()
        csv.writer(record, lineterminator="\n").writerows(rows)
        with zipfile.ZipFile(target, "w", zipfile.ZIP_DEFLATED) as made:
            for info in source.infolist():
                content = {PATCHED: changed, records[0]: record.getvalue().encode()}.get(info.filename)
                made.writestr(info, source.read(info) if content is None else content)
    return target


def gate(db: Path, words: Sequence[str]) -> tuple[int, dict[str, Any]]:
    """One gate: its exit status and its document."""
    done = subprocess.run(
        [
            sys.executable,
            "-m",
            "harness",
            "gate",
            str(SUITE),
            *words,
            "--db",
            str(db),
            "--format",
            "json",
            "-q",
        ],
        stdout=subprocess.PIPE,
        text=True,
        check=False,
    )
    if done.returncode not in (0, 1, 3) or not done.stdout.startswith("{"):
        raise RuntimeError(f"the gate {' '.join(words)} ended with status {done.returncode}")
    return done.returncode, json.loads(done.stdout)


def words_of(document: dict[str, Any]) -> Counter[str]:
    """How often each verdict was given."""
    return Counter(one["verdict"] for one in document["verdicts"])


def main() -> int:
    """Print one line for each gate."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--db", type=Path, required=True)
    parser.add_argument("--gates", type=int, default=10)
    parser.add_argument("-k", dest="expression", default="")
    parser.add_argument("--max-pairs", type=int, default=30)
    parser.add_argument("--with-suspect", action="store_true", help="count pairs that were disturbed")
    parser.add_argument("--wheel", type=Path, help="of llama-cpp-python, to be slowed down")
    parser.add_argument("--sleep-ms", type=float, default=2.0, help="in each decode call of the slow wheel")
    parser.add_argument(
        "--fewer-threads", type=int, metavar="N", help="a gate of OpenVINO with N threads in head"
    )
    arguments = parser.parse_args()
    common = ["-k", arguments.expression, "--max-pairs", str(arguments.max_pairs)]
    common += ["--with-suspect"] * arguments.with_suspect
    alarms = 0
    for number in range(arguments.gates):
        status, document = gate(arguments.db, [*common, "--same", "--seed", str(number + 1)])
        counts = words_of(document)
        alarms += status == 1
        print(f"A/A {number + 1}: status {status}; {dict(counts)}", flush=True)
    print(f"{alarms} of {arguments.gates} A/A gates fail", flush=True)
    found = True

    def slowed(framework: str, what: str, sides: Sequence[str]) -> bool:
        """One gate of a framework with a slower head: whether it fails by a regression."""
        chosen = f"{framework} and ({arguments.expression})" if arguments.expression else framework
        status, document = gate(arguments.db, ["-k", chosen, *common[2:], *sides])
        print(f"{what}: status {status}; {dict(words_of(document))}", flush=True)
        return status == 1 and "regression" in words_of(document)

    if arguments.wheel is not None:
        with tempfile.TemporaryDirectory() as folder:
            slow = patched_wheel(arguments.wheel, Path(folder), arguments.sleep_ms / 1000)
            sides = ["--base", str(arguments.wheel), "--head", str(slow)]
            found = slowed("llamacpp", f"sleep of {arguments.sleep_ms:g} ms", sides)
    if arguments.fewer_threads is not None:
        option = f"option=openvino.INFERENCE_NUM_THREADS={arguments.fewer_threads}"
        found = slowed("openvino", f"{arguments.fewer_threads} threads", ["--head", option]) and found
    return 0 if not alarms and found else 3


if __name__ == "__main__":
    sys.exit(main())
