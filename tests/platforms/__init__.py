"""The tests of the public face where something is missing that Linux has.

    python -m tests.platforms windows [--quick] [arguments of pytest]

takes away what Windows has not, as `masks` describes, before anything of the package is imported,
and runs the tests that are named in `chosen`, or a few of them. With `here` in place of a mask
nothing is taken away, and those run that this system has the means for. A mask says nothing of what
those systems do otherwise: where that matters an imitation does the same, as far as is known.
"""
