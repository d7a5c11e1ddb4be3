"""Pages of the notebooks and the published files: the only package that writes tracked files.

May import everything but `cli`.
"""

import sys

# Wherever this package is found, jsonschema (below nbformat) builds a grammar of web addresses on
# import: two seconds of every command and kernel, for a check that no notebook asks for.
sys.modules.setdefault("rfc3987_syntax", None)  # type: ignore[arg-type]
