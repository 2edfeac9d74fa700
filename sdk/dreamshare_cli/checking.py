"""What `dreamshare up --check` does: all that a start needs is looked at, and left alone.

Rules:
- it may run beside the aggregator, whose own ports then count as its own;
- what keeps a start from succeeding is `wrong`; what a person should know is a note;
- nothing is made, migrated or written, and nothing is shown that is secret.

Object with `--json`:
    {"event": "checked", "wrong": [], "notes": ["…"], "until": 1795212345, "running": false}
"""

from __future__ import annotations

import asyncio
import os
import ssl
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from importlib.util import find_spec
from pathlib import Path

from dreamshare.clock import SystemClock
from dreamshare.errors import DreamshareError
from dreamshare.transport.address import EVERYWHERE, host_and_port
from dreamshare.transport.tls import TlsFiles
from dreamshare.transport.ways import MQTT_SCHEMES, listener_at
from dreamshare_aggregator.backends import backend_of
from dreamshare_aggregator.checkup import version_in
from dreamshare_aggregator.config import AggregatorConfig
from dreamshare_aggregator.database import StoreSettings
from dreamshare_aggregator.enrolment.revocations import newest
from dreamshare_aggregator.placed import PlacedConfig
from dreamshare_aggregator.schema import VERSION
from dreamshare_aggregator.web.settings import WebConfig
from dreamshare_cli.exits import Exit
from dreamshare_cli.output import Output
from dreamshare_cli.probing import answers, names_in, port_state
from dreamshare_crypto.certificates import Role
from dreamshare_crypto.errors import CryptoError
from dreamshare_crypto.identity import Identity

_DAY_S = 86_400.0
_PATIENCE_S = 10.0


@dataclass(slots=True)
class Findings:
    """What was found so far.

    Attributes:
        wrong: what keeps a start from succeeding.
        notes: what a person should know.
        until: when the aggregator's certificate ends, seconds since 1970; 0 where there is none.
        running: whether this very aggregator answers at one of its ports.
    """

    wrong: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    until: float = 0.0
    running: bool = False

    def fields(self) -> dict[str, object]:
        """Return what programs read."""
        return {
            "event": "checked",
            "wrong": self.wrong,
            "notes": self.notes,
            "until": self.until,
            "running": self.running,
        }

    def text(self) -> str:
        """Return what people read."""
        lines = [f"note: {line}" for line in self.notes]
        lines += [f"WRONG: {line}" for line in self.wrong]
        return "\n".join(lines or ["nothing to say"]) + ("" if self.wrong else "\nready to start")


def check_up(config: AggregatorConfig, output: Output) -> Exit:
    """Look at everything, print what was found; USAGE where something is wrong."""
    findings = Findings()
    identity = _identity(config, findings)
    if identity is not None:
        _listeners(config, identity, findings)
        _names(config, identity, findings)
        _placed(config.placed_shards, identity, findings)
    _page(config.web, findings)
    _database(config, findings)
    _surroundings(config, findings)
    output.show(findings.fields(), findings.text())
    return Exit.USAGE if findings.wrong else Exit.OK


def _identity(config: AggregatorConfig, findings: Findings) -> Identity | None:
    try:
        identity = Identity.load(config.identity)
        TlsFiles.of(identity)
    except (CryptoError, DreamshareError) as error:
        findings.wrong.append(str(error))
        return None
    now, held = SystemClock().now(), identity.certificate
    findings.until = held.not_after
    if held.role != Role.AGGREGATOR:
        findings.wrong.append(f"{config.identity} is a {held.role.name.lower()}'s, no aggregator's")
    ends = datetime.fromtimestamp(held.not_after, UTC).date().isoformat()
    if not held.not_before <= now <= held.not_after:
        findings.wrong.append(
            f"the certificate in {config.identity} ended, or begins later: {ends}"
        )
    elif held.not_after - now < (held.not_after - held.not_before) / 3:
        left = int((held.not_after - now) / _DAY_S)
        findings.notes.append(
            f"the certificate ends in {left} days; `dreamshare enrol renew --identity "
            f"{config.identity} --via {(config.enrol or ('grpcs://HOST:PORT',))[0]}`, then restart"
        )
    else:
        findings.notes.append(f"the certificate is good until {ends}")
    lists = newest(identity, config.enrolment / "revocations", now).revocations
    if lists.next_update < now:
        findings.notes.append(
            "the revocation list is stale, devices will refuse offers: sign the next one with "
            "`dreamshare enrol revocations`"
        )
    return identity


