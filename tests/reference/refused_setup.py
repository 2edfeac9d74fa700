"""Offers, rosters, peer keys and boxes that must be refused (rows M, O, R, G, D)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from tests.reference import messages
from tests.reference.cast import FEDERATION, NOW, YEAR_S
from tests.reference.certificates import Party, authority_key_id, revocation_list
from tests.reference.curve import ed25519_public
from tests.reference.messages import Offer
from tests.reference.refused import JOINED, Case, Stage, changed
from tests.reference.session import open_session
from tests.reference.values import P, H, element

LOW_ORDER = (0, 1, P - 1, P, P + 1)
"""Values of 2.5; the two points of order 8 follow in `eights`."""

EIGHTS = (
    "e0eb7a7c3b41b8ae1656e3faf19fc46ada098deb9c32b1fd866205165f49b800",
    "5f9c95bca3508c24b1d0b1559c83ef5b04445cc4581c8e86d8224eddd09f1157",
)


@dataclass(frozen=True, slots=True)
class Issuer:
    """Offers of the honest aggregator, with changes."""

    stage: Stage

    def offer(
        self,
        *,
        certificate: bytes | None = None,
        revocations: bytes | None = None,
        key_id: bytes | None = None,
        key: bytes | None = None,
        **changes: object,
    ) -> bytes:
        cast = self.stage.setup.cast
        claims = {k: v for k, v in changes.items() if k in type(cast.offer.claims).__slots__}
        others = {k: v for k, v in changes.items() if k not in claims}
        made: Offer = replace(
            cast.offer,
            claims=replace(cast.offer.claims, **claims),  # type: ignore[arg-type]
            **others,  # type: ignore[arg-type]
        )
        own = authority_key_id(ed25519_public(cast.authority))
        return made.encoded(
            own if key_id is None else key_id,
            cast.aggregator_certificate if certificate is None else certificate,
            cast.revocations if revocations is None else revocations,
            cast.aggregator.ik_secret if key is None else key,
        )

    def aggregator(self, **changes: object) -> bytes:
        """The aggregator's certificate with other contents, signed by the authority."""
        cast = self.stage.setup.cast
        return replace(cast.aggregator, **changes).certificate(cast.authority)  # type: ignore[arg-type]

    def revoking(self, *serials: int, **changes: int) -> bytes:
        cast = self.stage.setup.cast
        base = {"number": 1, "this_update": NOW, "next_update": NOW + YEAR_S, **changes}
        return revocation_list(cast.authority, FEDERATION, serials=serials, **base)


def offer_cases(stage: Stage) -> list[Case]:
    issuer, cast = Issuer(stage), stage.setup.cast
    honest = cast.offer_bytes
    by_aggregator = revocation_list(
        cast.aggregator.ik_secret, FEDERATION, 1, NOW, NOW + YEAR_S, ()
    )
    # Offer: version u16, min_version u16, then the suite.
    version_2 = _resigned(honest, 0, b"\x02\0\x02\0", cast.aggregator.ik_secret)
    unsorted = _unsorted_list(stage)
    first = {
        "offer_bad_signature": ("M2", changed(honest, -1)),
        "offer_trailing_byte": ("M1", honest + b"\0"),
        "offer_short": ("M1", honest[:-1]),
        "offer_empty": ("M1", b""),
        "offer_kem_low_order": ("M1", _kem(stage, element(1))),
        "offer_kem_noncanonical": ("M1", _kem(stage, element(9 + P))),
        "offer_kem_top_bit": ("M1", _kem(stage, element(9 + 2**255))),
        "offer_list_unsorted": ("M1", issuer.offer(revocations=unsorted)),
        "offer_other_task": ("M2", issuer.offer(task=b"task-00000000002")),
        "offer_other_federation": ("M2", issuer.offer(federation=b"federation-00002")),
        "offer_signed_by_device": ("M2", issuer.offer(key=stage.device_key(1))),
        "version_unknown": ("O1", version_2),
        "suite_unknown": ("O1", issuer.offer(suite=3)),
        "profile_unknown": ("O1", issuer.offer(profile=3)),
        "mode_unknown": ("O1", issuer.offer(mode=3)),
        "profile_k_not_allowed": ("O1", issuer.offer(profile=2)),
        "bounded_not_allowed": ("O1", issuer.offer(mode=2, d_ppm=100_000)),
        "gamma_zero_offer": ("O1", issuer.offer(gamma_ppm=0)),
        "sigma_one_offer": ("O1", issuer.offer(sigma=1)),
        "least_cohort_2": ("O1", issuer.offer(least_cohort=2)),
        "R_257": ("O1", issuer.offer(R=257)),
        "R_0": ("O1", issuer.offer(R=0)),
        "life_25h": ("O1", issuer.offer(life_s=25 * 3_600)),
        "offer_expired": ("O1", issuer.offer(not_before=NOW - 7_200)),
        "offer_from_the_future": ("O1", issuer.offer(not_before=NOW + 1_000)),
        "aggregator_expired": ("O3", issuer.offer(certificate=issuer.aggregator(not_after=NOW - 1))),
        "aggregator_is_a_device": ("O3", issuer.offer(certificate=issuer.aggregator(role=1))),
        "aggregator_revoked": ("O3", issuer.offer(revocations=issuer.revoking(1))),
        "aggregator_uncertified": ("O3", issuer.offer(certificate=changed(cast.aggregator_certificate, -1))),
        "list_signed_by_aggregator": ("O3", issuer.offer(revocations=by_aggregator)),
        "stale_revocation_list": ("O3", issuer.offer(revocations=issuer.revoking(this_update=NOW - YEAR_S, next_update=NOW - 100 * 86_400))),
        "other_authority": ("O3", issuer.offer(key_id=bytes(32))),
    }  # fmt: skip
    cases = [Case(name, code, "offer", data, ()) for name, (code, data) in first.items()]
    newer = issuer.offer(revocations=issuer.revoking(number=5))
    cases += [
        Case("old_revocation_list", "O3", "offer", issuer.offer(epoch=2), (("offer", newer),)),
        Case("epoch_going_back", "O2", "offer", honest, (("offer", issuer.offer(epoch=2)),)),
        Case("two_offers_same_epoch", "O2", "offer", issuer.offer(life_s=1_800), ("offer",)),
    ]
    return cases


