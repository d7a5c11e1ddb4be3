"""Networks by name, what an ensemble of them answers, and files of their weights.

May import `data` and what lies below it.
"""
