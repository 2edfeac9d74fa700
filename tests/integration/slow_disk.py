"""A program on a disk that takes its time: each write that must be durable takes SECONDS longer.

    python -m tests.integration.slow_disk SECONDS MODULE ARGUMENT...

Rules: the program is as it is; slow is what Python programs reach a disk by (`os.fsync`), and what
SQLite does when it commits.
"""

from __future__ import annotations

import asyncio
import os
import runpy
import sys
import time

import aiosqlite

_fsync, _commit = os.fsync, aiosqlite.Connection.commit


def slow_down(seconds: float) -> None:
    """Let every durable write of this process take so many seconds longer."""

    def fsync(place: int) -> None:
        time.sleep(seconds)
        _fsync(place)

    async def commit(connection: aiosqlite.Connection) -> None:
        await asyncio.sleep(seconds)
        await _commit(connection)

    os.fsync = fsync  # type: ignore[assignment]
    aiosqlite.Connection.commit = commit  # type: ignore[method-assign]


if __name__ == "__main__":
    slow_down(float(sys.argv[1]))
    del sys.argv[:2]
    runpy.run_module(sys.argv[0], run_name="__main__", alter_sys=True)
