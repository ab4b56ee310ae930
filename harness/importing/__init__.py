"""What other tools measured, into the results database: one file for each tool in `tools`, around one plain result.

`registry` finds the tools, `document` reads a file within limits, `fields` checks what is in it, `result` is what a
tool makes of it, `records` turns that into what the store keeps. Belongs to the lab half. Contract: a file is data:
nothing in it is executed or evaluated, and one that cannot be understood is refused as a whole, with the place and
the next step.
"""
