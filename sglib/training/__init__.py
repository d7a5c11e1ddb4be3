"""One run: its settings, its random draws, two engines that do it, and our own recipe.

May import `models` and what lies below it.
"""
