"""A Mosquitto of the tests' own, with the configuration that `dreamshare broker config` writes.

Rules:
- one broker for a module (`mosquitto`), or for a test that stops and kills it (`own_mosquitto`);
- it listens on free ports of loopback: TLS, websockets over TLS, and one in clear;
- its certificates are those of a federation whose authority the test holds.
"""

from __future__ import annotations

import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import count
from pathlib import Path, PurePosixPath
from typing import TypeVar

import pytest

from dreamshare.transport.tls import TlsFiles
from dreamshare_cli.brokering import certify_broker, certify_seats
from dreamshare_cli.brokers.mosquitto import mosquitto as files_of
from dreamshare_cli.brokers.plan import BrokerPlan
from dreamshare_cli.exits import Exit
from dreamshare_cli.federation import FederationFolder
from dreamshare_crypto.authority import Authority
from dreamshare_crypto.certificates import Role
from dreamshare_crypto.entropy import SeededEntropy
from dreamshare_crypto.identity import Identity
from tests.services import free_port, give_to, need, tethered

ACCOUNT = "mosquitto"
_START_S = 30.0
_NAMES = count(1)

S = TypeVar("S", bound="Server")


class Server:
    """A Mosquitto with a configuration in a folder."""

    def __init__(self, folder: Path, program: Path, ports: tuple[int, ...]) -> None:
        self._folder = folder
        self._program = program
        self._ports = ports
        self._process: subprocess.Popen[bytes] | None = None
        for path in (folder, *folder.iterdir()):
            give_to(ACCOUNT, path)

    @property
    def log(self) -> str:
        """What it has said so far."""
        return (self._folder / "log").read_text(errors="replace")

    def change(self, setting: str, value: str) -> None:
        """Change a setting of its configuration, for the next start."""
        path = self._folder / "mosquitto.conf"
        lines = path.read_text().splitlines()
        changed = [
            f"{setting} {value}" if each.startswith(f"{setting} ") else each for each in lines
        ]
        path.write_text("\n".join(changed) + "\n")

    def start(self) -> None:
        """Start, and return when every listener takes connections."""
        command = tethered([self._program, "-c", self._folder / "mosquitto.conf"], ACCOUNT)
        with open(self._folder / "log", "ab") as log:
            self._process = subprocess.Popen(command, cwd=self._folder, stdout=log, stderr=log)
        deadline = time.monotonic() + _START_S
        for port in self._ports:
            while not _takes_connections(port):
                if self._process.poll() is not None or time.monotonic() > deadline:
                    raise AssertionError(f"Mosquitto did not start:\n{self.log}")
                time.sleep(0.02)

    def stop(self) -> None:
        """End it in order; sessions are written down."""
        self._end(signal.SIGTERM)

    def kill(self) -> None:
        """End it by SIGKILL."""
        self._end(signal.SIGKILL)

    def save(self) -> None:
        """Let it write down what a kill is to leave, and return when it has."""
        if self._process is None:
            raise AssertionError("only a broker that runs can save")
        path = self._folder / "mosquitto.db"
        path.unlink(missing_ok=True)
        self._process.send_signal(signal.SIGUSR1)
        deadline = time.monotonic() + _START_S
        while not path.exists():
            if time.monotonic() > deadline:
                raise AssertionError(f"Mosquitto saved nothing:\n{self.log}")
            time.sleep(0.02)

    def _end(self, number: signal.Signals) -> None:
        if self._process is not None:
            self._process.send_signal(number)
            self._process.wait()
            self._process = None


class Configured(Server):
    """A Mosquitto that `dreamshare broker config` has configured, for TLS alone."""

    def __init__(self, folder: Path, program: Path, port: int) -> None:
        super().__init__(folder, program, (port,))
        self.url = f"mqtts://127.0.0.1:{port}"


