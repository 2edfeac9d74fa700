"""Configurations of brokers: golden files, what each has to say, and the command that writes them.

`python -m tests.unit.brokers.test_configurations` writes the golden files anew; read what changes.
"""

from __future__ import annotations

import json
import ssl
import stat
from dataclasses import replace
from pathlib import Path, PurePosixPath
from xml.etree import ElementTree

import pytest

from dreamshare.errors import ConfigError
from dreamshare.transport.tls import TlsFiles
from dreamshare_cli.brokering import FLAVOURS
from dreamshare_cli.brokers.plan import (
    MOST_PACKET,
    UNTESTED,
    BrokerPlan,
    aggregator_rights,
    party_rights,
    seat_rights,
)
from dreamshare_cli.command import execute
from dreamshare_cli.exits import Exit
from dreamshare_cli.federation import FederationFolder
from dreamshare_crypto.identity import Identity

GOLDEN = Path(__file__).with_name("golden")
PLAN = BrokerPlan(federation="fe" * 16, aggregator="a0" * 16)
TESTED = {"mosquitto"}


@pytest.mark.parametrize("flavour", FLAVOURS)
def test_files_are_the_golden_ones(flavour: str) -> None:
    files = FLAVOURS[flavour](PLAN)
    assert {path.name for path in (GOLDEN / flavour).iterdir()} == set(files)
    for name, text in files.items():
        assert text == (GOLDEN / flavour / name).read_text(), name


@pytest.mark.parametrize("flavour", FLAVOURS)
def test_who_was_never_run_says_so(flavour: str) -> None:
    text = "".join(FLAVOURS[flavour](PLAN).values())
    assert (UNTESTED in text) == (flavour not in TESTED)


@pytest.mark.parametrize("flavour", FLAVOURS)
def test_every_right_is_written_and_none_is_wider(flavour: str) -> None:
    """Nobody but the aggregator has a `+` where a party's id is, and nothing begins with one."""
    text = "".join(FLAVOURS[flavour](PLAN).values())
    topics = PLAN.topics
    for right in (topics.hub("+"), topics.down("+", "+"), topics.up("+", "+"), topics.state("+")):
        assert right in text or right.replace("+", "*") in text
    for wide in ("dreamshare/#", "dreamshare/+", "v1/+/", "/#", "$share", "topic #"):
        assert wide not in text
    assert "fe" * 16 in text


@pytest.mark.parametrize("flavour", FLAVOURS)
def test_seats_have_the_rights_of_seats_and_parties_no_more_than_before(flavour: str) -> None:
    without = "".join(FLAVOURS[flavour](PLAN).values())
    text = "".join(FLAVOURS[flavour](replace(PLAN, seats=2)).values())
    one, two = replace(PLAN, seats=3).seat_ids[:2]
    assert one != two
    assert one in text
    assert two in text
    assert set(without.splitlines()) <= set(text.splitlines())
    rights = seat_rights(PLAN, one)
    for right in (*rights.publish[::2], *rights.subscribe):
        assert right in text or right.replace("+", "*") in text


@pytest.mark.parametrize("flavour", ["mosquitto", "mosquitto-2.1", "emqx", "hivemq"])
def test_certificates_are_asked_for_and_packets_bounded(flavour: str) -> None:
    text = "".join(FLAVOURS[flavour](PLAN).values())
    assert str(MOST_PACKET) in text
    asked = ("require_certificate true", "verify_peer", "REQUIRED")
    assert any(each in text for each in asked)


def test_listeners_that_are_not_wanted_are_left_out() -> None:
    none = BrokerPlan("fe" * 16, "a0" * 16, websocket_port=0)
    assert "websockets" not in FLAVOURS["mosquitto"](none)["mosquitto.conf"]
    assert "wss.default.enable = false" in FLAVOURS["emqx"](none)["emqx.conf"]
    assert "websocket" not in FLAVOURS["hivemq"](none)["config.xml"]


def test_vendors_formats_hold() -> None:
    for name in ("config.xml", "credentials.xml"):
        ElementTree.fromstring(FLAVOURS["hivemq"](PLAN)[name])
    for name in ("party-policy.json", "aggregator-policy.json"):
        policy = json.loads(FLAVOURS["aws"](PLAN)[name])
        assert {one["Effect"] for one in policy["Statement"]} == {"Allow"}


