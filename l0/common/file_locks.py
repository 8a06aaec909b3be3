"""A lock on a file, which ends with the process that holds it, however that ends."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import IO, Any

if sys.platform == "win32":
    import msvcrt
else:
    import fcntl


def hold_lock(path: Path) -> IO[Any] | None:
    """Lock a file, which is made if there is none.

    Parameters
    ----------
    path : Path

    Returns
    -------
    file or None
        The lock holds until this file is closed. None if another one holds it: of another process,
        or of this one.

    Examples
    --------
    >>> from pathlib import Path
    >>> from tempfile import TemporaryDirectory
    >>> from l0.common.file_locks import hold_lock
    >>> with TemporaryDirectory() as folder:
    ...     with hold_lock(Path(folder, "lock")):
    ...         print(hold_lock(Path(folder, "lock")))
    None
    """
    file = path.open("a+b")
    try:
        if sys.platform == "win32":
            msvcrt.locking(file.fileno(), msvcrt.LK_NBLCK, 1)
        else:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except (BlockingIOError, PermissionError):
        file.close()
        return None
    except OSError:
        file.close()
        raise
    return file