def _listeners(config: AggregatorConfig, identity: Identity, findings: Findings) -> None:
    for url in (*config.listen, *config.enrol):
        try:
            if url.startswith(MQTT_SCHEMES):
                listener_at(url, identity)
                if not answers(url, _PATIENCE_S):
                    findings.notes.append(f"nobody answers at {url}; the aggregator goes on asking")
                continue
            host, port = host_and_port(url)
            if url in config.listen:
                listener_at(url, identity)
        except DreamshareError as error:
            findings.wrong.append(str(error))
            continue
        state = port_state(host, port, identity.tls.roots_pem, identity.id.hex())
        _say_port(url, state, findings)


def _say_port(url: str, state: str, findings: Findings) -> None:
    if state == "own":
        findings.running = True
        findings.notes.append(f"this aggregator is running: it answers at {url}")
    elif state != "free":
        findings.wrong.append(f"cannot listen on {url}: {state}")


def _placed(placed: PlacedConfig, identity: Identity, findings: Findings) -> None:
    """Look at what placed shards need here; of a cluster's machines nothing is known."""
    if placed.engine == "ray":
        if placed.count and find_spec("ray") is None:
            findings.wrong.append("placed_shards.engine 'ray' needs pip install 'dreamshare[ray]'")
        return
    for url in placed.links:
        host, port = host_and_port(url)
        _say_port(url, port_state(host, port, identity.tls.roots_pem, identity.id.hex()), findings)


def _names(config: AggregatorConfig, identity: Identity, findings: Findings) -> None:
    """Find the hosts that devices are told and the certificate does not name."""
    told = (*(config.enrol_links or config.listen), *config.placed_shards.links[:1])
    hosts = {host_and_port(url)[0] for url in told if url.startswith("grpcs://")}
    names = names_in(identity.tls.chain_pem)
    for host in sorted(hosts - set(names) - set(EVERYWHERE)):
        findings.wrong.append(
            f"devices are told to call {host}, and the certificate is for {', '.join(names)}; "
            "enrol the aggregator with --host, or change enrol_links"
        )


def _page(web: WebConfig, findings: Findings) -> None:
    if web.listen is None:
        return
    if web.certificate is not None:
        try:
            ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER).load_cert_chain(
                web.certificate, web.private_key
            )
        except (OSError, ssl.SSLError) as error:
            findings.wrong.append(f"web.certificate and web.private_key cannot be used: {error}")
    for path in (web.viewer_token, web.operator_token):
        if path is not None and path.exists() and path.stat().st_mode & 0o077:
            findings.wrong.append(f"{path} can be read by others; chmod 600 {path}")
        elif path is not None and not path.exists():
            _makeable(path, "a start makes the page's token", findings)
    state = port_state(web.host, web.port)
    if state != "free" and not findings.running:
        findings.wrong.append(f"cannot listen on {web.listen}: {state}")


def _database(config: AggregatorConfig, findings: Findings) -> None:
    settings = StoreSettings(config.lease_s, _PATIENCE_S, config.artefacts)
    try:
        backend = backend_of(config.store)
        if backend.path is not None and not backend.path.exists():
            _makeable(backend.path, "a start makes the database", findings)
            return
        version = asyncio.run(version_in(config.store, settings))
    except (DreamshareError, OSError) as error:
        findings.wrong.append(str(error))
        return
    if version > VERSION:
        findings.wrong.append(
            f"the database {backend.name} has version {version}, this program knows {VERSION}: "
            "use the release that wrote it, or a later one"
        )
    elif 0 < version < VERSION:
        findings.notes.append(
            f"a start brings the database from version {version} to {VERSION}: back it up first"
        )


def _surroundings(config: AggregatorConfig, findings: Findings) -> None:
    folders: Sequence[tuple[Path | None, str]] = (
        (config.enrolment, "a start makes the enrolment folder"),
        (config.artefacts, "a start makes the folder of large values"),
        (config.evidence, "evidence against devices goes into the folder"),
    )
    for folder, what in folders:
        if folder is not None and not folder.exists():
            _makeable(folder, what, findings)
        elif folder is not None and not os.access(folder, os.R_OK | os.W_OK | os.X_OK):
            findings.wrong.append(f"{folder} cannot be read and written by this account")
    if config.capture is not None:
        findings.notes.append(f"everything that is received will be written to {config.capture}")
    if config.otlp_endpoint is not None and find_spec("opentelemetry.sdk") is None:
        findings.wrong.append("otlp_endpoint needs pip install 'dreamshare[otel]'")


def _makeable(path: Path, what: str, findings: Findings) -> None:
    """Find whether `path` could be made: the nearest folder that exists can be written."""
    parent = next(folder for folder in path.absolute().parents if folder.exists())
    if parent != path.absolute().parent and path.suffix:
        findings.wrong.append(f"{path} cannot be made: there is no folder {path.parent}")
    elif not os.access(parent, os.W_OK | os.X_OK):
        findings.wrong.append(f"{path} cannot be made: {parent} cannot be written by this account")
    else:
        findings.notes.append(f"{what} {path}")
