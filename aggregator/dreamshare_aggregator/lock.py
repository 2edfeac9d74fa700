"""One aggregator per database file, and a file that nobody else reads.

Rules:
- the lock is the operating system's (flock), so a killed aggregator leaves none behind;
- the database is created with mode 0600 before SQLite sees it; SQLite gives its companions
  (-wal, -shm) the same mode.
"""

from __future__ import annotations

import fcntl
import os
from pathlib import Path

from dreamshare.errors import ConfigError


class DatabaseLock:
    """The right to use a database; `path` None is one in memory, which needs none."""

    def __init__(self, path: str | None) -> None:
        self._path = None if path in (None, "", ":memory:") else Path(str(path))
        self._handle: int | None = None

    def take(self) -> bool:
        """Take the lock; creates the database's file where there is none.

        Returns:
            Whether it is held now; False where another aggregator has it.

        Raises:
            ConfigError: the file cannot be made.
        """
        if self._path is None or self._handle is not None:
            return True
        try:
            os.close(os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600))
            self._handle = os.open(
                f"{self._path}.lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600
            )
            fcntl.flock(self._handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            self.give()
            return False
        except OSError as error:
            self.give()
            raise ConfigError(f"cannot open the database {self._path}: {error.strerror}") from None
        return True

    def give(self) -> None:
        """Give the lock back; idempotent."""
        if self._handle is not None:
            os.close(self._handle)
            self._handle = None
