"""Who is on the photographs and how we get them: sets of faces, splits, augmentation.

May import `files` and `metrics`.
"""
