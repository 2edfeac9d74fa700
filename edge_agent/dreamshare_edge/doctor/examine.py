"""An examination from the settings file on: everything is looked at, whatever was found before."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from dreamshare.clock import Clock, SystemClock
from dreamshare.errors import ConfigError, DreamshareError
from dreamshare.transport.tls import TlsFiles
from dreamshare_crypto.errors import CryptoError
from dreamshare_crypto.identity import Identity
from dreamshare_edge.conditions import LocalHour, Refreshed, conditions_of
from dreamshare_edge.config import AgentConfig, load_config
from dreamshare_edge.doctor import computing, look, reach
from dreamshare_edge.doctor.clock import last_written, look_at_clock
from dreamshare_edge.doctor.findings import Finding, Severity, error, gravest, ok
from dreamshare_edge.fleet_policy import KEPT, Signers, accepted, arrived
from dreamshare_edge.keystore import load_identity
from dreamshare_edge.sealing import Seals, place_of_kept, seals_for
from dreamshare_edge.tightening import tightened


@dataclass(frozen=True, slots=True)
class Examination:
    """What was found; the exit code is the gravest finding's."""

    findings: tuple[Finding, ...]

    @property
    def severity(self) -> Severity:
        """The gravest finding's."""
        return gravest(self.findings)

    def show(self, show: Callable[[str], None], as_json: bool) -> None:
        """Print it for people, or as one JSON object."""
        if as_json:
            findings = [each.fields() for each in self.findings]
            show(json.dumps({"severity": self.severity.name.lower(), "findings": findings}))
            return
        for each in self.findings:
            show(each.sentence)


def examine(path: Path, clock: Clock | None = None) -> Examination:
    """Look at everything that an agent with these settings needs; changes nothing."""
    return Examination(tuple(_findings(path, clock or SystemClock())))


def _findings(path: Path, clock: Clock) -> Iterator[Finding]:
    try:
        config = load_config(path)
    except ConfigError as wrong:
        advice = "`dreamshare agent config` prints every setting"
        yield error("settings", str(wrong), advice)
        return
    yield ok("settings", f"{path} is read")
    yield from look.look_at_permissions(config)
    identity = None
    try:
        identity = load_identity(config.identity)
    except (CryptoError, DreamshareError) as wrong:
        yield error("identity", str(wrong), "`dreamshare agent join TOKEN` enrols a device")
    if identity is not None:
        yield from look.look_at_certificate(identity, config.enrol, clock.now())
        yield from _reached(config, identity, clock.now())
        yield from _fleet(config, identity)
    yield from computing.look_at_computing(config)
    yield from look.look_at_room(config.store)
    yield look.look_at_anchor(config.anchor_folder)
    yield _conditions(config, clock)
    yield from look.look_at_policy(config.policy, config.algorithms)


def _reached(config: AgentConfig, identity: Identity, now: float) -> Iterator[Finding]:
    """Yield what the links say, and what all certificates together say of the clock."""
    spans = look.spans_of(identity)
    denied = False
    try:
        tls = TlsFiles.of(identity)
    except ConfigError as wrong:
        yield error("link", str(wrong), "enrol again")
    else:
        for url in config.links:
            reached = reach.look_at_link(url, tls)
            yield from reached.findings
            denied |= any(each.subject == "clock" for each in reached.findings)
            spans += [reached.shown] if reached.shown is not None else []
    if not denied:
        yield look_at_clock(now, spans, last_written(config.store))


def _conditions(config: AgentConfig, clock: Clock) -> Finding:
    source = conditions_of(config.conditions)
    if isinstance(source, Refreshed):
        source.refresh()
    return look.look_at_conditions(config.policy, LocalHour(source, clock).read())


@dataclass(frozen=True, slots=True)
class _Look:
    """What a device's store keeps, read without opening it."""

    folder: Path
    seals: Seals

    def load(self, name: str) -> bytes | None:
        path = self.folder / "kept" / name
        return self.seals.opened(place_of_kept(name), path.read_bytes()) if path.exists() else None

    def save(self, name: str, content: bytes) -> None:
        """Keep nothing: an examination changes nothing."""


def _fleet(config: AgentConfig, identity: Identity) -> Iterator[Finding]:
    signers = Signers(identity.federation, config.policy_keys(identity.authority_key))
    try:
        held = accepted(signers, _Look(config.store, seals_for(config.identity)))
        fleet = arrived(signers, held, config.fleet_policy) or held
        if fleet is None:
            return
        tightened(config.policy, fleet.policy, fleet.named)
    except (ConfigError, OSError) as wrong:
        advice = f"its owner signs another one; what was accepted before is kept as {KEPT}"
        yield error("fleet policy", str(wrong), advice)
        return
    yield ok("fleet policy", f"version {fleet.version}: {', '.join(sorted(fleet.named))}")
