"""Networks by name, what an ensemble of them answers, and files of their weights.

May import `data` and what lies below it.
"""

HEADS = ("sigmoid", "logit")  # what follows the last layer: the paper's sigmoid, or nothing
SCALINGS = ("unit", "symmetric")  # of the pixels: to [0, 1] or to [-1, 1]
