"""What must be refused in bounded mode (row B1) and in profile K (rows G1, S4, U3, Q1)."""

from __future__ import annotations

from tests.reference import messages
from tests.reference.cast import Recipe
from tests.reference.finder import Claims
from tests.reference.refused import JOINED, Case, Stage, changed
from tests.reference.values import bitmap, u32

BOUNDED_BASE = Recipe(
    "n10-bounded",
    "bounded mode: at most d = 1 of the active devices may be declared dropped",
    10,
    mode=2,
    R=2,
    rounds=(0, 1),
    claims=Claims(50_000, 100_000, 64, 20, 900_000, 8, d_ppm=100_000, bounded=True),
    absent=(("vector", (4,)),),
    full=(0, 4),
)

K_BASE = Recipe(
    "n129-profile-k",
    "profile K: ring, seeders and witness committee; one device deals nothing, two drop out",
    129,
    profile=2,
    R=1,
    dims=(4,),
    bits=(16,),
    claims=Claims(50_000, 100_000, 64, 20, 900_000, 3),
    absent=(("shares", (17,)), ("vector", (40,)), ("answer", (90,))),
    full=(0, 64, 128),
)


def bounded_cases(stage: Stage) -> list[Case]:
    """U_r and A_r differ by more than d, though U_r is large enough."""
    session, run = f"session-{BOUNDED_BASE.name}", stage.rounds[0]

    def survivors(members: range) -> bytes:
        return messages.survivors(stage.sid, 0, run.rctx, bitmap(members, 10), stage.key)

    started = (*JOINED, "start:0")
    found = [
        Case("bounded_two_dropped", "B1", "survivors", survivors(range(8)), started),
        Case("bounded_below_umin", "U3", "survivors", survivors(range(7)), started),
        Case(
            "bounded_second_bitmap",
            "U4",
            "survivors",
            survivors(range(10)),
            (*started, "survivors:0"),
        ),
    ]
    out = []
    for case in found:
        out.append(
            Case(case.name, case.code, case.stage, case.message, case.after, session=session)
        )
    return out


def k_cases(stage: Stage) -> list[Case]:
    setup, run = stage.setup, stage.rounds[0]
    session = f"session-{K_BASE.name}"
    rd, seeders = setup.session.rd, setup.seeders
    items = [
        u32(i) + setup.cast.devices[i].nonce(setup.cast.ho) + setup.reveals[i][-64:]
        for i in seeders
    ]

    def seed(listed: list[bytes], digest: bytes = rd) -> bytes:
        body = digest + u32(len(listed)) + b"".join(listed)
        return body + messages.sign(stage.key, "sa2/v1/seed", body)

    stranger = next(i for i in range(setup.session.n) if i not in seeders)
    device = setup.cast.devices[stranger]
    revealed = messages.reveal(
        setup.cast.ho, rd, device.nonce(setup.cast.ho), device.party.ik_secret
    )
    foreign = u32(stranger) + revealed[64:]
    before = ("offer", "roster")
    raw = {
        "seed_with_fewer": ("G1", seed(items[:-1])),
        "seed_with_more": ("G1", seed([*items, foreign])),
        "seed_of_a_stranger": ("G1", seed([*items[:-1], foreign])),
        "seed_twice": ("G1", seed([*items[:-1], items[0]])),
        "seed_wrong_nonce": ("G1", seed([changed(items[0], 5), *items[1:]])),
        "seed_bad_reveal_signature": ("G1", seed([changed(items[0], -1), *items[1:]])),
        "seed_empty": ("G1", seed([])),
        "seed_bad_signature": ("M2", changed(setup.seed, -1)),
        "seed_other_roster": ("M2", seed(items, bytes(32))),
        "seed_trailing_byte": ("M1", setup.seed + b"\0"),
    }
    cases = [
        Case(name, code, "seed", data, before, session=session)
        for name, (code, data) in raw.items()
    ]
    joined = ("offer", "roster", "seed", "peer_keys", "deliver")
    n, near = setup.session.n, sorted(setup.session.graph.neighbours[0])
    lost = set(near[: setup.session.derived.k - setup.session.derived.t + 1])
    everybody = set(range(n)) - {17}
    start = messages.round_start(
        stage.sid,
        0,
        bitmap(set(range(n)) - lost, n),
        run.payload[0],
        run.params.encoded(),
        setup.cast.offer.not_before + 100,
        stage.key,
    )
    few = messages.survivors(stage.sid, 0, run.rctx, bitmap(everybody - lost, n), stage.key)
    U_r = bitmap(run.U, n)
    witnesses = setup.session.graph.witnesses
    outsider = next(i for i in run.U if i not in witnesses)
    q = setup.session.derived.q
    signers = sorted([*sorted(run.agrees)[: q - 1], outsider])
    signed = {}
    for i in signers:
        key = stage.device_key(i)
        signed[i] = messages.agree(stage.sid, 0, run.rctx, U_r, key)[-64:]
    quorum = messages.agree_set(stage.sid, 0, signed)
    agreed = (*joined, "start:0", "survivors:0")
    cases += [
        Case("start_neighbours_below_t", "S4", "round_start", start, joined, session=session),
        Case(
            "survivors_neighbours_below_t",
            "U3",
            "survivors",
            few,
            (*joined, "start:0"),
            session=session,
        ),
        Case("agree_signer_not_a_witness", "Q1", "agree_set", quorum, agreed, session=session),
    ]
    return cases
