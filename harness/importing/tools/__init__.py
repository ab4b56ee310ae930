"""One file for each tool: how its files are recognised, read and defined. See `harness.importing.registry`."""
