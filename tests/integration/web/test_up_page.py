"""`dreamshare up` as a process: its page, its logs, and no secret in anything that it prints."""

from __future__ import annotations

import asyncio
import json
from base64 import b64encode, urlsafe_b64encode
from collections.abc import Iterator
from contextlib import AsyncExitStack
from pathlib import Path

import pytest

from dreamshare.client import Client
from dreamshare.protocol.messages import Cohort, Deadlines
from dreamshare.settings import settings_text
from dreamshare.transport.grpc import GrpcLink
from dreamshare.transport.tls import TlsFiles
from dreamshare_aggregator.capture import read_capture
from dreamshare_aggregator.config import AggregatorConfig
from dreamshare_aggregator.web.settings import WebConfig
from dreamshare_crypto.identity import Identity
from tests.integration.children import child
from tests.integration.stage import follow
from tests.integration.toy import Loopback, toy_config
from tests.integration.web.pages import Visitor, token_in

pytestmark = pytest.mark.integration

COHORT = Cohort(least=4, most=4)
DEADLINES = Deadlines(setup_s=30, collect_s=30, reveal_s=30)


def pieces(secret: bytes) -> Iterator[str]:
    """Yield how a secret would look in a text, in pieces that say nothing by chance."""
    for text in (
        secret.hex(),
        b64encode(secret).decode(),
        urlsafe_b64encode(secret).decode(),
        repr(secret)[2:-1],
    ):
        yield text[:24]
        yield text[-24:].rstrip("=")


async def test_no_secret_and_no_payload_is_in_logs_or_output(tmp_path: Path) -> None:
    federation = Loopback.create(tmp_path)
    home = federation.folder.folder
    config = AggregatorConfig(
        listen=("grpcs://127.0.0.1:0",),
        identity=federation.folder.aggregator,
        store=f"sqlite:///{tmp_path / 'rounds.db'}",
        capture=tmp_path / "capture",
        log_format="json",
        log_level="debug",
        web=WebConfig(
            listen="http://127.0.0.1:0",
            viewer_token=tmp_path / "viewer",
            operator_token=tmp_path / "operator",
        ),
    )
    settings = tmp_path / "aggregator.toml"
    settings.write_text(settings_text(config))
    log = tmp_path / "log"
    said = ""
    async with AsyncExitStack() as stack:
        with log.open("wb") as stderr:
            up = child("dreamshare_cli", "up", "--json", "--config", str(settings), stderr=stderr)
            running = await stack.enter_async_context(up)
        listening = await running.event("listening")
        said += json.dumps(listening)
        (link,) = listening["links"]  # type: ignore[misc]
        port = int(str(link).rpartition(":")[2])
        page = listening["page"]
        assert isinstance(page, dict)
        visitor = Visitor(str(page["url"]))
        tokens = [token_in(page[name]) for name in ("viewer_token", "operator_token")]
        assert (
            await visitor.sign_in("a wrong token that is quite long, for a guess")
        ).status == 401
        assert (await visitor.sign_in(tokens[1])).status == 200
        for device in range(4):
            await stack.enter_async_context(federation.agent(device, port))
        who = federation.operator
        client = Client(GrpcLink(str(link), TlsFiles.of(who)), who)
        client = await stack.enter_async_context(client)
        await follow(client, await client.submit(toy_config(), COHORT, DEADLINES))
        metrics = {"authorization": f"Bearer {tokens[0]}"}
        assert (await visitor.ask("GET", "/metrics", headers=metrics)).status == 200
        running.process.terminate()
        said += (await running.process.communicate())[0].decode()
    text = log.read_text() + said
    lines = [json.loads(line) for line in log.read_text().splitlines()]
    assert {"round", "epoch", "done"} <= {line["event"] for line in lines}

    secrets = [visitor.cookie.partition("=")[2].encode(), visitor.csrf.encode()]
    secrets += [token.encode() for token in tokens]
    for path in home.glob("*.key"):
        secrets += private_parts(path)
    assert len(secrets) > 10
    for secret in secrets:
        assert not [piece for piece in pieces(secret) if piece in text]
        assert secret.decode("latin-1") not in text
    bodies = [packet.packet for packet in read_capture(tmp_path / "capture")]
    large = [body for body in bodies if len(body) > 200]
    assert large
    for body in large:  # its middle: masked inputs, shares, signatures
        assert not [piece for piece in pieces(body[100:180]) if piece in text]


def private_parts(path: Path) -> list[bytes]:
    """Return the private keys of an identity or authority file: strings below a telling name."""
    found: list[bytes] = []

    def walk(value: object, name: str) -> None:
        if isinstance(value, dict):
            for key, inner in value.items():
                walk(inner, str(key))
        elif isinstance(value, str) and len(value) >= 32 and "certificate" not in name:
            found.append(value.encode())

    try:
        walk(json.loads(path.read_text()), "")
    except ValueError:
        found += [line.encode() for line in path.read_text().splitlines() if len(line) > 40]
    return found


async def test_a_development_federation_has_its_page_at_once(tmp_path: Path) -> None:
    folder = tmp_path / "federation"
    up = ("up", "--federation", str(folder), "--listen", "grpcs://127.0.0.1:0")
    async with child("dreamshare_cli", *up) as running:
        async with asyncio.timeout(60):
            while not (line := await running.line()).startswith("watch it live"):
                pass
        _, url = line.split("watch it live:")
        where, _, words = url.strip().partition("  ")
        assert where.startswith("http://127.0.0.1:")
        token = (folder / "web-operator.token").read_text().strip()
        assert token not in line, "not on a pipe: it would end in a log"
        assert "web-operator.token" in words
        visitor = Visitor(where)
        assert (await visitor.ask("GET", "/api/state")).status == 401
        assert (await visitor.sign_in(token)).json["rank"] == "operator"
        assert (await visitor.ask("GET", "/metrics")).status == 200


async def test_the_page_can_be_left_out(tmp_path: Path) -> None:
    up = ("up", "--json", "--federation", str(tmp_path / "f"), "--listen", "grpcs://127.0.0.1:0")
    async with child("dreamshare_cli", *up, "--web", "") as running:
        assert (await running.event("listening"))["page"] is None
    assert Identity.load(tmp_path / "f" / "aggregator.key")
