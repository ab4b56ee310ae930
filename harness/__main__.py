"""``python -m harness``: the same as the ``edgebench`` command."""

from harness.cli import main

main()
