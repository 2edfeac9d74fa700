"""Rosters, peer keys and boxes that must be refused (rows M, R, G2 and D1)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from tests.reference import messages
from tests.reference.cast import NOW
from tests.reference.certificates import Party
from tests.reference.refused import JOINED, Case, Stage, changed
from tests.reference.session import open_session
from tests.reference.values import H, P, element

LOW_ORDER = (0, 1, P - 1, P, P + 1)
"""Values of 2.5; the two points of order 8 follow in `eights`."""

EIGHTS = (
    "e0eb7a7c3b41b8ae1656e3faf19fc46ada098deb9c32b1fd866205165f49b800",
    "5f9c95bca3508c24b1d0b1559c83ef5b04445cc4581c8e86d8224eddd09f1157",
)


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
        "own_entry_altered": (
            "R2",
            _roster(stage, [_entry(stage, 0, pks=setup.pks[1][::-1]), *entries[1:]]),
        ),
        "entry_twice": ("R2", _roster(stage, [*entries[:6], *entries[5:]])),
        "entries_unsorted": (
            "R2",
            _roster(stage, [entries[0], entries[2], entries[1], *entries[3:]]),
        ),
        "same_box_pk": ("R2", at_5(_entry(stage, 5, box_pk=entries[4][218:250]))),
        "same_pks": ("R2", at_5(_entry(stage, 5, pks=setup.pks[4]))),
        "roster_below_least_cohort": ("R2", _roster(stage, entries[:7])),
        "roster_bad_signature": ("M2", changed(setup.roster, -1)),
        "roster_trailing_byte": ("M1", setup.roster + b"\0"),
        "roster_count_beyond_bytes": ("M1", changed(setup.roster, 32)),
        "roster_count_huge": ("M1", changed(setup.roster, 35, 0xFF)),
    }
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
        Case(
            "peer_keys_swapped",
            "G2",
            "peer_keys",
            rd + honest[128:224] + honest[32:128] + honest[224:],
            ("offer", "roster"),
        ),
        Case("peer_keys_trailing", "M1", "peer_keys", honest + bytes(32), ("offer", "roster")),
        Case("peer_keys_short", "M1", "peer_keys", honest[:-32], ("offer", "roster")),
        Case("peer_keys_other_roster", "M2", "peer_keys", changed(honest, 0), ("offer", "roster")),
    ]
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
