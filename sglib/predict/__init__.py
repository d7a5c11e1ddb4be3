"""From anyone's pictures to answers.

May import `files` and, for the model files, `models`; no study.
"""
