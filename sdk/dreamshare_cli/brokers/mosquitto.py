"""Mosquitto 2.0, as Debian has it, and 2.1, which reads access lists through a plugin."""

from __future__ import annotations

from collections.abc import Mapping

from dreamshare_cli.brokers.plan import (
    MOST_PACKET,
    UNTESTED,
    BrokerPlan,
    aggregator_rights,
    party_rights,
    seat_rights,
)

_PLUGIN = "/usr/lib/mosquitto_acl_file.so"


def mosquitto(plan: BrokerPlan) -> Mapping[str, str]:
    """Return the files for Mosquitto 2.0: tested against 2.0.11 and hostile clients."""
    head = ["# Mosquitto 2.0 for one Dreamshare federation (docs/mqtt.md)."]
    access = [f"acl_file {plan.folder}/dreamshare.acl"]
    return {"mosquitto.conf": _config(plan, head, access), "dreamshare.acl": _access(plan)}


def mosquitto_2_1(plan: BrokerPlan) -> Mapping[str, str]:
    """Return the files for Mosquitto 2.1, where `acl_file` is deprecated."""
    head = ["# Mosquitto 2.1 for one Dreamshare federation (docs/mqtt.md).", f"# {UNTESTED}"]
    access = [f"plugin {_PLUGIN}", f"plugin_opt_acl_file {plan.folder}/dreamshare.acl"]
    return {"mosquitto.conf": _config(plan, head, access), "dreamshare.acl": _access(plan)}


def _config(plan: BrokerPlan, head: list[str], access: list[str]) -> str:
    lines = [
        *head,
        f"# {plan.folder} holds roots.pem, broker.pem, broker.key (readable by the broker alone)",
        "# and dreamshare.acl.",
        "",
        "allow_anonymous false",
        *access,
        "",
        "# Larger than any packet of ours; a client that sends more is cut off.",
        f"max_packet_size {MOST_PACKET}",
        "# What one client may have waiting. Links bound it themselves (docs/protocol.md 17.31);",
        "# past these limits Mosquitto drops messages without a word.",
        "max_inflight_messages 512",
        "max_queued_messages 20000",
        "max_queued_bytes 268435456",
        "",
        "# Sessions outlive a restart. Nothing relies on it: links resume by themselves.",
        "persistence true",
        f"persistence_location {plan.data}/",
        "autosave_interval 60",
        "persistent_client_expiration 1d",
        "max_keepalive 300",
        "# Small packets are answered at once, not when the next one comes.",
        "set_tcp_nodelay true",
        "",
    ]
    if plan.port:
        lines += [f"listener {plan.port} {plan.bind}", *_tls(plan), ""]
    if plan.websocket_port:
        lines += [
            f"listener {plan.websocket_port} {plan.bind}",
            "protocol websockets",
            *_tls(plan),
            "",
        ]
    if plan.plain_port:
        lines += [
            "# Development only: in clear, and whoever is on this machine is whom it says.",
            f"listener {plan.plain_port} 127.0.0.1",
            "allow_anonymous true",
            "",
        ]
    return "\n".join(lines)


def _tls(plan: BrokerPlan) -> list[str]:
    return [
        f"cafile {plan.folder}/roots.pem",
        f"certfile {plan.folder}/broker.pem",
        f"keyfile {plan.folder}/broker.key",
        "tls_version tlsv1.2",
        "require_certificate true",
        "# A client is the CN of its certificate, and so is its session: nobody takes another's.",
        "use_identity_as_username true",
        "use_username_as_clientid true",
    ]


def _access(plan: BrokerPlan) -> str:
    party, hub = party_rights(plan, "%u"), aggregator_rights(plan)
    seats = [
        line
        for number, name in enumerate(plan.seat_ids, 1)
        for seat in (seat_rights(plan, name),)
        for line in (
            f"# seat {number}, of a shard",
            f"user {name}",
            *(f"topic write {topic}" for topic in seat.publish),
            *(f"topic read {topic}" for topic in seat.subscribe),
            "",
        )
    ]
    return "\n".join(
        [
            "# Who may say and hear what. Everything else is denied.",
            "",
            "# the aggregator",
            f"user {plan.aggregator}",
            *(f"topic write {topic}" for topic in hub.publish),
            *(f"topic read {topic}" for topic in hub.subscribe),
            "",
            *seats,
            "# every party: %u is the CN of its certificate",
            *(f"pattern write {topic}" for topic in party.publish),
            *(f"pattern read {topic}" for topic in party.subscribe),
            "",
        ]
    )
