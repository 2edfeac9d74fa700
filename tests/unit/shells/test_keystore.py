"""Keys in a file or sealed by the system's keystore: there and back, and every way of failing."""

from __future__ import annotations

from pathlib import Path

import keyring
import pytest
from keyring.backend import KeyringBackend
from keyring.backends.fail import Keyring as NoKeyring

from dreamshare.clock import SystemClock
from dreamshare.errors import ConfigError
from dreamshare.settings import settings_text
from dreamshare_cli.command import execute
from dreamshare_crypto.authority import Authority
from dreamshare_crypto.certificates import Role
from dreamshare_crypto.entropy import SystemEntropy
from dreamshare_crypto.errors import ParameterError
from dreamshare_crypto.identity import Identity
from dreamshare_edge.certifying import Applicant
from dreamshare_edge.config import AgentConfig
from dreamshare_edge.keystore import is_sealed, load_identity, to_file, to_keystore

ENTROPY = SystemEntropy()


class InMemory(KeyringBackend):
    """A keystore that works, and ends with the test."""

    priority = 1

    def __init__(self) -> None:
        super().__init__()
        self.kept: dict[tuple[str, str], str] = {}

    def get_password(self, service: str, username: str) -> str | None:
        return self.kept.get((service, username))

    def set_password(self, service: str, username: str, password: str) -> None:
        self.kept[service, username] = password

    def delete_password(self, service: str, username: str) -> None:
        del self.kept[service, username]


@pytest.fixture
def system(monkeypatch: pytest.MonkeyPatch) -> InMemory:
    backend = InMemory()
    monkeypatch.setattr(keyring.core, "_keyring_backend", backend)
    return backend


@pytest.fixture
def path(tmp_path: Path) -> Path:
    now = SystemClock().now()
    identity = Authority.create(bytes(16), ENTROPY, now).issue(Role.DEVICE, "a", ENTROPY, now)
    identity.save(tmp_path / "device.key")
    (tmp_path / "agent.toml").write_text(settings_text(AgentConfig()))
    return tmp_path / "device.key"


def test_there_and_back(path: Path, system: InMemory) -> None:
    plain, identity = path.read_bytes(), Identity.load(path)
    command = ["agent", "keys", "--config", str(path.parent / "agent.toml"), "--to"]
    assert execute([*command, "keyring"]) == 0
    assert is_sealed(path)
    assert identity.signing.secret().reveal().hex().encode() not in path.read_bytes()
    assert path.stat().st_mode & 0o777 == 0o600
    assert load_identity(path).id == identity.id
    assert len(system.kept) == 1
    sealed = path.read_bytes()
    assert execute([*command, "keyring"]) == 0
    assert path.read_bytes() == sealed
    assert execute([*command, "file"]) == 0
    assert path.read_bytes() == plain
    assert system.kept == {}
    assert not to_file(path)
    assert execute([*command, "cloud"]) == 2


def test_a_renewal_keeps_what_it_finds(path: Path, system: InMemory) -> None:
    applicant, identity = Applicant(path), Identity.load(path)
    to_keystore(path, ENTROPY)
    pending = applicant.renewal(identity)
    assert is_sealed(applicant.pending_path)
    assert identity.signing.secret().reveal().hex().encode() not in (
        applicant.pending_path.read_bytes()
    )
    assert applicant.renewal(identity).message == pending.message, "the same request again"
    to_file(path)
    assert not is_sealed(applicant.pending_path)
    assert applicant.renewal(identity).message == pending.message
    to_keystore(path, ENTROPY)
    applicant.save(identity)
    assert is_sealed(path)
    assert not applicant.pending_path.exists()
    assert load_identity(path).id == identity.id


def test_a_keystore_that_lost_the_key(path: Path, system: InMemory) -> None:
    to_keystore(path, ENTROPY)
    ((place, _),) = system.kept.items()
    system.kept[place] = "00" * 32
    with pytest.raises(ConfigError, match="was changed, or its key"):
        load_identity(path)
    system.kept.clear()
    with pytest.raises(ConfigError, match="keystore does not have"):
        load_identity(path)
    with pytest.raises(ParameterError, match="it is not a dreamshare-identity/1 file"):
        Identity.load(path)


def test_a_system_without_a_keystore(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(keyring.core, "_keyring_backend", NoKeyring())
    before = path.read_bytes()
    with pytest.raises(ConfigError, match=r"does not answer \(NoKeyringError\)"):
        to_keystore(path, ENTROPY)
    assert path.read_bytes() == before


def test_without_the_extra(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, "keyring", None)
    with pytest.raises(ConfigError, match=r"pip install 'dreamshare\[keyring\]'"):
        to_keystore(path, ENTROPY)
    assert load_identity(path).id, "a plain file needs none"


def test_a_keystore_that_forgets_at_once(path: Path, system: InMemory) -> None:
    system.set_password = lambda *_: None  # type: ignore[method-assign]
    before = path.read_bytes()
    with pytest.raises(ConfigError, match="does not keep what it is given"):
        to_keystore(path, ENTROPY)
    assert path.read_bytes() == before
