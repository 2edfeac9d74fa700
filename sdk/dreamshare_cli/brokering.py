"""What `dreamshare broker config` does: files of a flavour, and a certificate for the broker."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from types import MappingProxyType

from dreamshare.clock import SystemClock
from dreamshare.errors import ConfigError
from dreamshare_cli.brokers.aws import aws
from dreamshare_cli.brokers.emqx import emqx
from dreamshare_cli.brokers.hivemq import hivemq
from dreamshare_cli.brokers.mosquitto import mosquitto, mosquitto_2_1
from dreamshare_cli.brokers.plan import BrokerPlan
from dreamshare_cli.federation import FederationFolder, make_folder
from dreamshare_cli.output import Output
from dreamshare_crypto.authority import Authority
from dreamshare_crypto.entropy import Entropy, SystemEntropy
from dreamshare_crypto.secretfile import replace_private
from dreamshare_crypto.tls import LOOPBACK, make_key, public_key_of

FLAVOURS: Mapping[str, Callable[[BrokerPlan], Mapping[str, str]]] = MappingProxyType(
    {
        "mosquitto": mosquitto,
        "mosquitto-2.1": mosquitto_2_1,
        "emqx": emqx,
        "aws": aws,
        "hivemq": hivemq,
    }
)
"""Name of a flavour -> its files."""


@dataclass(frozen=True, slots=True)
class BrokerOptions:
    """What the command line says."""

    flavour: str
    federation: Path
    out: Path
    at: Path | None
    hosts: tuple[str, ...]
    bind: str
    port: int
    websocket_port: int
    data: Path
    namespace: str
    seats: int
    as_json: bool


def write_config(options: BrokerOptions) -> None:
    """Write the files; raises ConfigError, ParameterError."""
    federation = FederationFolder(options.federation)
    authority = federation.load_authority()
    now = SystemClock().now()
    aggregators = authority.aggregators(now)
    if not aggregators:
        raise ConfigError(f"{options.federation} has no aggregator; enrol one first")
    out = options.out.absolute()
    plan = BrokerPlan(
        federation=authority.federation.hex(),
        aggregator=aggregators[-1].id.hex(),
        folder=PurePosixPath(options.at or out),
        data=PurePosixPath(options.data),
        bind=options.bind,
        port=options.port,
        websocket_port=options.websocket_port,
        namespace=options.namespace,
        seats=options.seats,
    )
    make_folder(out)
    files = dict(FLAVOURS[options.flavour](plan))
    for name, text in files.items():
        (out / name).write_text(text, encoding="utf-8")
    certify_broker(authority, out, options.hosts, SystemEntropy(), now)
    seats = certify_seats(authority, out, plan.seat_ids, SystemEntropy(), now)
    names = sorted([*files, *seats, "broker.key", "broker.pem", "roots.pem"])
    Output(options.as_json).show(
        {"flavour": options.flavour, "folder": str(out), "files": names},
        f"wrote {', '.join(names)} to {out}\n"
        "the broker's account must be able to read them, and nobody else broker.key"
        + ("; seats are for `dreamshare shard --seat`, one each" if seats else ""),
    )


def certify_broker(
    authority: Authority, out: Path, hosts: tuple[str, ...], entropy: Entropy, now: float
) -> None:
    """Write roots.pem and, unless they are there, broker.key and broker.pem.

    Args:
        authority: whose root the federation's parties trust.
        out: an existing folder.
        hosts: names and addresses of the broker, besides loopback.
        entropy: source of the key.
        now: seconds since 1970.

    Raises:
        ParameterError: a host is no name.
    """
    (out / "roots.pem").write_bytes(authority.tls_roots)
    if (out / "broker.key").exists() and (out / "broker.pem").exists():
        return
    key = make_key(entropy)
    names = tuple(dict.fromkeys((*LOOPBACK, *hosts)))
    chain = authority.host_leaf(names, public_key_of(key), entropy, now)
    replace_private(out / "broker.key", key.reveal())
    (out / "broker.pem").write_bytes(chain)


def certify_seats(
    authority: Authority, out: Path, seats: Sequence[str], entropy: Entropy, now: float
) -> list[str]:
    """Write a certificate with its key for each seat, unless it is there; return the files' names.

    Args:
        authority: as for `certify_broker`.
        out: an existing folder.
        seats: their hex ids.
        entropy: source of the keys.
        now: seconds since 1970.
    """
    names = [f"seat-{number}.pem" for number in range(1, len(seats) + 1)]
    for name, seat in zip(names, seats, strict=True):
        if (out / name).exists():
            continue
        key = make_key(entropy)
        own = bytes.fromhex(seat)
        chain = authority.host_leaf((), public_key_of(key), entropy, now, own)
        replace_private(out / name, chain + key.reveal())
    return names
