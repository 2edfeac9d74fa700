"""What a device refuses in a roster: tests 29, 31 and 34 to 36 of docs/protocol.md section 16."""

from __future__ import annotations

from dataclasses import replace

import pytest

from dreamshare_crypto.certificates import Role
from dreamshare_crypto.errors import RefusalCode
from dreamshare_crypto.kdf import hash_parts
from dreamshare_crypto.keys import AgreementKey, IdentityKey
from dreamshare_crypto.secagg.epoch_messages import (
    Advertise,
    Deliver,
    PeerKeys,
    Roster,
    RosterEntry,
    Shares,
)
from dreamshare_crypto.secagg.events import (
    EndReason,
    EpochOver,
    Refuse,
    Stage,
)
from dreamshare_crypto.secagg.phases import Advertised, Idle, Rostered, session_of
from dreamshare_crypto.secagg.schedule import EpochKeys
from dreamshare_crypto.secret import Secret
from tests.sim.secagg.federation import NOW, make_terms
from tests.sim.secagg.harness import Cohort


@pytest.fixture
def cohort() -> Cohort:
    """Four devices whose roster is made and not yet given to anybody."""
    return advertised(Cohort(4))


def advertised(cohort: Cohort) -> Cohort:
    cohort.start()
    while cohort.down:
        cohort.give(*cohort.down.pop(0))
    while cohort.up:
        number, stage, body = cohort.up.pop(0)
        cohort.arrive(number, stage, body)
    return cohort


def made(cohort: Cohort, stage: Stage, number: int = 0) -> bytes:
    """Return the message that the honest aggregator has ready for a device."""
    return next(body for n, s, body in cohort.down if (n, s) == (number, stage))


def roster_of(cohort: Cohort) -> Roster:
    return Roster.decode(made(cohort, Stage.ROSTER))


def give(cohort: Cohort, roster: Roster, number: int = 0) -> tuple[object, ...]:
    return cohort.give(number, Stage.ROSTER, signed(cohort, roster).encode())


def signed(cohort: Cohort, roster: Roster) -> Roster:
    return roster.sign(cohort.aggregator.signing)


def refused(cohort: Cohort, roster: Roster, code: str) -> None:
    """The roster ends the epoch at device 0, which dealt nothing."""
    party = cohort.parties[0]
    effects = give(cohort, roster)
    assert [type(e) for e in effects if isinstance(e, Refuse | EpochOver)] == [EpochOver, Refuse]
    assert party.refusals() == [code]
    assert EpochOver(EndReason.REFUSED) in effects
    assert isinstance(party.client.phase, Idle)
    assert party.sent(Stage.SHARES) == []
    assert "seed-wrap" not in party.journal.slots


def outsider(
    cohort: Cohort,
    label: str,
    role: Role = Role.DEVICE,
    not_after: int = int(NOW) + 1000,
    like: RosterEntry | None = None,
) -> RosterEntry:
    """Return the entry of somebody who signed for the very offer, with keys of its own."""
    entropy = cohort.federation.entropy.fork(label)
    signing, kem = IdentityKey.generate(entropy), AgreementKey.generate(entropy)
    certificate = cohort.federation.certify(role, signing, kem, not_after=not_after)
    return signed_entry(cohort, certificate, signing, entropy.draw(32), like)


def signed_entry(cohort, certificate, signing, seed, like=None) -> RosterEntry:
    keys = EpochKeys(Secret(seed), roster_of(cohort).offer_hash, certificate.id)
    rounds = range(cohort.terms.rounds)
    entry = Advertise(
        offer_hash=keys.offer_hash,
        certificate=certificate,
        box_pk=keys.box_key().public,
        keys=tuple(keys.pair_key(r).public for r in rounds),
        commitments=tuple(keys.commitment(r) for r in rounds),
        nonce_commitment=keys.nonce_commitment(),
    ).entry()
    if like is not None:
        entry = replace(entry, box_pk=like.box_pk, keys_hash=like.keys_hash)
    signature = signing.sign(RosterEntry.LABEL, entry.statement(keys.offer_hash))
    return replace(entry, signature=signature)


def with_entries(cohort: Cohort, *added: RosterEntry) -> Roster:
    entries = (*roster_of(cohort).entries, *added)
    return replace(roster_of(cohort), entries=tuple(sorted(entries, key=lambda e: e.id)))


def test_roster_with_one_more_device(cohort: Cohort) -> None:
    """The tools of this file make good entries: what is refused below is refused for its fault."""
    give(cohort, with_entries(cohort, outsider(cohort, "late")))
    assert isinstance(cohort.parties[0].client.phase, Rostered)