def _resigned(offer: bytes, at: int, data: bytes, key: bytes) -> bytes:
    from_body = offer[:-64]
    body = from_body[:at] + data + from_body[at + len(data) :]
    return body + messages.sign(key, "sa2/v1/offer", body)


def _kem(stage: Stage, kem: bytes) -> bytes:
    """An offer whose aggregator certificate names this X25519 key, all signatures good."""
    cast = stage.setup.cast
    certificate = cast.aggregator_certificate
    body = certificate[:66] + kem + certificate[98:-64]
    made = body + messages.sign(cast.authority, "sa2/v1/cert", body)
    return Issuer(stage).offer(certificate=made)


def _unsorted_list(stage: Stage) -> bytes:
    return Issuer(stage).revoking(1_001, 1_000)


def _roster(stage: Stage, entries: Sequence[bytes]) -> bytes:
    """In the order given."""
    ho = stage.setup.cast.ho
    body = ho + len(entries).to_bytes(4, "little") + b"".join(entries)
    return body + messages.sign(stage.key, "sa2/v1/roster", body)


def _entry(
    stage: Stage,
    index: int,
    *,
    party: Party | None = None,
    box_pk: bytes | None = None,
    pks: Sequence[bytes] | None = None,
    ho: bytes | None = None,
    authority: bytes | None = None,
) -> bytes:
    """Device `index` advertises something else: what a colluder can sign."""
    setup, cast = stage.setup, stage.setup.cast
    device = cast.devices[index]
    who = device.party if party is None else party
    own = setup.session.entries[index]
    return messages.advertise(
        cast.ho if ho is None else ho,
        who.certificate(cast.authority if authority is None else authority),
        own[218:250] if box_pk is None else box_pk,
        setup.pks[index] if pks is None else pks,
        setup.coms[index],
        own[314:346],
        who.ik_secret,
    )[1]


def roster_cases(stage: Stage) -> list[Case]:
    setup, cast = stage.setup, stage.setup.cast
    entries = list(setup.session.entries)
    party = cast.devices[5].party

    def at_5(entry: bytes) -> bytes:
        return _roster(stage, [*entries[:5], entry, *entries[6:]])

    expired = replace(party, not_after=NOW - 1)
    revoked = replace(party, serial=1_000)
    aggregator = replace(party, role=2)
    operator = replace(party, role=3)
    found = {
        "expired_entry": ("R1", at_5(_entry(stage, 5, party=expired))),
        "revoked_entry": ("R1", at_5(_entry(stage, 5, party=revoked))),
        "aggregator_certificate_in_roster": ("R1", at_5(_entry(stage, 5, party=aggregator))),
        "operator_in_roster": ("R1", at_5(_entry(stage, 5, party=operator))),
        "uncertified_entry": ("R1", at_5(_entry(stage, 5, authority=party.ik_secret))),
        "entry_of_other_offer": ("R1", at_5(_entry(stage, 5, ho=bytes(32)))),
        "entry_bad_signature": ("R1", at_5(changed(entries[5], -1))),
        "own_entry_absent": ("R2", _roster(stage, entries[1:])),
        "own_entry_altered": ("R2", _roster(stage, [_entry(stage, 0, pks=setup.pks[1][::-1]), *entries[1:]])),
        "entry_twice": ("R2", _roster(stage, [*entries[:6], *entries[5:]])),
        "entries_unsorted": ("R2", _roster(stage, [entries[0], entries[2], entries[1], *entries[3:]])),
        "same_box_pk": ("R2", at_5(_entry(stage, 5, box_pk=entries[4][218:250]))),
        "same_pks": ("R2", at_5(_entry(stage, 5, pks=setup.pks[4]))),
        "roster_below_least_cohort": ("R2", _roster(stage, entries[:7])),
        "roster_bad_signature": ("M2", changed(setup.roster, -1)),
        "roster_trailing_byte": ("M1", setup.roster + b"\0"),
        "roster_count_beyond_bytes": ("M1", changed(setup.roster, 32)),
        "roster_count_huge": ("M1", changed(setup.roster, 35, 0xFF)),
    }  # fmt: skip
    cases = [Case(name, code, "roster", data, ("offer",)) for name, (code, data) in found.items()]
    smaller = _roster(stage, entries[:9])
    cases.append(Case("second_roster", "R3", "roster", smaller, ("offer", "roster")))
    return cases


