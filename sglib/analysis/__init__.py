"""From stored runs to tables and figures. Trains nothing.

May import `studies` and what lies below it.
"""