def test_roster_bad_signature(cohort: Cohort) -> None:
    body = roster_of(cohort).sign(cohort.parties[1].identity.signing).encode()
    assert cohort.give(0, Stage.ROSTER, body) == ()
    assert isinstance(cohort.parties[0].client.phase, Advertised)


# ---- 34, 36: R1 ----------------------------------------------------------------------------------


def test_phantom_devices(cohort: Cohort) -> None:
    """Three entries that the authority never certified."""
    phantoms = []
    for label in ("a", "b", "c"):
        entry = outsider(cohort, label)
        forged = replace(entry.certificate, signature=bytes(64))
        phantoms.append(replace(entry, certificate=forged))
    refused(cohort, with_entries(cohort, *phantoms), "R1")


def with_revoked_device() -> Cohort:
    """Return a cohort that advertised under an offer whose list revokes device 2."""
    cohort = Cohort(4)
    revocations = cohort.federation.revoke(2, [cohort.parties[2].identity.certificate.serial])
    cohort.aggregator = replace(cohort.aggregator, revocations=revocations)
    cohort.server = cohort.new_server(epoch=1)
    return advertised(cohort)


def test_revoked_entry() -> None:
    cohort = with_revoked_device()
    advertisements = [Advertise.decode(p.sent(Stage.ADVERTISE)[0], 4) for p in cohort.parties]
    entries = tuple(advertisement.entry() for advertisement in advertisements)
    refused(cohort, Roster(session_offer(cohort), entries), "R1")


def test_revoked_device_is_left_out() -> None:
    """The honest aggregator does not count its advertisement."""
    cohort = with_revoked_device()
    cohort.pass_deadline()
    assert len(cohort.server.members) == 3
    assert cohort.parties[2].id not in cohort.server.members


def session_offer(cohort: Cohort) -> bytes:
    phase = cohort.parties[0].client.phase
    assert isinstance(phase, Advertised)
    return phase.offer_hash


def test_expired_entry(cohort: Cohort) -> None:
    refused(cohort, with_entries(cohort, outsider(cohort, "old", not_after=int(NOW) - 1)), "R1")


def test_aggregator_certificate_in_roster(cohort: Cohort) -> None:
    refused(cohort, with_entries(cohort, outsider(cohort, "agg", Role.AGGREGATOR)), "R1")


def test_entry_for_other_offer(cohort: Cohort) -> None:
    entry = outsider(cohort, "elsewhere")
    entropy = cohort.federation.entropy.fork("elsewhere")
    signing = IdentityKey.generate(entropy)
    statement = entry.statement(hash_parts("sa2/v1/offer", b"another offer"))
    moved = replace(entry, signature=signing.sign(RosterEntry.LABEL, statement))
    refused(cohort, with_entries(cohort, moved), "R1")


def test_roster_of_other_offer(cohort: Cohort) -> None:
    """Not refused but dropped (M2): a roster that was overtaken by the offer of the next epoch."""
    party = cohort.parties[0]
    roster = replace(roster_of(cohort), offer_hash=bytes(32)).sign(cohort.aggregator.signing)
    before = party.client.phase
    assert cohort.give(0, Stage.ROSTER, roster.encode()) == ()
    assert party.client.phase is before
    assert party.client.counts == {RefusalCode.M2: 1}


@pytest.mark.parametrize("value", [0, 1, 2**255 - 20])
def test_low_order_box_key(cohort: Cohort, value: int) -> None:
    bad = value.to_bytes(32, "little")
    honest = outsider(cohort, "weak")
    like = replace(honest, box_pk=bad)
    refused(cohort, with_entries(cohort, outsider(cohort, "weak", like=like)), "R1")


# ---- 35: R2 --------------------------------------------------------------------------------------


def test_same_ik_two_ids(cohort: Cohort) -> None:
    signing = cohort.parties[1].identity.signing
    certificate = cohort.federation.certify(
        Role.DEVICE, signing, cohort.parties[1].identity.kem, id_=bytes(16)
    )
    twin = signed_entry(cohort, certificate, signing, b"s" * 32)
    refused(cohort, with_entries(cohort, twin), "R2")


def test_same_id_two_certificates(cohort: Cohort) -> None:
    entropy = cohort.federation.entropy.fork("twin")
    signing, kem = IdentityKey.generate(entropy), AgreementKey.generate(entropy)
    certificate = cohort.federation.certify(Role.DEVICE, signing, kem, id_=cohort.parties[1].id)
    twin = signed_entry(cohort, certificate, signing, b"s" * 32)
    refused(cohort, with_entries(cohort, twin), "R2")


@pytest.mark.parametrize("field", ["box_pk", "keys_hash"])
def test_same_keys(cohort: Cohort, field: str) -> None:
    entry = outsider(cohort, "copies")
    copied = getattr(roster_of(cohort).entries[1], field)
    refused(
        cohort,
        with_entries(cohort, outsider(cohort, "copies", like=replace(entry, **{field: copied}))),
        "R2",
    )