def peer_key_cases(stage: Stage) -> list[Case]:
    setup = stage.setup
    honest = setup.peer_keys[0]
    rd = setup.session.rd
    found = [
        Case("peer_key_changed", "G2", "peer_keys", changed(honest, 40), ("offer", "roster")),
        Case("peer_keys_swapped", "G2", "peer_keys", rd + honest[128:224] + honest[32:128] + honest[224:], ("offer", "roster")),
        Case("peer_keys_trailing", "M1", "peer_keys", honest + bytes(32), ("offer", "roster")),
        Case("peer_keys_short", "M1", "peer_keys", honest[:-32], ("offer", "roster")),
        Case("peer_keys_other_roster", "M2", "peer_keys", changed(honest, 0), ("offer", "roster")),
    ]  # fmt: skip
    chosen = {f"low_order_{i}": element(value) for i, value in enumerate(LOW_ORDER)}
    chosen |= {f"order_8_{i}": bytes.fromhex(value) for i, value in enumerate(EIGHTS)}
    chosen |= {
        "noncanonical_9_plus_P": element(9 + P),
        "noncanonical_top_bit": element(9 + 2**255),
        "own_key_echoed": setup.pks[0][1],
        "anothers_key_repeated": setup.pks[4][1],
    }
    for name, key in chosen.items():
        pks = (setup.pks[5][0], key, setup.pks[5][2])
        entries = list(setup.session.entries)
        entries[5] = _entry(stage, 5, pks=pks)
        roster = _roster(stage, entries)
        digest = H("sa2/v1/roster", setup.cast.ho, roster)
        lists = [pks if i == 5 else setup.pks[i] for i in range(1, 10)]
        message = messages.peer_keys(digest, lists)
        after = ("offer", ("roster", roster))
        found.append(Case(f"peer_key_{name}", "G2", "peer_keys", message, after))
    return found


def box_cases(stage: Stage) -> list[Case]:
    setup, sid, key = stage.setup, stage.sid, stage.key
    received = {i: setup.boxes[i][0] for i in range(1, 10)}
    before = JOINED[:3]

    def raw(items: Sequence[tuple[int, bytes]], session: bytes = sid) -> bytes:
        body = session + len(items).to_bytes(4, "little")
        body += b"".join(i.to_bytes(4, "little") + box for i, box in items)
        label = "sa2/v1/deliver"
        return body + messages.sign(key, label, H(label, body))

    listed = sorted(received.items())
    swapped = [(1, received[2]), (2, received[1]), *listed[2:]]
    wrong_way = [(i, setup.boxes[0][i]) for i in range(1, 10)]
    foreign = [(i, setup.boxes[i][9]) for i in range(1, 9)]
    other = open_session(
        replace(setup.session.offer, epoch=2),
        bytes(32),
        setup.roster,
        list(setup.session.entries),
        b"",
    )
    elsewhere = []
    for i in range(1, 10):
        device = setup.cast.devices[i]
        elsewhere.append((i, device.box(other, i, 0, setup.polynomials[i])))
    found = {
        "deliver_stranger": ("D1", raw([*listed, (10, received[9])])),
        "deliver_from_myself": ("D1", raw([(0, received[1]), *listed[1:]])),
        "deliver_twice": ("D1", raw([listed[0], *listed])),
        "deliver_too_few": ("D1", raw(listed[:4])),
        "deliver_none": ("D1", raw([])),
        "deliver_swapped": ("D1", raw([*swapped[:2], *listed[2:5]])),
        "deliver_wrong_direction": ("D1", raw(wrong_way)),
        "deliver_foreign_box": ("D1", raw(foreign)),
        "deliver_other_epoch_box": ("D1", raw(elsewhere)),
        "deliver_damaged_boxes": ("D1", raw([(i, changed(box, 20)) for i, box in listed])),
        "deliver_share_not_canonical": ("D1", raw(_large_shares(stage))),
        "deliver_bad_signature": ("M2", changed(setup.deliver[0], -1)),
        "deliver_box_short": ("M1", setup.deliver[0][:-65] + setup.deliver[0][-64:]),
        "deliver_trailing_byte": ("M1", setup.deliver[0] + b"\0"),
    }
    return [Case(name, code, "deliver", data, before) for name, (code, data) in found.items()]


def _large_shares(stage: Stage) -> list[tuple[int, bytes]]:
    """Boxes that open, of shares that are P and not 0 (2.4)."""
    setup = stage.setup
    plain = element(P) * (2 * setup.cast.offer.R)
    out = []
    for i in range(1, 10):
        out.append((i, setup.cast.devices[i].box_of(setup.session, i, 0, plain)))
    return out