class Broker(Server):
    """A Mosquitto in a folder of its own, and the federation that it serves."""

    def __init__(self, folder: Path, program: Path) -> None:
        self._entropy = SeededEntropy(b"mosquitto")
        self.now = time.time()
        self.authority = Authority.create(b"federation-mqtt1", self._entropy, self.now)
        self.aggregator = self.authority.issue(
            Role.AGGREGATOR, "aggregator", self._entropy, self.now
        )
        self.plan = BrokerPlan(
            federation=self.authority.federation.hex(),
            aggregator=self.aggregator.id.hex(),
            folder=PurePosixPath(folder),
            data=PurePosixPath(folder),
            bind="127.0.0.1",
            port=free_port(),
            websocket_port=free_port(),
            plain_port=free_port(),
            seats=2,
        )
        certify_broker(self.authority, folder, (), self._entropy, self.now)
        names = certify_seats(self.authority, folder, self.plan.seat_ids, self._entropy, self.now)
        self.seats = tuple((folder / name).read_bytes() for name in names)
        for name, text in files_of(self.plan).items():
            (folder / name).write_text(text)
        plan = self.plan
        super().__init__(folder, program, (plan.port, plan.websocket_port, plan.plain_port))

    @property
    def federation(self) -> str:
        """Hex id of the federation."""
        return self.plan.federation

    @property
    def url(self) -> str:
        """MQTT over TLS."""
        return f"mqtts://127.0.0.1:{self.plan.port}"

    @property
    def websocket_url(self) -> str:
        """MQTT over websockets over TLS."""
        return f"wss://127.0.0.1:{self.plan.websocket_port}/mqtt"

    @property
    def plain_url(self) -> str:
        """MQTT in clear."""
        return f"mqtt://127.0.0.1:{self.plan.plain_port}"

    def seat(self, number: int) -> TlsFiles:
        """Return the certificate of a shard's seat, 0 or 1."""
        return TlsFiles(self.seats[number], self.seats[number], self.authority.tls_roots)

    def device(self) -> Identity:
        """Return the identity of a new device."""
        return self.issue(Role.DEVICE)

    def issue(self, role: Role) -> Identity:
        """Return the identity of a new party."""
        name = f"{role.name.lower()} {next(_NAMES)}"
        return self.authority.issue(role, name, self._entropy, self.now)


def _takes_connections(port: int) -> bool:
    try:
        socket.create_connection(("127.0.0.1", port), timeout=1).close()
    except OSError:
        return False
    return True


@pytest.fixture(scope="module")
def mosquitto() -> Iterator[Broker]:
    """Return a broker for the whole module; use parties of your own."""
    with _broker() as broker:
        yield broker


@pytest.fixture
def own_mosquitto() -> Iterator[Broker]:
    """Return a broker that the test may stop and kill."""
    with _broker() as broker:
        yield broker


@contextmanager
def configured(federation: FederationFolder) -> Iterator[Configured]:
    """Run the broker that the command configures for a federation's folder."""
    from dreamshare_cli.command import execute  # the whole command, for the tests that want it

    with _folder() as (folder, program):
        port = free_port()
        words = ("broker", "config", "--out", str(folder), "--federation", str(federation.folder))
        ports = ("--port", str(port), "--websocket-port", "0", "--bind", "127.0.0.1")
        assert execute([*words, *ports, "--data", str(folder)]) == Exit.OK
        with _running(Configured(folder, program, port)) as broker:
            yield broker


@contextmanager
def _broker() -> Iterator[Broker]:
    with _folder() as (folder, program), _running(Broker(folder, program)) as broker:
        yield broker


@contextmanager
def _folder() -> Iterator[tuple[Path, Path]]:
    (program,) = need("Mosquitto", "mosquitto")
    # beside the tests' own folders, which another account cannot enter
    folder = Path(tempfile.mkdtemp(prefix="dreamshare-mosquitto-"))
    try:
        yield folder, program
    finally:
        shutil.rmtree(folder, ignore_errors=True)


@contextmanager
def _running(broker: S) -> Iterator[S]:
    try:
        broker.start()
        yield broker
    finally:
        broker.kill()
