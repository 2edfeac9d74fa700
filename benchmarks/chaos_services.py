"""What a run of `benchmarks.chaos` starts and kills: processes, a broker, a database."""

from __future__ import annotations

import shutil
import signal
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from benchmarks.roads import lay_out

from dreamshare_cli.federation import FederationFolder
from dreamshare_crypto.identity import Identity
from tests.postgres import Cluster, own_cluster
from tests.services import tethered

_ACCOUNT = "mosquitto"


class Part(Protocol):
    """Something that can be killed and started again."""

    @property
    def name(self) -> str:
        """Which kind it is."""
        ...

    @property
    def ended(self) -> bool:
        """Whether it ended by itself."""
        ...

    def start(self) -> None:
        """Start its next life."""
        ...

    def kill(self) -> None:
        """SIGKILL, at once."""
        ...


@dataclass
class Process:
    """One process; LIFE in its command is the number of its life."""

    name: str
    command: tuple[str, ...]
    log: Path
    life: int = 0
    process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        command = [word.replace("LIFE", str(self.life)) for word in self.command]
        self.life += 1
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(command, stdout=log, stderr=log)

    def kill(self) -> None:
        if self.process is not None:
            self.process.kill()
            self.process.wait()

    def signal(self, number: signal.Signals) -> None:
        """Send it a signal, where it runs."""
        if self.process is not None:
            self.process.send_signal(number)

    @property
    def ended(self) -> bool:
        return self.process is not None and self.process.poll() is not None


class Database:
    """A PostgreSQL of the run's own; started when it is made."""

    name = "database"
    ended = False

    def __init__(self, cluster: Cluster) -> None:
        self._cluster = cluster
        self._runs = True

    def start(self) -> None:
        if not self._runs:
            self._cluster.start()
            self._runs = True

    def kill(self) -> None:
        self._cluster.kill()
        self._runs = False


@contextmanager
def broker(home: Path, port: int) -> Iterator[Process]:
    """Lay out a Mosquitto for the federation of a run; its files go with the block."""
    place = Path(tempfile.mkdtemp(prefix="dreamshare-mosquitto-"))
    try:
        federation = FederationFolder(home / "federation")
        lay_out(place, port, Identity.load(home / "aggregator.key"), federation)
        command = tethered(["mosquitto", "-c", place / "mosquitto.conf"], _ACCOUNT)
        yield Process("broker", tuple(command), home / "broker.log")
    finally:
        shutil.rmtree(place, ignore_errors=True)


@contextmanager
def database() -> Iterator[tuple[Database, str]]:
    """Run a PostgreSQL; give it and the URL of a new database in it."""
    with own_cluster() as cluster:
        yield Database(cluster), cluster.create()
