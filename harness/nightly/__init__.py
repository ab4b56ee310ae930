"""The unattended night: which cells, within which time, with which versions, and what the morning is told.

Owns the choice of cells (`planner`, pure), what it is made from (`candidates`), the pace (`pace`), newest releases
(`upgrade`), the course of a night (`night`) and the morning report (`morning`). Measuring itself is the runner's.
"""
