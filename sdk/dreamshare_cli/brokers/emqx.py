"""EMQX 5: a fragment for emqx.conf, and the access list that it names."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping

from dreamshare_cli.brokers.plan import (
    MOST_PACKET,
    UNTESTED,
    BrokerPlan,
    aggregator_rights,
    party_rights,
    seat_rights,
)


def emqx(plan: BrokerPlan) -> Mapping[str, str]:
    """Return the files for EMQX 5."""
    return {"emqx.conf": _config(plan), "acl.conf": _access(plan)}


def _config(plan: BrokerPlan) -> str:
    lines = [
        "# EMQX 5 for one Dreamshare federation (docs/mqtt.md): add this to emqx.conf.",
        f"# {UNTESTED}",
        f"# {plan.folder} holds roots.pem, broker.pem, broker.key and acl.conf.",
        "",
        "listeners.tcp.default.enable = false",
        "listeners.ws.default.enable = false",
        *_listener("ssl", plan, plan.port),
        *_listener("wss", plan, plan.websocket_port),
        "",
        "mqtt {",
        "  peer_cert_as_username = cn",
        "  peer_cert_as_clientid = cn",
        f"  max_packet_size = {MOST_PACKET}B",
        "  max_qos_allowed = 1",
        "  shared_subscription = false",
        "  session_expiry_interval = 8h",
        "  max_mqueue_len = 20000",
        "}",
        "",
        "authorization {",
        "  no_match = deny",
        "  deny_action = ignore",
        f'  sources = [{{type = file, enable = true, path = "{plan.folder}/acl.conf"}}]',
        "}",
        "",
    ]
    return "\n".join(lines)


def _listener(kind: str, plan: BrokerPlan, port: int) -> list[str]:
    if not port:
        return [f"listeners.{kind}.default.enable = false"]
    return [
        f"listeners.{kind}.default {{",
        f'  bind = "{plan.bind}:{port}"',
        *(['  websocket.mqtt_path = "/mqtt"'] if kind == "wss" else []),
        "  ssl_options {",
        f'    cacertfile = "{plan.folder}/roots.pem"',
        f'    certfile = "{plan.folder}/broker.pem"',
        f'    keyfile = "{plan.folder}/broker.key"',
        "    verify = verify_peer",
        "    fail_if_no_peer_cert = true",
        "  }",
        "}",
    ]


def _access(plan: BrokerPlan) -> str:
    party, hub = party_rights(plan, "${username}"), aggregator_rights(plan)
    who = f'{{username, "{plan.aggregator}"}}'
    seats = [
        line
        for name in plan.seat_ids
        for seat in (seat_rights(plan, name),)
        for line in (
            f'{{allow, {{username, "{name}"}}, publish, {_list(seat.publish)}}}.',
            f'{{allow, {{username, "{name}"}}, subscribe, {_list(seat.subscribe)}}}.',
        )
    ]
    return "\n".join(
        [
            "%% Access list of one Dreamshare federation for EMQX 5.",
            f"%% {UNTESTED}",
            f"{{allow, {who}, publish, {_list(hub.publish)}}}.",
            f"{{allow, {who}, subscribe, {_list(hub.subscribe)}}}.",
            *seats,
            f"{{allow, all, publish, {_list(party.publish)}}}.",
            f"{{allow, all, subscribe, {_list(party.subscribe)}}}.",
            "{deny, all}.",
            "",
        ]
    )


def _list(topics: Iterable[str]) -> str:
    return "[" + ", ".join(map(json.dumps, topics)) + "]"
