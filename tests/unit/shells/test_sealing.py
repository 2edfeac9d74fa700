"""A store that is sealed with the device's keys: what lies on the disk, and how it may fail."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from dreamshare.errors import ConfigError
from dreamshare.ids import TaskId
from dreamshare.settings import settings_text
from dreamshare_cli.command import execute
from dreamshare_crypto.entropy import SystemEntropy
from dreamshare_crypto.secret import Secret
from dreamshare_edge.config import AgentConfig
from dreamshare_edge.keystore import is_sealed, to_keystore
from dreamshare_edge.moving import move_to_file, move_to_keystore
from dreamshare_edge.sealing import MARK, KeyedSeals, NoSeals, seals_for
from dreamshare_edge.store import FileStore
from tests.unit.shells.test_keystore import InMemory, path, system

__all__ = ("path", "system")  # fixtures

ENTROPY = SystemEntropy()
TASK = TaskId(bytes(range(16)))
SEED, WEIGHTS = b"the seed of a session, 32 bytes!", b"weights"


def keyed(byte: int = 7) -> KeyedSeals:
    return KeyedSeals(Secret(bytes([byte]) * 32, "keystore key"), ENTROPY)


def filled(folder: Path, seals: KeyedSeals | NoSeals) -> None:
    with FileStore(folder, seals=seals) as store:
        store.journal(TASK).keep("seed", Secret(SEED, "seed"))
        store.save("learner", WEIGHTS)


def read(folder: Path, seals: KeyedSeals | NoSeals) -> tuple[bytes, bytes | None]:
    with FileStore(folder, seals=seals) as store:
        return store.journal(TASK).slots()["seed"].reveal(), store.load("learner")


def on_disk(folder: Path) -> bytes:
    return b"".join(each.read_bytes() for each in sorted(folder.rglob("*")) if each.is_file())


def test_what_is_sealed_is_read_back_and_lies_nowhere_in_the_clear(tmp_path: Path) -> None:
    filled(tmp_path, keyed())
    assert SEED not in on_disk(tmp_path)
    assert WEIGHTS not in on_disk(tmp_path)
    assert read(tmp_path, keyed()) == (SEED, WEIGHTS)
    with FileStore(tmp_path, seals=keyed()) as store:
        assert store.load("nothing") is None


def test_what_lay_open_is_read_and_sealed_when_it_is_written_next(tmp_path: Path) -> None:
    filled(tmp_path, NoSeals())
    assert SEED in on_disk(tmp_path)
    assert read(tmp_path, keyed()) == (SEED, WEIGHTS)
    filled(tmp_path, keyed())
    assert SEED not in on_disk(tmp_path)


def test_another_key_another_place_and_a_changed_byte(tmp_path: Path) -> None:
    filled(tmp_path, keyed())
    with pytest.raises(ConfigError, match="sealed by another key"):
        read(tmp_path, keyed(8))
    with pytest.raises(ConfigError, match="not sealed any more"):
        read(tmp_path, NoSeals())
    slot = tmp_path / "tasks" / TASK.hex() / "slots" / "seed"
    shutil.copy(tmp_path / "kept" / "learner", slot)
    with pytest.raises(ConfigError, match="slot seed of task"):
        read(tmp_path, keyed())
    for content in (MARK, MARK + bytes(5), MARK + bytes(40)):
        slot.write_bytes(content)
        with pytest.raises(ConfigError, match="was changed"):
            read(tmp_path, keyed())


def test_the_same_content_is_never_sealed_alike() -> None:
    seals = keyed()
    assert seals.closed("a", WEIGHTS) != seals.closed("a", WEIGHTS)


def test_the_command_moves_keys_and_store(path: Path, system: InMemory) -> None:
    store = path.parent / "state"
    config = AgentConfig(identity=path, store=store)
    (path.parent / "agent.toml").write_text(settings_text(config))
    command = ["agent", "keys", "--config", str(path.parent / "agent.toml"), "--to"]
    filled(store, NoSeals())
    assert execute([*command, "keyring"]) == 0
    assert is_sealed(path)
    assert SEED not in on_disk(store)
    assert read(store, seals_for(path)) == (SEED, WEIGHTS)  # type: ignore[arg-type]
    with FileStore(store, seals=seals_for(path)):
        assert execute([*command, "file"]) == 2, "an agent runs"
        assert is_sealed(path)
    assert execute([*command, "file"]) == 0
    assert read(store, NoSeals()) == (SEED, WEIGHTS)
    assert system.kept == {}


def test_a_move_that_was_cut_off_goes_on(path: Path, system: InMemory) -> None:
    store = path.parent / "state"
    filled(store, NoSeals())
    to_keystore(path, ENTROPY)  # killed before the store was sealed
    assert read(store, seals_for(path)) == (SEED, WEIGHTS)  # type: ignore[arg-type]
    assert not move_to_keystore(path, store, ENTROPY)
    assert SEED not in on_disk(store)
    ((place, key),) = system.kept.items()
    slot = store / "tasks" / TASK.hex() / "slots" / "seed"
    slot.write_bytes(SEED)  # killed while the store was opened, keys still sealed
    assert move_to_file(path, store)
    assert read(store, NoSeals()) == (SEED, WEIGHTS)
    assert (place, key) not in system.kept.items()


def test_a_keystore_that_lost_the_key_opens_no_store(path: Path, system: InMemory) -> None:
    to_keystore(path, ENTROPY)
    system.kept.clear()
    with pytest.raises(ConfigError, match="keystore does not have"):
        seals_for(path)


def test_a_device_whose_keys_lie_in_a_file_seals_nothing(path: Path) -> None:
    assert isinstance(seals_for(path), NoSeals)
    assert isinstance(seals_for(path.parent / "none"), NoSeals)
