"""Devices of one process that share what they found out: never more than the bytes say."""

from __future__ import annotations

import pytest

from dreamshare_crypto.certificates import Certificate, Role
from dreamshare_crypto.keys import AgreementKey, IdentityKey
from dreamshare_crypto.secagg.events import Send, Stage
from dreamshare_crypto.secagg.once import Memo, Once
from dreamshare_crypto.secagg.phases import Idle, Rostered
from tests.sim.secagg.federation import NOW, Federation
from tests.sim.secagg.harness import Cohort

SHORT_S = 100


class ShortLived(Federation):
    """Devices' certificates end soon."""

    def certify(
        self,
        role: Role,
        signing: IdentityKey,
        kem: AgreementKey,
        *,
        id_: bytes | None = None,
        not_after: int = int(NOW) + SHORT_S,
    ) -> Certificate:
        ends = not_after if role is Role.DEVICE else int(NOW) + 10 * SHORT_S
        return super().certify(role, signing, kem, id_=id_, not_after=ends)


@pytest.mark.parametrize("once", [Once(), Once.shared()], ids=["alone", "shared"])
def test_time_is_everybodys_own(once: Once) -> None:
    """One device found a roster good while its certificates held; another looks a second later."""
    cohort = Cohort(3, federation=ShortLived(), once=once)
    cohort.start()
    cohort.pump(lambda number, stage: stage in (Stage.OFFER, Stage.ADVERTISE))
    (roster,) = {
        effect.body
        for effect in cohort.server_effects
        if isinstance(effect, Send) and effect.stage is Stage.ROSTER
    }
    cohort.now = NOW + SHORT_S
    cohort.give(0, Stage.ROSTER, roster)
    cohort.give(1, Stage.ROSTER, roster)
    cohort.now = NOW + SHORT_S + 1
    cohort.give(2, Stage.ROSTER, roster)
    first, second, late = cohort.parties
    assert isinstance(first.client.phase, Rostered)
    assert isinstance(second.client.phase, Rostered)
    assert late.refusals() == ["R1"]
    assert isinstance(late.client.phase, Idle)


def test_only_success_is_remembered() -> None:
    memo: Memo[int] = Memo(2)
    with pytest.raises(ZeroDivisionError):
        memo.of((b"x",), lambda: 1 // 0)
    assert memo.of((b"x",), lambda: 7) == 7
    assert memo.of((b"x",), lambda: 8) == 7


def test_names_are_not_joined() -> None:
    """Parts that join to the same bytes are two names."""
    memo: Memo[int] = Memo(8)
    assert memo.of((b"ab", b"c"), lambda: 1) == 1
    assert memo.of((b"a", b"bc"), lambda: 2) == 2


def test_a_memo_begins_anew_when_it_is_full() -> None:
    memo: Memo[int] = Memo(2)
    memo.of((b"\0",), lambda: 0)
    memo.of((b"\1",), lambda: 1)
    memo.of((b"\2",), lambda: 2)
    assert memo.of((b"\0",), lambda: 9) == 9
    assert memo.of((b"\2",), lambda: 9) == 2
