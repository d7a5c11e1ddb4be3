"""Files that appear under their name only when they are whole."""

import contextlib
import uuid
from collections.abc import Iterator
from pathlib import Path


@contextlib.contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """Yield a hidden name beside `path` to write to; afterwards that file takes the path's place.

    Whatever goes wrong, the old file stays as it was and nothing half-written is left. The folder
    is made if it is not there.

    Raises:
        OSError: the folder cannot be made, or the file not be put in place.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.{uuid.uuid4().hex[:8]}.tmp")
    try:
        yield temporary
        temporary.replace(path)
    finally:
        with contextlib.suppress(OSError):
            temporary.unlink(missing_ok=True)