def test_topics_keep_to_what_brokers_allow() -> None:
    """AWS IoT: at most 7 slashes and 256 bytes; two subscriptions a party."""
    for rights in (party_rights(PLAN, "d1" * 16), aggregator_rights(PLAN)):
        for topic in (*rights.publish, *rights.subscribe):
            assert topic.count("/") <= 7
            assert len(topic) <= 256
        assert len(rights.subscribe) == 2


def test_plans_that_are_none() -> None:
    for values in (
        {"aggregator": "x"},
        {"federation": "#"},
        {"namespace": "a/b"},
        {"port": 70_000},
        {"seats": -1},
        {"seats": 257},
        {"folder": PurePosixPath("relative")},
    ):
        with pytest.raises(ConfigError):
            BrokerPlan(**{"federation": "fe" * 16, "aggregator": "a0" * 16, **values})


def test_the_command_writes_files_and_a_certificate_and_keeps_it(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    federation, out = tmp_path / "federation", tmp_path / "broker"
    FederationFolder(federation).create()
    command = ("broker", "config", "--out", str(out), "--federation", str(federation), "--json")
    assert execute([*command, "--host", "broker.example"]) == Exit.OK
    said = json.loads(capsys.readouterr().out)
    assert said["files"] == [
        *("broker.key", "broker.pem", "dreamshare.acl", "mosquitto.conf", "roots.pem")
    ]
    assert stat.S_IMODE((out / "broker.key").stat().st_mode) == 0o600
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(out / "broker.pem", out / "broker.key")
    context.load_verify_locations(out / "roots.pem")
    made = (out / "broker.pem").read_bytes()
    assert execute([*command, "--flavour", "emqx", "--websocket-port", "0"]) == Exit.OK
    assert (out / "broker.pem").read_bytes() == made
    assert f'"{out}/acl.conf"' in (out / "emqx.conf").read_text()


def test_seats_are_made_once_and_more_are_added(tmp_path: Path) -> None:
    federation, out = tmp_path / "federation", tmp_path / "broker"
    FederationFolder(federation).create()
    command = ("broker", "config", "--out", str(out), "--federation", str(federation), "--seats")
    assert execute([*command, "1"]) == Exit.OK
    made = (out / "seat-1.pem").read_bytes()
    assert execute([*command, "2"]) == Exit.OK
    assert (out / "seat-1.pem").read_bytes() == made
    assert stat.S_IMODE((out / "seat-2.pem").stat().st_mode) == 0o600
    for number in (1, 2):
        pem = (out / f"seat-{number}.pem").read_bytes()
        name = TlsFiles(pem, pem, (out / "roots.pem").read_bytes()).name
        assert f"user {name}\n" in (out / "dreamshare.acl").read_text()


def test_the_files_may_lie_elsewhere_and_the_aggregator_too(tmp_path: Path) -> None:
    """In a container; and where the aggregator made its own keys on its own machine."""
    federation, out = FederationFolder(tmp_path / "federation"), tmp_path / "broker"
    federation.create()
    aggregator = Identity.load(federation.aggregator).id.hex()
    federation.aggregator.unlink()
    options = ("--out", str(out), "--at", "/etc/broker", "-f", str(federation.folder))
    assert execute(["broker", "config", *options]) == Exit.OK
    text = (out / "mosquitto.conf").read_text()
    assert "keyfile /etc/broker/broker.key" in text
    assert str(out) not in text
    assert f"user {aggregator}\n" in (out / "dreamshare.acl").read_text()


def test_the_command_wants_a_federation(tmp_path: Path) -> None:
    out = ("--out", str(tmp_path / "broker"), "--federation", str(tmp_path / "none"))
    assert execute(["broker", "config", *out]) == Exit.USAGE
    assert not (tmp_path / "broker").exists()


def write() -> None:
    """Write the golden files."""
    for flavour, files_of in FLAVOURS.items():
        folder = GOLDEN / flavour
        folder.mkdir(parents=True, exist_ok=True)
        for name, text in files_of(PLAN).items():
            (folder / name).write_text(text)


if __name__ == "__main__":
    write()
