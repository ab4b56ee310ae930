"""A laboratory that never was: machines, cells, releases and years of nights, for databases of any size.

`world` owns what is so on every night and the steps that were put in, `nights` what each night measured, as batches
for `Store.import_rows`. Seeded: the same arguments give the same rows. Nothing here was measured.
"""
