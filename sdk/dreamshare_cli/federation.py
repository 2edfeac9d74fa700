"""A federation's folder for development: an authority, an aggregator, an operator, and devices.

    federation/
      federation.toml    the link and the folder's rules
      authority.key      signs certificates; in production it is kept far from the aggregator
      aggregator.key     identity of the aggregator
      operator.key       identity that may start and cancel tasks
      sample.toml        settings of a task to try: `dreamshare up` writes them
      enrolment/         requests that wait, decisions, the newest revocation list
      devices/NAME/      device.key and agent.toml of each device that was enrolled here

Rules:
- every key is made here, on one machine: good for trying and for tests. A real device makes its
  own keys and enrols with a token (docs/protocol.md 5.3), and whoever runs both authority and
  aggregator could invent devices (15.1);
- files with keys are written with mode 0600, atomically.
"""

from __future__ import annotations

import fcntl
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from dreamshare.clock import Clock, SystemClock
from dreamshare.errors import ConfigError
from dreamshare.settings import load_settings, setting, settings_text
from dreamshare.transport.address import grpcs, host_and_port
from dreamshare_crypto.authority import Authority
from dreamshare_crypto.authority_records import Issued
from dreamshare_crypto.certificates import Role
from dreamshare_crypto.entropy import Entropy, SystemEntropy
from dreamshare_crypto.identity import Identity

DEFAULT_FOLDER = Path("federation")
DEFAULT_LINK = "grpcs://127.0.0.1:7443"
DEFAULT_ENROL = "grpcs://127.0.0.1:7444"


@dataclass(frozen=True, slots=True)
class FederationConfig:
    """federation.toml."""

    link: str = setting("Where the aggregator listens: grpcs://host:port.", default=DEFAULT_LINK)
    enrol: str = setting("Where devices enrol: grpcs://host:port.", default=DEFAULT_ENROL)


@dataclass(frozen=True, slots=True)
class FederationFolder:
    """Paths of a development federation, and what can be done in it."""

    folder: Path

    @property
    def settings(self) -> Path:
        """federation.toml."""
        return self.folder / "federation.toml"

    @property
    def authority(self) -> Path:
        """The authority's file."""
        return self.folder / "authority.key"

    @property
    def aggregator(self) -> Path:
        """The aggregator's identity."""
        return self.folder / "aggregator.key"

    @property
    def enrolment(self) -> Path:
        """The folder of waiting requests, decisions and the revocation list."""
        return self.folder / "enrolment"

    @property
    def operator(self) -> Path:
        """The identity of the operator that came with the federation."""
        return self.folder / "operator.key"

    @property
    def sample(self) -> Path:
        """Settings of a task that devices without a learner of their own take part in."""
        return self.folder / "sample.toml"

    def exists(self) -> bool:
        """Whether a federation was made here."""
        return self.authority.exists()

    def create(
        self,
        link: str = DEFAULT_LINK,
        entropy: Entropy | None = None,
        now: float | None = None,
    ) -> None:
        """Make authority, aggregator and operator.

        Args:
            link: where the aggregator will listen; its host goes into the TLS certificate.
            entropy: of all keys; the system's by default.
            now: seconds since 1970; the present by default.

        Raises:
            ConfigError: there is a federation already, the link is none, or the folder cannot be
                written.
        """
        if self.exists():
            raise ConfigError(f"{self.folder} holds a federation already; choose another folder")
        host = host_and_port(link)[0]
        make_folder(self.folder)
        entropy, now = entropy or SystemEntropy(), SystemClock().now() if now is None else now
        authority = Authority.create(entropy.draw(16), entropy, now)
        aggregator = authority.issue(Role.AGGREGATOR, "aggregator", entropy, now, (host,))
        operator = authority.issue(Role.OPERATOR, "operator", entropy, now)
        self.set_links(link, enrol_beside(link))
        aggregator.save(self.aggregator)
        operator.save(self.operator)
        authority.save(self.authority)

    def link(self) -> str:
        """Return the link that devices and operators use; raises ConfigError."""
        return load_settings(FederationConfig, self.settings).link

    def enrol(self) -> str:
        """Return where devices enrol; raises ConfigError."""
        return load_settings(FederationConfig, self.settings).enrol

    def set_links(self, link: str, enrol: str) -> None:
        """Write where devices and operators connect and where devices enrol, from now on."""
        text = settings_text(FederationConfig(link, enrol))
        self.settings.write_text(text, encoding="utf-8")

    def load_authority(self) -> Authority:
        """Return the authority; raises ConfigError where there is none, ParameterError."""
        if not self.exists():
            raise ConfigError(
                f"there is no federation in {self.folder}; make one with `dreamshare up` or "
                "`dreamshare enrol authority`"
            )
        return Authority.load(self.authority)

    @contextmanager
    def locked(self) -> Iterator[Authority]:
        """Yield the authority while no other process changes it; whoever changes it saves it.

        Raises:
            ConfigError: there is no federation.
            ParameterError: its file is damaged, or others may read it.
        """
        self.load_authority()  # says what is wrong before there is a lock file
        with (self.folder / "authority.lock").open("w") as file:
            fcntl.flock(file, fcntl.LOCK_EX)
            authority = self.load_authority()
            yield authority

    def issue(
        self,
        role: Role,
        name: str,
        path: Path,
        clock: Clock | None = None,
        entropy: Entropy | None = None,
    ) -> Identity:
        """Make a party's identity, write it to `path`, and record it with the authority.

        Raises:
            ConfigError: there is no federation, or the file exists.
            ParameterError: the name is taken.
        """
        with self.locked() as authority:
            if path.exists():
                raise ConfigError(f"{path} exists; an identity is never overwritten")
            now = (clock or SystemClock()).now()
            identity = authority.issue(role, name, entropy or SystemEntropy(), now)
            authority.save(self.authority)
        make_folder(path.parent)
        identity.save(path)
        return identity

    def device(self, name: str) -> Path:
        """Return the folder of a device."""
        return self.folder / "devices" / name

    def issued(self) -> tuple[Issued, ...]:
        """Return every certificate that was given out."""
        return self.load_authority().issued


def enrol_beside(link: str) -> str:
    """Return where devices enrol when the aggregator listens on `link`: any free port of its host.

    The default link has a default beside it, so that what was printed once can be called again.
    """
    return DEFAULT_ENROL if link == DEFAULT_LINK else grpcs(host_and_port(link)[0], 0)


def make_folder(folder: Path) -> None:
    """Make a folder that only its owner reads; raises ConfigError."""
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    except OSError as error:
        raise ConfigError(f"cannot make the folder {folder}: {error.strerror}") from None
