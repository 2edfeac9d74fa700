"""No phase prints a secret: what ends in a log or a traceback says of secrets how long they are."""

from __future__ import annotations

from dreamshare_crypto.secagg.events import Stage
from dreamshare_crypto.secagg.phases import Ready, Shared
from tests.sim.secagg.harness import Cohort


def printed(secret: bytes) -> str:
    """Return how bytes appear inside a repr, without its quotes."""
    return repr(secret)[2:-1]


def test_phases_print_no_secret() -> None:
    """Seed, round secrets, shares and chain are in none of the reprs; lengths are."""
    cohort = Cohort(3)
    cohort.start()
    cohort.pump(lambda number, stage: stage is not Stage.SHARES)
    phase = cohort.parties[0].client.phase
    assert isinstance(phase, Shared)
    seed, own_shares = phase.keys.seed, [share for pair in phase.held for share in pair if share]
    for secret in (seed.reveal(), *own_shares):
        assert printed(secret) not in repr(phase)
    assert "32 bytes" in repr(phase)

    cohort = Cohort(3)
    cohort.set_up()
    phase = cohort.parties[0].client.phase
    assert isinstance(phase, Ready)
    vault = phase.member.vault
    secrets = vault.open(0)
    shares = [share for pair in secrets.shares.values() for share in pair if share]
    shown = repr(phase) + repr(secrets)
    for secret in (vault.chain.reveal(), secrets.p.reveal(), secrets.s.reveal(), *shares):
        assert printed(secret) not in shown
