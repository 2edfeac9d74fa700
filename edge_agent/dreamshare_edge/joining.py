"""From a token to a device that can take part: keys, request, certificate, settings.

    DIR/
      agent.toml       settings, written once; the owner's to edit
      device.key       the identity, when the authority has answered
      device.key.pending     keys and request, while it has not

Rules:
- keys are made here and never leave; what is sent proves itself (docs/protocol.md 5.4);
- a join that was cut off is run again and goes on where it was: the same keys, the same request,
  and the authority's same answer;
- one process uses a folder; where no folder was named, the first free one of device, device-2, ...
  is taken, so that one copied line serves several shells;
- files with keys are 0600; the token is never written down, nor shown again.
"""

from __future__ import annotations

import asyncio
import contextlib
import fcntl
import json
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from itertools import count
from pathlib import Path

from dreamshare.clock import Clock, SystemClock
from dreamshare.driver.enrolling import knock
from dreamshare.errors import ConfigError
from dreamshare.settings import Scalar, settings_text
from dreamshare.transport.address import called_from
from dreamshare.transport.doors import door_to
from dreamshare_crypto.enrolment_token import Token
from dreamshare_crypto.entropy import Entropy, SystemEntropy
from dreamshare_crypto.errors import MalformedError
from dreamshare_crypto.identity import Identity
from dreamshare_edge import sample
from dreamshare_edge.certifying import Applicant, fingerprint_of
from dreamshare_edge.config import AgentConfig, LearnerConfig, load_config
from dreamshare_edge.keystore import load_identity

Print = Callable[[str], None]
"""Takes one line."""

BUNDLE = ".dream"
"""How a bundle's name ends."""

_FOLDER = "device"


@dataclass(frozen=True, slots=True)
class JoinOptions:
    """What the command line says.

    Attributes:
        folder: the device's own; None takes the first free one here.
        learner: factory of learner and data, or a bundle NAME.dream; None takes the sample learner.
        settings: for the factory.
        algorithms: what the device is willing to compute; empty takes the defaults.
        label: what the operator sees beside the device's id.
        as_json: print what happens as JSON objects, one a line.
    """

    folder: Path | None = None
    learner: str | None = None
    settings: Mapping[str, Scalar] = field(default_factory=dict)
    algorithms: tuple[str, ...] = ()
    label: str = ""
    as_json: bool = False

    @property
    def named(self) -> LearnerConfig | None:
        """The learner as settings name it: a file's path does not depend on where one stands."""
        if self.learner is None:
            return None
        if self.learner.endswith(BUNDLE):
            return LearnerConfig(bundle=Path(self.learner).absolute())
        factory = self.learner
        if ".py:" in factory:
            path, _, function = factory.rpartition(":")
            factory = f"{Path(path).absolute()}:{function}"
        return LearnerConfig(factory, dict(self.settings))


@dataclass(frozen=True, slots=True)
class Teller:
    """Prints what happens, for people or for programs."""

    show: Print
    as_json: bool

    def tell(self, event: str, words: str, fields: Mapping[str, str]) -> None:
        """Print one thing that happened."""
        self.show(json.dumps({"event": event, **fields}) if self.as_json else words)


@contextlib.contextmanager
def joined(
    text: str,
    options: JoinOptions,
    show: Print,
    clock: Clock | None = None,
    entropy: Entropy | None = None,
) -> Iterator[Path]:
    """Enrol with a token, or find that it was done; yield the settings file of the device.

    The folder belongs to this process until the end of the block.

    Raises:
        ConfigError: the token is none, or expired; a folder or a setting does not fit.
        Rejected: the authority does not certify this device, or somebody is in between.
        ParameterError: a file cannot be read or written.
    """
    try:
        token = Token.from_text(text)
    except MalformedError as error:
        raise ConfigError(str(error)) from None
    with _claimed(options.folder) as folder:
        applicant = Applicant(
            folder / "device.key", clock or SystemClock(), entropy or SystemEntropy()
        )
        if applicant.path.exists():
            _check_same(folder, token, options)
        else:
            asyncio.run(_enrol(token, applicant, options, Teller(show, options.as_json)))
        yield folder / "agent.toml"


