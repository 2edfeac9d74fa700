"""59, 60: what a thief finds who reads the raw files of a device's store.

Device 0 writes what its machine orders into a real store, as its driver does. The files are read as
bytes, whole, without any of the store's own code.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from dreamshare.ids import TaskId
from dreamshare.protocol.journal import MemoryAnchor
from dreamshare_crypto.errors import AuthenticationError, ParameterError
from dreamshare_crypto.secagg.events import (
    ClientEffect,
    Forget,
    Keep,
    Persist,
    RecordKind,
    Stage,
    Summed,
)
from dreamshare_crypto.secagg.phases import Advertised, Live
from dreamshare_crypto.secagg.records import SessionRecord
from dreamshare_crypto.secagg.vault import Vault
from dreamshare_edge.store import FileStore
from tests.sim.secagg.federation import TASK
from tests.sim.secagg.harness import Cohort


class Stored(Cohort):
    """A cohort whose device 0 has a folder."""

    def __init__(self, n: int, store: FileStore) -> None:
        super().__init__(n)
        self.store = store
        self.secrets: list[bytes] = []

    def carry_out(self, number: int, effect: ClientEffect) -> None:
        if number == 0:
            journal = self.store.journal(TaskId(TASK))
            match effect:
                case Persist(record, sync):
                    journal.append(record, sync)
                case Keep(slot, secret):
                    journal.keep(slot, secret)
                case Forget(slot):
                    journal.forget(slot)
                case _:
                    pass
            self.note_secrets()
        super().carry_out(number, effect)

    def note_secrets(self) -> None:
        """Remember what must be gone later: the seed, box_sk and the seed's wrapping key."""
        party = self.parties[0]
        phase = party.client.phase
        if isinstance(phase, Advertised) and "seed-wrap" in party.journal.slots:
            keys = phase.keys
            self.secrets = [
                keys.seed.reveal(),
                keys.box_key().secret().reveal(),
                party.journal.slots["seed-wrap"].reveal(),
            ]


def raw(folder: Path) -> bytes:
    """Return every byte of every file."""
    return b"".join(path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file())


def test_seed_is_gone_from_every_file(tmp_path: Path) -> None:
    """59: after SEED_ERASED no file holds seed, box_sk or wrapping key; before, one did."""
    with FileStore(tmp_path, MemoryAnchor()) as store:
        cohort = Stored(5, store)
        wrapped: list[bool] = []
        cohort.start()
        while cohort.down or cohort.up:
            while cohort.down:
                cohort.give(*cohort.down.pop(0))
            if cohort.secrets:
                wrapped.append(cohort.secrets[2] in raw(tmp_path))
            while cohort.up:
                cohort.arrive(*cohort.up.pop(0))
        assert isinstance(cohort.parties[0].client.phase, Live)
        assert wrapped[0]
        assert len(cohort.secrets) == 3
        assert not any(secret in raw(tmp_path) for secret in cohort.secrets)


@pytest.mark.parametrize("answered", [True, False], ids=["answered", "left_behind"])
def test_closed_rounds_are_shut_on_the_raw_store(tmp_path: Path, answered: bool) -> None:
    """60: no file and no key that follows from one opens a secret of a round that is over."""
    with FileStore(tmp_path, MemoryAnchor()) as store:
        cohort = Stored(5, store)
        cohort.set_up()
        phase = cohort.parties[0].client.phase
        assert isinstance(phase, Live)
        vault = phase.member.vault
        rights = [vault.open(r) for r in range(cohort.terms.rounds)]
        chain_of_0 = vault.chain.reveal()
        assert chain_of_0 in raw(tmp_path)
        if answered:
            assert isinstance(cohort.run_round(), Summed)
        else:
            cohort.run_round(lambda n, stage: n != 0 or stage is not Stage.SURVIVORS)
            cohort.run_round()
        shares = {x for pair in rights[0].shares.values() for x in pair} - {b""}
        files = raw(tmp_path)
        assert chain_of_0 not in files
        gone = [rights[0].p.reveal(), rights[0].s.reveal()]
        given = b"".join(cohort.parties[0].sent(Stage.UNMASK_RESPONSE))
        gone += [share for share in shares if share not in given]
        assert not any(secret in files for secret in gone)
        sealed, slots = sealed_of(store), store.journal(TaskId(TASK)).slots()
        stolen = Vault.restore(phase.member.session.sid, sealed, slots["chain"])
        with pytest.raises(ParameterError):
            stolen.open(0)
        with pytest.raises(AuthenticationError):
            Vault(stolen.session, sealed, 0, stolen.chain).open(0)


def sealed_of(store: FileStore) -> tuple[bytes, ...]:
    records = store.journal(TaskId(TASK)).records()
    body = next(record.body for record in records if record.kind is RecordKind.SESSION)
    return SessionRecord.decode(body).sealed
