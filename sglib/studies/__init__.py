"""Many runs: the paper's numbers, tables of rows, running and storing them.

May import `training` and what lies below it.
"""