def test_own_entry_absent(cohort: Cohort) -> None:
    roster = roster_of(cohort)
    refused(cohort, replace(roster, entries=roster.entries[1:]), "R2")


def test_own_entry_altered(cohort: Cohort) -> None:
    roster = roster_of(cohort)
    altered = replace(roster.entries[0], nonce_commitment=bytes(32))
    refused(cohort, replace(roster, entries=(altered, *roster.entries[1:])), "R2")


def test_roster_unsorted(cohort: Cohort) -> None:
    roster = roster_of(cohort)
    refused(cohort, replace(roster, entries=roster.entries[::-1]), "R2")


def test_roster_of_two(cohort: Cohort) -> None:
    roster = roster_of(cohort)
    refused(cohort, replace(roster, entries=roster.entries[:2]), "R2")


def test_roster_above_n_max() -> None:
    cohort = advertised(Cohort(4, make_terms(n_max=4)))
    refused(cohort, with_entries(cohort, outsider(cohort, "fifth")), "R2")


# ---- 29, 31: R3 and other sessions ---------------------------------------------------------------


@pytest.mark.parametrize("restarted", [False, True])
@pytest.mark.parametrize("ready", [False, True])
def test_two_rosters_crash(cohort: Cohort, restarted: bool, ready: bool) -> None:
    """A second roster of the epoch: evidence, and no second Shares, before and after a restart."""
    party, first = cohort.parties[0], roster_of(cohort)
    second = with_entries(cohort, outsider(cohort, "the reason for a second roster"))
    if ready:
        cohort.pump()
    else:
        give(cohort, first)
        cohort.give(0, Stage.PEER_KEYS, made(cohort, Stage.PEER_KEYS))
    (shares,) = party.sent(Stage.SHARES)
    if restarted:
        party.restart()
    effects = give(cohort, second)
    assert party.refusals() == ["R3"]
    (evidence,) = party.evidence()
    assert (evidence.first, evidence.second) == (
        first.encode(),
        signed(cohort, second).encode(),
    )
    assert EpochOver(EndReason.EVIDENCE) in effects
    assert set(party.sent(Stage.SHARES)) == {shares}


def test_same_roster_again(cohort: Cohort) -> None:
    party, roster = cohort.parties[0], roster_of(cohort)
    give(cohort, roster)
    records = len(party.journal.records)
    assert give(cohort, roster) == ()
    assert isinstance(party.client.phase, Rostered)
    assert len(party.journal.records) == records


def test_two_rosters_two_devices(cohort: Cohort) -> None:
    """Devices with different rosters are in different sessions: their boxes do not open (31)."""
    fifth = outsider(cohort, "fifth")
    entropy = cohort.federation.entropy.fork("fifth")
    IdentityKey.generate(entropy), AgreementKey.generate(entropy)
    fifth_keys = EpochKeys(Secret(entropy.draw(32)), session_offer(cohort), fifth.id)
    pks = b"".join(fifth_keys.pair_key(r).public for r in range(cohort.terms.rounds))
    wide = signed(cohort, with_entries(cohort, fifth))
    own = {p.id: Advertise.decode(p.sent(Stage.ADVERTISE)[0], 4).keys for p in cohort.parties}
    keys = {device: b"".join(parts) for device, parts in own.items()} | {fifth.id: pks}
    others = tuple(keys[e.id] for e in wide.entries if e.id != cohort.parties[0].id)
    cohort.give(0, Stage.ROSTER, wide.encode())
    cohort.give(0, Stage.PEER_KEYS, PeerKeys(wide.digest(), others).encode())
    for number in (1, 2, 3):
        cohort.give(number, Stage.ROSTER, made(cohort, Stage.ROSTER, number))
        cohort.give(number, Stage.PEER_KEYS, made(cohort, Stage.PEER_KEYS, number))
    sessions = [session_of(party.client.phase) for party in cohort.parties]
    assert sessions[0].sid != sessions[1].sid == sessions[2].sid == sessions[3].sid
    place = {entry.id: i for i, entry in enumerate(wide.entries)}
    boxes = []
    for number in (1, 2, 3):
        shares = Shares.decode(cohort.parties[number].sent(Stage.SHARES)[0], 4)
        boxes.append((place[cohort.parties[number].id], dict(shares.boxes)[0]))
    deliver = Deliver(sessions[0].sid, tuple(sorted(boxes))).sign(cohort.aggregator.signing)
    cohort.give(0, Stage.DELIVER, deliver.encode())
    assert cohort.parties[0].refusals() == ["D1"]
    assert isinstance(cohort.parties[0].client.phase, Idle)
