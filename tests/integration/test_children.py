"""A test's processes end with it, also where it is killed."""

from __future__ import annotations

import asyncio
import os
import select
import signal
import sys
from pathlib import Path

import pytest

from tests.integration.children import ROOT, child
from tests.services import need

pytestmark = pytest.mark.integration

PARENT = """
import asyncio
from tests.integration.children import child

async def main():
    async with child("http.server", "--bind", "127.0.0.1", "0") as inner:
        print(inner.process.pid, flush=True)
        await inner.process.wait()

asyncio.run(main())
"""


async def test_nothing_is_left_of_a_parent_that_was_killed(tmp_path: Path) -> None:
    need("a way to tie processes to each other", "setpriv")
    path = os.pathsep.join([str(ROOT), *sys.path])
    (tmp_path / "parent.py").write_text(PARENT)
    parent = await asyncio.create_subprocess_exec(
        *(sys.executable, str(tmp_path / "parent.py")),
        stdout=asyncio.subprocess.PIPE,
        env={**os.environ, "PYTHONPATH": path},
    )
    try:
        assert parent.stdout is not None
        number = int(await parent.stdout.readline())
        grandchild = os.pidfd_open(number)
    finally:
        parent.kill()
        await parent.wait()
    try:
        over, _, _ = await asyncio.to_thread(select.select, [grandchild], [], [], 60.0)
        assert over, "its child goes on"
    finally:
        os.close(grandchild)


async def test_a_child_ends_with_its_block() -> None:
    async with child("http.server", "--bind", "127.0.0.1", "0") as running:
        assert running.process.returncode is None
    assert running.process.returncode == -signal.SIGKILL
