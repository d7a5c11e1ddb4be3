"""The compiled engine: the reference loop in Numba, held to it by tests.

Its face is `fit_compiled`, `supports` and `warm_up`; nothing outside imports deeper.
"""

from sglib.training.compiled.engine import fit_compiled, supports, warm_up

__all__ = ["fit_compiled", "supports", "warm_up"]
