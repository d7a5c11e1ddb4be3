"""The one exception class for mistakes a user can make and mend."""


class SglibError(Exception):
    """Bad input or a missing file; the message is one line that says what was expected.

    The command line prints the message without a traceback.
    """
