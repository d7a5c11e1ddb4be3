"""Pages of the notebooks and the published files: the only package that writes tracked files.

May import everything but `cli`.
"""
