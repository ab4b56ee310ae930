"""Plots of stored figures, by Vega-Altair.

`palette` holds the colours and marks that every plot shares, `roofline` one plot's data and chart, `save` the formats.
Altair and vl-convert are imported inside functions: nobody who does not plot waits for them. Contract: a plot's data is
plain and tested without drawing; axes name their units; suspect figures look different from others.
"""
