"""`dreamshare up --check`: what keeps a start from succeeding is said, and nothing is touched."""

from __future__ import annotations

import json
import socket
import sqlite3
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest

from dreamshare_cli.command import execute
from dreamshare_cli.federation import FederationFolder
from dreamshare_crypto.certificates import Role
from dreamshare_crypto.entropy import SeededEntropy
from dreamshare_crypto.identity import Identity

LONG_AGO = 1_600_000_000


@dataclass(frozen=True)
class Checked:
    """Exit code and what was printed."""

    code: int
    wrong: list[str]
    notes: list[str]
    running: bool


@dataclass(frozen=True)
class Site:
    """A federation and a settings file beside it."""

    folder: FederationFolder
    capsys: pytest.CaptureFixture[str]

    def write(self, text: str) -> Path:
        path = self.folder.folder / "aggregator.toml"
        path.write_text(text)
        return path

    def check(self, text: str) -> Checked:
        path = self.write(text)
        before = content(self.folder.folder)
        code = execute(["up", "--check", "--json", "--config", str(path)])
        assert content(self.folder.folder) == before, "a check changes nothing"
        fields = json.loads(self.capsys.readouterr().out)
        return Checked(code, fields["wrong"], fields["notes"], fields["running"])


def content(folder: Path) -> dict[str, bytes]:
    return {str(path): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


@pytest.fixture
def site(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Site:
    folder = FederationFolder(tmp_path / "federation")
    folder.create("grpcs://127.0.0.1:0")
    return Site(folder, capsys)


FREE = 'listen = ["grpcs://127.0.0.1:0"]\n'


def test_a_fresh_federation_is_ready(site: Site) -> None:
    found = site.check(FREE)
    assert (found.code, found.wrong, found.running) == (0, [], False)
    assert any("the certificate is good until" in note for note in found.notes)
    assert any("a start makes the database" in note for note in found.notes)


def no_identity(site: Site) -> str:
    site.folder.aggregator.unlink()
    return FREE


def an_operators_identity(site: Site) -> str:
    return FREE + 'identity = "operator.key"\n'


def certificate_over(site: Site) -> str:
    authority = site.folder.load_authority()
    old = authority.issue(Role.AGGREGATOR, "old", SeededEntropy(b"old"), LONG_AGO)
    old.save(site.folder.folder / "old.key")
    return FREE + 'identity = "old.key"\n'


def another_host(site: Site) -> str:
    return FREE + 'enrol_links = ["grpcs://elsewhere.example:7443"]\n'


def database_of_a_later_release(site: Site) -> str:
    with sqlite3.connect(site.folder.folder / "rounds.db") as later:
        later.execute("CREATE TABLE schema_version (version INTEGER)")
        later.execute("INSERT INTO schema_version VALUES (99)")
    return FREE


def no_folder_for_the_database(site: Site) -> str:
    return FREE + 'store = "sqlite:///nowhere/rounds.db"\n'


def page_without_certificate(site: Site) -> str:
    return (
        FREE + '[web]\nlisten = "https://127.0.0.1:0"\n'
        'certificate = "none.crt"\nprivate_key = "none.pem"\n'
    )


def token_for_everybody(site: Site) -> str:
    token = site.folder.folder / "open.token"
    token.write_text("x" * 43)
    token.chmod(0o644)
    return FREE + '[web]\nlisten = "http://127.0.0.1:0"\nviewer_token = "open.token"\n'


def shards_at_another_host(site: Site) -> str:
    return FREE + '[placed_shards]\ncount = 1\nlisten = "grpcs://127.0.0.2:7451"\n'


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (no_identity, "aggregator.key"),
        (an_operators_identity, "no aggregator's"),
        (certificate_over, "ended"),
        (another_host, "elsewhere.example"),
        (database_of_a_later_release, "version 99"),
        (no_folder_for_the_database, "there is no folder"),
        (page_without_certificate, "web.certificate"),
        (token_for_everybody, "chmod 600"),
        (shards_at_another_host, "call 127.0.0.2"),
    ],
)
def test_what_is_wrong_is_said(site: Site, make: Callable[[Site], str], said: str) -> None:
    found = site.check(make(site))
    assert found.code == 2
    assert any(said in line for line in found.wrong), found.wrong


def test_a_port_that_somebody_else_has_is_wrong(site: Site) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        found = site.check(f'listen = ["grpcs://127.0.0.1:{taken.getsockname()[1]}"]\n')
    assert (found.code, found.running) == (2, False)
    assert any("Address already in use" in line for line in found.wrong), found.wrong


def test_a_certificate_that_ends_soon_is_a_note(site: Site) -> None:
    authority, path = site.folder.load_authority(), site.folder.folder / "soon.key"
    whole = Identity.load(site.folder.aggregator)
    now = whole.certificate.not_before
    authority.issue(Role.AGGREGATOR, "soon", SeededEntropy(b"soon"), now - 75 * 86_400).save(path)
    found = site.check(FREE + 'identity = "soon.key"\n')
    assert found.code == 0
    assert any("ends in 1" in note and "enrol renew" in note for note in found.notes), found.notes


def test_without_settings_nothing_is_made(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    assert execute(["up", "--check"]) == 2
    assert "there is no federation" in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []
