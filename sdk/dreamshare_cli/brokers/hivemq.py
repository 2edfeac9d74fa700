"""HiveMQ 4: listeners for config.xml, and roles for the file RBAC extension."""

from __future__ import annotations

from collections.abc import Mapping
from xml.sax.saxutils import escape

from dreamshare_cli.brokers.plan import (
    MOST_PACKET,
    UNTESTED,
    BrokerPlan,
    Rights,
    aggregator_rights,
    party_rights,
    seat_rights,
)

_OWN = "${{clientid}}"


def hivemq(plan: BrokerPlan) -> Mapping[str, str]:
    """Return the files for HiveMQ 4 with its file RBAC extension."""
    return {"config.xml": _config(plan), "credentials.xml": _roles(plan)}


def _config(plan: BrokerPlan) -> str:
    listeners = [
        *_listener("tls-tcp-listener", plan, plan.port, ()),
        *_listener(
            "tls-websocket-listener",
            plan,
            plan.websocket_port,
            ("<path>/mqtt</path>", "<subprotocols><subprotocol>mqtt</subprotocol></subprotocols>"),
        ),
    ]
    lines = [
        '<?xml version="1.0" encoding="UTF-8"?>',
        f"<!-- HiveMQ 4 for one Dreamshare federation (docs/mqtt.md). {UNTESTED} -->",
        "<!-- Make key stores of roots.pem, broker.pem and broker.key, and set PASSWORD. -->",
        "<hivemq>",
        "  <listeners>",
        *(f"    {line}" for line in listeners),
        "  </listeners>",
        "  <mqtt>",
        f"    <packets><max-packet-size>{MOST_PACKET}</max-packet-size></packets>",
        "    <quality-of-service><max-qos>1</max-qos></quality-of-service>",
        "    <session-expiry><max-interval>28800</max-interval></session-expiry>",
        "    <queued-messages><max-queue-size>20000</max-queue-size></queued-messages>",
        "    <shared-subscriptions><enabled>false</enabled></shared-subscriptions>",
        "  </mqtt>",
        "</hivemq>",
        "",
    ]
    return "\n".join(lines)


def _listener(kind: str, plan: BrokerPlan, port: int, more: tuple[str, ...]) -> list[str]:
    if not port:
        return []
    folder = escape(str(plan.folder))
    return [
        f"<{kind}>",
        f"  <port>{port}</port>",
        f"  <bind-address>{escape(plan.bind)}</bind-address>",
        *(f"  {line}" for line in more),
        "  <tls>",
        "    <client-authentication-mode>REQUIRED</client-authentication-mode>",
        f"    <keystore><path>{folder}/broker.jks</path><password>PASSWORD</password>"
        "<private-key-password>PASSWORD</private-key-password></keystore>",
        f"    <truststore><path>{folder}/roots.jks</path>"
        "<password>PASSWORD</password></truststore>",
        "  </tls>",
        f"</{kind}>",
    ]


def _roles(plan: BrokerPlan) -> str:
    lines = [
        '<?xml version="1.0" encoding="UTF-8"?>',
        f"<!-- Roles for HiveMQ's file RBAC extension. {UNTESTED} -->",
        "<!-- The extension asks for a password besides the certificate: add one user for each "
        "party, named by its hex id. -->",
        "<file-rbac>",
        "  <users>",
        f"    <user><name>{plan.aggregator}</name><password>PASSWORD</password>"
        "<roles><id>aggregator</id></roles></user>",
        *(
            f"    <user><name>{name}</name><password>PASSWORD</password>"
            "<roles><id>seat</id></roles></user>"
            for name in plan.seat_ids
        ),
        "  </users>",
        "  <roles>",
        *_role("party", party_rights(plan, _OWN), "NOT_RETAINED"),
        *_role("aggregator", aggregator_rights(plan), "ALL"),
        *(_role("seat", seat_rights(plan, _OWN), "ALL") if plan.seats else ()),
        "  </roles>",
        "</file-rbac>",
        "",
    ]
    return "\n".join(lines)


def _role(name: str, rights: Rights, retain: str) -> list[str]:
    lines = ["    <role>", f"      <id>{name}</id>", "      <permissions>"]
    for activity, topics in (("PUBLISH", rights.publish), ("SUBSCRIBE", rights.subscribe)):
        extra = f"<retain>{retain}</retain>" if activity == "PUBLISH" else ""
        lines += [
            f"        <permission><topic>{escape(topic)}</topic>"
            f"<activity>{activity}</activity><qos>ALL</qos>{extra}</permission>"
            for topic in topics
        ]
    return [*lines, "      </permissions>", "    </role>"]
