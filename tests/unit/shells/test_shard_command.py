"""`dreamshare shard`: addresses, seats and identities that do not go together."""

from __future__ import annotations

from pathlib import Path

import pytest

from dreamshare.errors import ConfigError
from dreamshare_cli.federation import FederationFolder
from dreamshare_cli.sharding import ShardOptions, serve
from dreamshare_crypto.errors import ParameterError

ROOT, BROKER = "grpcs://127.0.0.1:7450", "mqtts://broker.example:8883"


@pytest.fixture
def federation(tmp_path: Path) -> FederationFolder:
    made = FederationFolder(tmp_path / "federation")
    made.create()
    return made


@pytest.mark.parametrize(
    ("root", "listen", "seat", "words"),
    [
        (ROOT, [BROKER], None, "needs a seat there"),
        (BROKER, ["grpcs://127.0.0.1:0"], None, "by gRPC"),
        (ROOT, [BROKER, "mqtts://other.example:8883"], "broker.key", "one broker"),
        (ROOT, [BROKER], "missing.pem", "there is no file"),
        (ROOT, [BROKER], "readable.pem", "others may read it"),
        (ROOT, [BROKER], "empty.pem", "is not PEM"),
        (ROOT, ["mqtt://broker.example:1883"], "empty.pem", "in clear"),
    ],
)
async def test_what_does_not_go_together_is_said_so(
    federation: FederationFolder,
    root: str,
    listen: list[str],
    seat: str | None,
    words: str,
) -> None:
    (federation.folder / "readable.pem").touch(mode=0o644)
    (federation.folder / "empty.pem").touch(mode=0o600)
    place = None if seat is None else federation.folder / seat
    with pytest.raises((ConfigError, ParameterError), match=words):
        await serve(ShardOptions(root, listen, federation.aggregator, None, place))
