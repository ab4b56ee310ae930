"""The page of the meters: its table, its commands, and its two programs, which run."""

from __future__ import annotations

import json
import re
import sys
import threading
import types
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pytest
from command_line import DOCS

from harness.declared import of_checkout
from harness.meter import Meter, MissingMeter, Sources, powercap
from harness.meter import base as meter_base
from harness.meter.domains import WHOLE
from harness.meter.energy import IDLE_DRIFT_LIMIT, LIMIT_TOLERANCE
from harness.meter.external import CHECKED_READINGS, GOODBYE_S, START_S, VARIABLE, ExternalMeter, find
from harness.meter.find import GROUP
from harness.meter.sampled import MAX_LATE_PERIODS
from harness.runner.energy import LATE_SHARE, MIN_WINDOW_S

PAGE = (DOCS / "meters.md").read_text(encoding="utf-8")
EXTERNAL, ADDED = re.findall(r"^```python\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)


def test_the_table_has_every_kind_that_is_declared() -> None:
    rows = re.findall(r"^\| `([a-z_]+)` \|", PAGE, re.MULTILINE)
    assert sorted(rows) == sorted(each.name for each in of_checkout(GROUP, DOCS.parent / "harness"))


def test_the_rules_are_the_programs() -> None:
    for text in (
        f"at least {meter_base.MIN_UPDATE_PERIODS} update periods of its meter, and at least {MIN_WINDOW_S:g} s",
        f"differ by more than {IDLE_DRIFT_LIMIT:.0%}".replace("%", " %"),
        f"limits, by more than {LIMIT_TOLERANCE:.0%}".replace("%", " %"),
        f"more than {MAX_LATE_PERIODS} periods voids",
        f"off by more than {LATE_SHARE:.0%} is refused".replace("%", " %"),
        f"mean more than {meter_base.PLAUSIBLE_WATTS:g} W",
        f"and {GOODBYE_S:g} s later `SIGKILL`",
        f"within {START_S:g} s",
    ):
        assert text in PAGE, text
    assert CHECKED_READINGS == 4
    assert "Four readings" in PAGE
    assert f"gets {', '.join(f'`{each}`' for each in WHOLE[:-1])} or `{WHOLE[-1]}`" in PAGE


def test_the_permission_fix_is_the_one_that_the_doctor_gives(tmp_path: Path) -> None:
    zone = tmp_path / "class/powercap/intel-rapl:0"
    zone.mkdir(parents=True)
    (zone / "name").write_text("package-0")
    [missing] = powercap.find(Sources(tmp_path))
    assert isinstance(missing, MissingMeter)
    command = re.search(r"sudo chmod .*energy_uj", missing.next_step)
    assert command
    assert f"      {command[0]}\n" in PAGE


class Plug(BaseHTTPRequestHandler):
    """A plug that sees 12.5 W."""

    def do_GET(self) -> None:
        assert self.path == "/rpc/Switch.GetStatus?id=0"
        body = json.dumps({"id": 0, "apower": 12.5}).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002
        del format, args


@pytest.fixture
def plug() -> Iterator[str]:
    server = HTTPServer(("127.0.0.1", 0), Plug)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield f"127.0.0.1:{server.server_port}"
    server.shutdown()
    thread.join()
    server.server_close()


def test_the_example_of_an_external_meter_is_one(plug: str, tmp_path: Path) -> None:
    program = tmp_path / "plug.py"
    program.write_text(EXTERNAL, encoding="utf-8")
    command = json.dumps([sys.executable, str(program), plug])
    [meter] = find(Sources(environment={VARIABLE: command}))
    assert isinstance(meter, ExternalMeter), meter
    assert (meter.domains, meter.method, meter.limits_watts) == (("wall",), "power", {"wall": 2500.0})
    with meter, meter.window() as window:
        threading.Event().wait(1.0)
    assert window.joules is not None, window.reason
    assert window.joules["wall"] == pytest.approx(12.5 * window.seconds, rel=0.01)


def test_the_example_of_a_meter_is_one(tmp_path: Path) -> None:
    module = types.ModuleType("acme_meter")
    exec(compile(ADDED, "acme_meter.py", "exec"), vars(module))
    [missing] = module.find(Sources(tmp_path))
    assert isinstance(missing, MissingMeter)
    assert not missing.expected
    counter = tmp_path / "class/acme/energy_mj"
    counter.parent.mkdir(parents=True)
    counter.write_text("5000\n")
    [meter] = module.find(Sources(tmp_path))
    assert isinstance(meter, Meter)
    with meter, meter.window() as window:
        counter.write_text("7500\n")
    assert window.joules == {"npu:0": 2.5}
    with meter, meter.window() as window:
        counter.write_text("1\n")
    assert window.reason == "acme: the counter of npu:0 went back (was the driver reloaded?)"
    assert (meter.min_window_s, meter.limits_watts) == (1.0, {"npu:0": 15.0})
