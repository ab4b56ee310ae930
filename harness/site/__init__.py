"""The published site: static pages from a database alone, which open from a file and ask nobody for anything.

Owns the pages, their templates, style and scripts. Imports the store, the table, the explanations and the plots.
Contract: the same database gives the same bytes by the same installation; every text of a database is shown, not
obeyed; each page carries a content-security policy that lets nothing run or load but what stands in it; a figure links
to its samples, a hole has its reason.
"""
