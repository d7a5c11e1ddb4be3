"""The figures. Each function takes a tidy frame and draws it.

May import `analysis` and what lies below it.
"""
