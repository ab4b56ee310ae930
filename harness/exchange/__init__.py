"""Taking results from one database to another: merging, exporting, and importing what was exported.

Owns the form in which a row travels between databases (`shape`, `values`), reading and writing it in bulk, what a
part of a database has to bring along, and the formats of `edgebench export`. Imports the store; the command line and
`edgebench import` call it. Contract: nothing is ever lost or changed on the way, sources are only read, and no
table is held in memory.
"""
