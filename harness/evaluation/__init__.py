"""The process that runs lm-eval, in an environment of its own.

Its modules may import the standard library, the worker half and, inside functions, lm-eval and what it brings.
`exchange` alone is also imported by the lab half: the words that the two speak.
"""
