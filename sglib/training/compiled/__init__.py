"""The compiled engine: the reference loop in Numba, held to it by tests.

Its face is `fit_compiled`, `supports` and `warm_up`; nothing outside imports deeper. May import
`training.reference`, `schedule` and `settings`, and `models.networks`.
"""

from sglib.training.compiled.engine import fit_compiled, warm_up
from sglib.training.compiled.known import supports

__all__ = ["fit_compiled", "supports", "warm_up"]
