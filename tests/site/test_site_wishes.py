"""The page with sliders: its script chooses as the program does, and what stands in it is data."""

from __future__ import annotations

import html
import json
import random
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest

from harness.recommend import Limits, Recommendation, recommend
from harness.recommend.matrix import of_platform
from harness.recommend.wishes import OBJECTIVES, preference
from harness.site.wishes import LIMITS, wishes_block, wishes_data, wishes_script
from harness.table.metrics import ROW_KEYS
from harness.table.rows import Row

HOSTILE = "</script><img src=x onerror=alert(1)>&\"'\u202e=1+1"
PROCESSORS = {"m1": "Apple M4", "m2": "Intel Core Ultra 7", "m3": None}


def row(place: int, dice: random.Random) -> Row:
    """A row with figures, holes and marks drawn by chance."""
    values: dict[str, Any] = {
        **dict.fromkeys(ROW_KEYS),
        "framework": dice.choice(["llamacpp", "openvino", "mlx"]),
        "model": "tiny",
        "precision": "int4",
        "recipe": f"R{place}",
        "device": dice.choice(["cpu", "gpu:0.vulkan"]),
        "workload": dice.choice(["pp8+tg4", "pp32+tg16"]),
        "options": "defaults",
        "status": dice.choice(["ok"] * 9 + ["oom", "skipped"]),
        "reason": None,
        "artifact_verdict": dice.choice(["ok"] * 9 + ["broken"]),
        "emulated": dice.random() < 0.05,
        "synthetic": False,
        "validity": dice.choice(["ok", "ok", "ok", "suspect"]),
        "flags": ["steal time 9 %"],
        "runs": 3,
        "session": "s",
        "machine": dice.choice(list(PROCESSORS)),
        "framework_version": "1",
        "intervals": {},
        # Few different values, so that many are practically equal.
        "decode_tps": dice.choice([None, 20.0, 50.0, 50.5, 51.0, 100.0, 101.0]),
        "prefill_tps": dice.choice([None, 500.0, 700.0]),
        "peak_rss_bytes": dice.choice([200e6, 201e6, 400e6, 900e6]),
        "kld_mean": dice.choice([None, 0.001, 0.0015, 0.05, 0.3]),
        "energy_joules_per_decode_token": dice.choice([None, None, 0.2, 0.5]),
        "scored_positions": dice.choice([1016, 1016, 1016, 1016, 1016, 1016, 127]),
        "score_window": 512,
    }
    if values["kld_mean"] is not None and dice.random() < 0.5:
        values["intervals"] = {"kld_mean": [values["kld_mean"] * 0.9, values["kld_mean"] * 1.1]}
    basis: dict[str, dict[str, float]] = {"peak_rss_bytes": {"a": values["peak_rss_bytes"]}}
    if values["decode_tps"] is not None:
        basis["decode_tps"] = {str(one): values["decode_tps"] * (1 + 0.02 * (one - 1)) for one in range(3)}
    text = "a" * 64 if dice.random() < 0.95 else "b" * 64
    notes = {"energy_joules_per_decode_token": "no energy meter", "kld_mean": "not scored"}
    return Row(values, notes, basis=basis, corpus_sha256=text)


def rows(count: int, seed: int) -> list[Row]:
    dice = random.Random(seed)
    return [row(place, dice) for place in range(count)]


def wishes(seed: int) -> dict[str, Any]:
    """What somebody might set on the page."""
    dice = random.Random(seed)
    each = {
        "peak_rss_bytes": [200e6, 500e6],
        "decode_tps": [50.0, 60.0],
        "prefill_tps": [600.0],
        "kld_mean": [0.001, 0.1],
        "energy_joules_per_decode_token": [0.3],
    }
    order = list(OBJECTIVES.values())
    dice.shuffle(order)
    return {
        "model": "tiny",
        "device": dice.choice(["", "", "cpu"]),
        "workload": dice.choice(["", "pp8+tg4"]),
        "platform": dice.choice(["", "", "apple", "intel", "qualcomm", "cross-platform"]),
        "withSuspect": dice.random() < 0.3,
        "limits": {column: dice.choice(of) for column, of in each.items() if dice.random() < 0.3},
        "order": order,
        "weights": {column: dice.choice([0.5, 1.0, 3.0]) for column in order[: dice.randrange(1, 5)]}
        if dice.random() < 0.4
        else None,
        "machine": dice.choice(["", "", "", "m1"]),
    }


