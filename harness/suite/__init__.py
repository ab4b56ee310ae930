"""Suites: what to run, as files that people write.

Owns `suites/*.yaml`: their keys, loading with line numbers, expansion to cells, selection. Imports the model list
and the worker half's declarations. Contract: `load_suite` -> `expand` -> `select` gives the cells in a fixed order,
each with an id that stays and, where it cannot run here, the reason.
"""

from __future__ import annotations

from harness.suite.auto import AutoRuns, runs_settings
from harness.suite.cell import Cell, PlannedCell, RunSettings, Workload
from harness.suite.expansion import expand
from harness.suite.loader import load_suite, parse_suite, shipped_suites, suite_models
from harness.suite.schema import DatasetCorpus, Scoring, Suite, json_schema, models_json_schema
from harness.suite.selection import select

__all__ = [
    "AutoRuns",
    "Cell",
    "DatasetCorpus",
    "PlannedCell",
    "RunSettings",
    "Scoring",
    "Suite",
    "Workload",
    "expand",
    "json_schema",
    "load_suite",
    "models_json_schema",
    "parse_suite",
    "runs_settings",
    "select",
    "shipped_suites",
    "suite_models",
]