async def _enrol(token: Token, applicant: Applicant, options: JoinOptions, teller: Teller) -> None:
    folder = applicant.path.parent
    pending = applicant.with_token(token)
    fingerprint = fingerprint_of(pending)
    teller.tell(
        "enrolling",
        f"this device's fingerprint is {fingerprint}\n(what is kept of it is in {folder})",
        {"fingerprint": fingerprint, "folder": str(folder)},
    )
    found = await knock([door_to(url) for url in token.endpoints], token.tls_hash)
    identity = await applicant.certified(
        pending,
        [found.door],
        found.welcome.tls_root,
        lambda words: teller.tell("waiting", words, {"reason": words}),
    )
    links = [called_from(link, str(found.door)) for link in found.welcome.links]
    if not links:
        raise ConfigError(f"{found.door} names no address to connect to; ask its operator")
    _write_settings(folder, links, token, identity, options)
    applicant.save(identity)
    ends = datetime.fromtimestamp(identity.certificate.not_after, UTC).date().isoformat()
    teller.tell(
        "enrolled",
        f"device {identity.id.hex()} is enrolled until {ends}",
        {"device": identity.id.hex(), "folder": str(folder)},
    )
    if options.learner is None:
        teller.tell(
            "sample",
            "no --learner was named: the device computes with made-up examples "
            f"({sample.FACTORY}); name yours in {folder / 'agent.toml'}",
            {"learner": sample.FACTORY},
        )
    elif options.learner.endswith(BUNDLE):
        settings = str(folder / "agent.toml")
        words = f"name the device's examples in the table [data] of {settings}"
        teller.tell("data-wanted", words, {"settings": settings})


def _check_same(folder: Path, token: Token, options: JoinOptions) -> None:
    """Find that the device is enrolled here already, and as what was asked for."""
    identity = load_identity(folder / "device.key")
    if identity.federation != token.federation:
        raise ConfigError(
            f"{folder} holds a device of another federation; name another folder with --dir"
        )
    if options.named is not None:
        held = load_config(folder / "agent.toml").learner
        if (held.factory, held.bundle) != (options.named.factory, options.named.bundle):
            raise ConfigError(
                f"the device in {folder} is enrolled and has another learner; edit agent.toml there"
            )


def _write_settings(
    folder: Path, links: Sequence[str], token: Token, identity: Identity, options: JoinOptions
) -> None:
    path = folder / "agent.toml"
    if path.exists():
        return
    learner = options.named
    algorithms = options.algorithms
    if learner is None:
        seed = int.from_bytes(identity.id[:4])
        learner = LearnerConfig(sample.FACTORY, {"seed": seed, **options.settings})
        algorithms = algorithms or sample.ALGORITHMS
    config = AgentConfig(
        link=links[0] if len(links) == 1 else tuple(links),
        enrol=token.endpoints,
        label=options.label,
        learner=learner,
    ).computing(algorithms)
    path.write_text(settings_text(config), encoding="utf-8")


@contextlib.contextmanager
def _claimed(folder: Path | None) -> Iterator[Path]:
    """Yield a folder that no other process uses, and keep it."""
    for place in [folder] if folder is not None else _free_names():
        try:
            place.mkdir(mode=0o700, parents=True, exist_ok=True)
            handle = os.open(place / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        except OSError as error:
            raise ConfigError(f"cannot use the folder {place}: {error.strerror}") from None
        try:
            if _lock(handle):
                yield place
                return
        finally:
            os.close(handle)
    raise ConfigError(f"another process uses {folder}; give every device a folder of its own")


def _free_names() -> Iterator[Path]:
    return (Path(_FOLDER if number == 1 else f"{_FOLDER}-{number}") for number in count(1))


def _lock(handle: int) -> bool:
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True