def by_program(all_rows: list[Row], wish: dict[str, Any]) -> Recommendation:
    names = {
        "peak_rss_bytes": "max_memory_bytes", "decode_tps": "min_decode_tps", "prefill_tps": "min_prefill_tps",
        "kld_mean": "max_kld", "energy_joules_per_decode_token": "max_joules_per_token",
    }  # fmt: skip
    limits = Limits(**{names[column]: limit for column, limit in wish["limits"].items()})
    words = {column: word for word, column in OBJECTIVES.items()}
    used = of_platform(all_rows, PROCESSORS, wish["platform"]) if wish["platform"] else all_rows
    used = [
        one
        for one in used
        if (not wish["device"] or one["device"] == wish["device"])
        and (not wish["workload"] or one["workload"] == wish["workload"])
        and (not wish.get("machine") or one["machine"] == wish["machine"])
    ]
    if wish["weights"]:
        weights = ",".join(f"{words[column]}={weight}" for column, weight in wish["weights"].items())
        preferred = preference(None, weights)
    else:
        preferred = preference(",".join(words[column] for column in wish["order"]), None)
    return recommend(used, limits, preferred, with_suspect=wish["withSuspect"])


def by_script(tmp_path: Path, data: dict[str, Any], each: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """What the page's script answers, under Node or under Chromium; a row is its recipe."""
    program = """
const recipe = (row) => row === null ? null : row.name.split(" ")[2];
const answers = WISHES.map((wish) => {
  const found = Wishes.recommend(DATA, wish);
  const left = (list) => list.map((one) => [recipe(one.row), one.byLimit ? "beyond a limit" : one.reason]);
  return {...found, choice: recipe(found.choice), frontier: found.frontier.map(recipe),
    possible: found.possible.map(recipe), close: found.close.map((one) => [recipe(one.row), one.share]),
    excluded: left(found.excluded), unknown: left(found.unknown)};
});
"""
    given = f"const DATA = {json.dumps(data)};\nconst WISHES = {json.dumps(each)};\n"
    node = shutil.which("node")
    if node is not None:
        file = tmp_path / "wishes.cjs"
        file.write_text(
            f"{wishes_script()}\n{given}{program}console.log(JSON.stringify(answers));", encoding="utf-8"
        )
        done = subprocess.run([node, str(file)], capture_output=True, text=True, encoding="utf-8", check=True)
        text = done.stdout
    else:
        chromium = shutil.which("chromium") or shutil.which("google-chrome")
        if chromium is None:
            pytest.skip("neither Node nor Chromium is installed")
        page = tmp_path / "wishes.html"
        page.write_text(
            f'<!doctype html><meta charset="utf-8"><pre id="out"></pre><script>{wishes_script()}\n{given}{program}'
            'document.getElementById("out").textContent = JSON.stringify(answers);</script>',
            encoding="utf-8",
        )
        command = [chromium, "--headless", "--no-sandbox", "--disable-gpu", "--dump-dom", page.as_uri()]
        done = subprocess.run(command, capture_output=True, text=True, encoding="utf-8", check=True)
        found = re.search(r'<pre id="out">(.*?)</pre>', done.stdout, re.DOTALL)
        assert found is not None, done.stdout[:500]
        text = html.unescape(found[1])
    answers: list[dict[str, Any]] = json.loads(text)
    return answers


def of_all_rows(**changes: Any) -> dict[str, Any]:
    """What somebody sets who leaves no row out."""
    everything = {"device": "", "workload": "", "platform": "", "machine": "", "limits": {}}
    return {**wishes(1), **everything, **changes}


def test_the_script_chooses_as_the_program_does_whatever_is_wished(tmp_path: Path) -> None:
    all_rows = rows(80, 1)
    each = [wishes(seed) for seed in range(60)]
    answers = by_script(tmp_path, wishes_data(all_rows, PROCESSORS), each)
    outcomes = set()
    for wish, answer in zip(each, answers, strict=True):
        found = by_program(all_rows, wish)
        choice = None if found.choice is None else found.choice["recipe"]
        assert answer["choice"] == choice, wish
        # The program writes a very small or large gain with an exponent.
        assert re.split(r"[\d.e+-]+ above", answer["decided"]) == re.split(r"[\d.e+-]+ above", found.decided)
        assert answer["columns"] == list(found.columns)
        assert dict(answer["uncounted"]) == dict(found.uncounted)
        assert answer["frontier"] == [one["recipe"] for one in found.frontier]
        assert answer["possible"] == [one["recipe"] for one in found.possible]
        assert answer["excluded"] == [
            [one.row["recipe"], "beyond a limit" if one.by_limit else one.reason] for one in found.excluded
        ]
        assert sorted(answer["unknown"]) == sorted([one.row["recipe"], one.reason] for one in found.unknown)
        # Both draw by chance, each with its own dice: 1000 times, so that 0.07 is four and a half standard errors.
        assert (answer["share"] is None) == (found.share is None)
        if found.share is not None:
            assert answer["share"] == pytest.approx(found.share, abs=0.07)
        assert (answer["noneShare"] is None) == (found.none_share is None)
        if found.none_share is not None:
            assert answer["noneShare"] == pytest.approx(found.none_share, abs=0.07)
        outcomes.add((choice, found.decided.partition(":")[0]))
    # The wishes have to differ enough to mean something.
    assert len({choice for choice, _ in outcomes}) > 5
    assert {
        "nothing is known to keep the limits and to have every figure that counts",
        "it alone keeps the limits",
        "the weighted sum",
    } <= {why for _, why in outcomes}


def test_of_what_is_practically_equal_in_everything_both_name_the_same(tmp_path: Path) -> None:
    first = rows(1, 3)[0]
    alike = {
        "status": "ok", "artifact_verdict": "ok", "emulated": False, "validity": "ok", "peak_rss_bytes": 2e8,
        "kld_mean": 0.05, "intervals": {}, "energy_joules_per_decode_token": None, "device": "cpu",
    }  # fmt: skip
    all_rows = [
        Row({**first.values, **alike, "recipe": name, "decode_tps": speed}, first.notes)
        for name, speed in (("A", 50.0), ("B", 50.5), ("C", 50.5))
    ]
    wish = of_all_rows(weights=None)
    (answer,) = by_script(tmp_path, wishes_data(all_rows, PROCESSORS), [wish])
    found = by_program(all_rows, wish)
    assert found.choice is not None
    assert (answer["choice"], answer["decided"]) == (found.choice["recipe"], found.decided)
    assert found.decided.startswith("nothing: 3 are practically equal")
    # No figure has a spread, so neither says how sure it is.
    assert answer["share"] is found.share is None


def test_where_no_limit_is_at_fault_neither_blames_the_limits(tmp_path: Path) -> None:
    first = rows(1, 3)[0]
    ill = {
        "status": "ok",
        "artifact_verdict": "ok",
        "emulated": False,
        "validity": "suspect",
        "device": "cpu",
    }
    all_rows = [Row({**first.values, **ill}, first.notes)]
    wish = of_all_rows(withSuspect=False)
    (answer,) = by_script(tmp_path, wishes_data(all_rows, PROCESSORS), [wish])
    found = by_program(all_rows, wish)
    assert answer["decided"] == found.decided == "nothing is left to choose from, whatever the limits"
    assert answer["choice"] is found.choice is None


def test_weights_weigh_what_the_program_weighs(tmp_path: Path) -> None:
    alike = {
        "status": "ok", "artifact_verdict": "ok", "emulated": False, "validity": "ok", "intervals": {},
        "device": "cpu", "peak_rss_bytes": 2e8,
    }  # fmt: skip
    first = rows(1, 3)[0]
    all_rows = [
        Row({**first.values, **alike, "recipe": name, "decode_tps": speed, "kld_mean": kld}, first.notes)
        for name, speed, kld in (("FAST", 100.0, 0.3), ("GOOD", 50.0, 0.01))
    ]
    wish = of_all_rows()
    # ln 2 of speed is worth 0.69 nats: more than 0.29, and less than five times as many.
    each = [{**wish, "weights": {"decode_tps": 1.0, "kld_mean": weight}} for weight in (1.0, 5.0)]
    answers = by_script(tmp_path, wishes_data(all_rows, PROCESSORS), each)
    assert [answer["choice"] for answer in answers] == ["FAST", "GOOD"]
    assert [answer["decided"] for answer in answers] == [by_program(all_rows, one).decided for one in each]
    assert answers[0]["decided"] == "the weighted sum: 0.403 above the next"


def test_the_script_shortens_no_limit_and_names_what_is_broken(tmp_path: Path) -> None:
    all_rows = [Row({**rows(1, 3)[0].values, "status": "ok", "artifact_verdict": "ok", "emulated": False,
                     "validity": "ok", "decode_tps": 50.0, "peak_rss_bytes": 900e6})]  # fmt: skip
    wish = of_all_rows(limits={"peak_rss_bytes": 500e6})
    data = wishes_data(all_rows, PROCESSORS)
    program = tmp_path / "one.cjs"
    node = shutil.which("node")
    if node is None:
        pytest.skip("Node is not installed")
    program.write_text(
        f"{wishes_script()}\nconst found = Wishes.recommend({json.dumps(data)}, {json.dumps(wish)});"
        "console.log(found.excluded[0].reason);",
        encoding="utf-8",
    )
    done = subprocess.run([node, str(program)], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "Memory 900 MB is above 500"


def test_what_a_database_says_is_text_in_the_page() -> None:
    hostile = [Row({**one.values, "model": HOSTILE, "recipe": HOSTILE, "device": HOSTILE}, one.notes)
               for one in rows(5, 2)]  # fmt: skip
    text = wishes_block(hostile, PROCESSORS)
    assert "<img" not in text
    assert "\u202e" not in text
    assert text.count("</script>") == 1
    data = re.search(r'<script type="application/json" id="wishes-data">(.*?)</script>', text, re.DOTALL)
    assert data is not None
    (name,) = {one["name"].partition("</script>")[1] for one in json.loads(data[1])["rows"]}
    assert name == "</script>"
    # Nor does it come back when the page reads its data.
    assert "\u202e" not in json.dumps(json.loads(data[1]), ensure_ascii=False)


def test_every_field_has_a_label_and_what_nobody_measured_has_none() -> None:
    one = rows(1, 3)[0]
    without = Row({**one.values, "energy_joules_per_decode_token": None, "decode_tps": 50.0}, one.notes)
    text = wishes_block([without], PROCESSORS, lambda made: f"cells/{made['recipe']}.html")
    fields = re.findall(r'<(?:input|select)[^>]* id="([^"]+)"', text)
    assert "limit-decode_tps" in fields
    assert "limit-energy_joules_per_decode_token" not in fields
    for name in fields:
        labelled = f'for="{name}"' in text or re.search(f'id="{name}"[^>]* aria-label=', text)
        assert labelled or f'<label><input type="checkbox" id="{name}">' in text, name
    assert "cells/R0.html" in text


def test_the_limits_are_those_of_the_program() -> None:
    every = Limits(*[1.0] * 5).of_columns()
    assert sorted(column for column, *_ in LIMITS) == sorted(every)


def test_the_script_turns_no_text_into_code_or_markup() -> None:
    script = wishes_script()
    for word in (
        "eval(",
        "Function(",
        "innerHTML",
        "outerHTML",
        "insertAdjacentHTML",
        "document.write",
        "</script",
    ):
        assert word not in script
