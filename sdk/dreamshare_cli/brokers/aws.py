"""AWS IoT Core: one policy for every party's certificate, one for the aggregator's."""

from __future__ import annotations

import json
from collections.abc import Mapping

from dreamshare_cli.brokers.plan import (
    UNTESTED,
    BrokerPlan,
    Rights,
    aggregator_rights,
    party_rights,
    seat_rights,
)

_NAME = "${iot:Connection.Thing.ThingName}"
_ARN = "arn:aws:iot:REGION:ACCOUNT"

_SEATS = """\
5. Make a thing for every name in seats.txt and attach seat-policy.json to each seat's certificate.
   A connection has at most 50 subscriptions there unless AWS allows more: a shard needs three for
   each of its devices, the aggregator two for each of its own.
"""

_READ_ME = f"""\
AWS IoT Core for one Dreamshare federation (docs/mqtt.md).
{UNTESTED}

1. Register roots.pem as a certificate authority of the account.
2. Make a thing for every party, named by the hex id in its certificate (its CN), and attach the
   certificate to it.
3. Put region and account in place of REGION and ACCOUNT; attach party-policy.json to every party's
   certificate and aggregator-policy.json to the aggregator's.
4. Connect with mqtts://ENDPOINT:8883. Messages have at most 128 KiB there; links keep to the
   Maximum Packet Size that the broker tells them.
"""


def aws(plan: BrokerPlan) -> Mapping[str, str]:
    """Return the policies for AWS IoT Core."""
    seats = (
        {}
        if not plan.seats
        else {
            "seat-policy.json": _policy(
                _NAME, seat_rights(plan, _NAME), retain=(f"{plan.topics.root}/a/{_NAME}/state",)
            ),
            "seats.txt": "".join(f"{name}\n" for name in plan.seat_ids),
        }
    )
    return {
        "README.txt": _READ_ME + (_SEATS if plan.seats else ""),
        **seats,
        "party-policy.json": _policy(_NAME, party_rights(plan, _NAME), retain=()),
        "aggregator-policy.json": _policy(
            plan.aggregator, aggregator_rights(plan), retain=(plan.topics.hub("state"),)
        ),
    }


def _policy(client: str, rights: Rights, retain: tuple[str, ...]) -> str:
    statements = [
        _allow("iot:Connect", [f"{_ARN}:client/{client}"]),
        _allow("iot:Publish", [f"{_ARN}:topic/{_wild(each)}" for each in rights.publish]),
        _allow("iot:Subscribe", [f"{_ARN}:topicfilter/{each}" for each in rights.subscribe]),
        _allow("iot:Receive", [f"{_ARN}:topic/{_wild(each)}" for each in rights.subscribe]),
    ]
    if retain:
        statements.append(_allow("iot:RetainPublish", [f"{_ARN}:topic/{each}" for each in retain]))
    return json.dumps({"Version": "2012-10-17", "Statement": statements}, indent=2) + "\n"


def _allow(action: str, resources: list[str]) -> dict[str, object]:
    return {"Effect": "Allow", "Action": action, "Resource": resources}


def _wild(topic: str) -> str:
    """Return the pattern of topics: policies know `*`, where filters have `+`."""
    return topic.replace("+", "*")
