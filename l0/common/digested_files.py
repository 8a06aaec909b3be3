"""Files that know their digest while they are written."""

from __future__ import annotations

import hashlib
from typing import IO, Any


class DigestedFile:
    """A file that counts its bytes and computes their SHA-256 digest while it is written.

    Arrow writes to it through `pyarrow.PythonFile`.

    Parameters
    ----------
    file : binary file, optional
        Where the bytes go. Without it, there is nothing but their digest.

    Attributes
    ----------
    digest : hash object
    written : int
        The number of bytes.

    Examples
    --------
    >>> from l0.common.digested_files import DigestedFile
    >>> file = DigestedFile()
    >>> file.write(b"abc")
    3
    >>> file.digest.hexdigest()[:8]
    'ba7816bf'
    """

    closed = False

    def __init__(self, file: IO[bytes] | None = None) -> None:
        self._file = file
        self.digest, self.written = hashlib.sha256(), 0

    def write(self, content: Any) -> int:
        """Write bytes, or any object with a buffer."""
        self.digest.update(content)
        if self._file is not None:
            self._file.write(content)
        length = memoryview(content).nbytes
        self.written += length
        return length

    def tell(self) -> int:
        """Return the number of bytes so far."""
        return self.written

    def flush(self) -> None:
        """Do nothing: who has the file flushes it."""

    def close(self) -> None:
        """Do nothing: who has the file closes it."""
