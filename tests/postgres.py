"""A PostgreSQL of the tests' own: one cluster for a process of pytest, a database for a test.

Rules:
- it listens on loopback with a password (SCRAM), as an operator's would;
- it is started as the account `postgres` where pytest is root, because PostgreSQL refuses root;
- `kill` is SIGKILL: the next start recovers from the log. The page cache survives a killed process,
  so the tests' cluster does without fsync; nothing here shows what a power cut does.
"""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from itertools import count
from pathlib import Path

import pytest

from tests.services import free_port, give_to, need, tethered

ACCOUNT = "postgres"
PASSWORD = "only-for-tests-7fd1"
_START_S = 60.0
_NAMES = count(1)


class Cluster:
    """A PostgreSQL server in a folder of its own."""

    def __init__(self, folder: Path, postgres: Path, initdb: Path, psql: Path) -> None:
        self._folder = folder
        self._data = folder / "data"
        self._postgres = postgres
        self._psql = psql
        self._process: subprocess.Popen[bytes] | None = None
        self.port = free_port()
        secret = folder / "password"
        secret.write_text(PASSWORD)
        give_to(ACCOUNT, folder)
        give_to(ACCOUNT, secret)
        subprocess.run(
            tethered(
                (
                    *(initdb, "-D", self._data, "-U", "tester", "--auth=scram-sha-256"),
                    *(f"--pwfile={secret}", "--encoding=UTF8", "--locale=C", "--no-sync"),
                ),
                ACCOUNT,
            ),
            check=True,
            capture_output=True,
            timeout=_START_S,
            cwd=folder,
        )

    def url(self, database: str) -> str:
        """Return a database's URL, as an operator writes it."""
        return f"postgresql://tester:{PASSWORD}@127.0.0.1:{self.port}/{database}"

    def start(self) -> None:
        """Start, and return when it takes connections."""
        deadline = time.monotonic() + _START_S
        while time.monotonic() < deadline:
            log = open(self._folder / "log", "ab")  # noqa: SIM115
            settings = {
                "listen_addresses": "127.0.0.1",
                "port": self.port,
                "unix_socket_directories": "",
                "fsync": "off",
                "shared_buffers": "16MB",
                "max_connections": 60,
                "autovacuum": "off",
            }
            words = [word for name, value in settings.items() for word in ("-c", f"{name}={value}")]
            command = tethered([self._postgres, "-D", self._data, *words], ACCOUNT)
            with log:
                self._process = subprocess.Popen(command, cwd=self._folder, stdout=log, stderr=log)
            # One that was killed may leave children that hold its memory for a moment: again.
            while self._process.poll() is None and time.monotonic() < deadline:
                if self._answers():
                    return
                time.sleep(0.05)
        raise AssertionError(f"PostgreSQL did not start:\n{(self._folder / 'log').read_text()}")

    def stop(self) -> None:
        """End it in order; connections are cut."""
        self._end(signal.SIGINT)

    def kill(self) -> None:
        """End it by SIGKILL."""
        self._end(signal.SIGKILL)

    def create(self) -> str:
        """Make a new, empty database and return its URL."""
        name = f"test_{os.getpid()}_{next(_NAMES)}"
        self.execute("postgres", f"CREATE DATABASE {name}")
        return self.url(name)

    def execute(self, database: str, statement: str) -> str:
        """Run a statement beside whatever is connected; return its rows, fields joined by `|`."""
        done = subprocess.run(
            [self._psql, "-X", "-A", "-t", "-q", "-c", statement, self.url(database)],
            capture_output=True,
            text=True,
            timeout=_START_S,
            check=True,
        )
        return done.stdout.strip()

    def _answers(self) -> bool:
        try:
            return self.execute("postgres", "SELECT 1") == "1"
        except subprocess.CalledProcessError:
            return False

    def _end(self, number: signal.Signals) -> None:
        if self._process is not None:
            self._process.send_signal(number)
            self._process.wait()
            self._process = None
        deadline = time.monotonic() + _START_S
        while self._has_children() and time.monotonic() < deadline:
            time.sleep(0.01)

    def _has_children(self) -> bool:
        """Whether sessions of a killed server still run: they notice its death a moment later."""
        for process in Path("/proc").glob("[0-9]*/cwd"):
            with suppress(OSError):
                if process.readlink() == self._data:
                    return True
        return False


@pytest.fixture(scope="session")
def postgres() -> Iterator[Cluster]:
    """Return the cluster of this process of pytest; use databases of your own (`create`)."""
    with own_cluster() as cluster:
        yield cluster


@pytest.fixture
def own_postgres() -> Iterator[Cluster]:
    """Return a cluster that the test may stop and kill."""
    with own_cluster() as cluster:
        yield cluster


def new_database(request: pytest.FixtureRequest, folder: Path) -> str:
    """Return the URL of a new database of the kind `request.param`: sqlite or postgresql."""
    if request.param == "sqlite":
        return f"sqlite:///{folder / 'rounds.db'}"
    cluster = request.getfixturevalue("postgres")
    assert isinstance(cluster, Cluster)
    return cluster.create()


@contextmanager
def own_cluster() -> Iterator[Cluster]:
    """Run a cluster that the caller may stop and kill; it is gone after the block."""
    programs = need("PostgreSQL", "postgres", "initdb", "psql")
    # beside the tests' own folders, which another account cannot enter
    folder = Path(tempfile.mkdtemp(prefix="dreamshare-postgres-"))
    cluster = Cluster(folder, *programs)
    try:
        cluster.start()
        yield cluster
    finally:
        cluster.kill()
        shutil.rmtree(folder, ignore_errors=True)
