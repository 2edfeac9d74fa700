"""A device that spoils shares costs one round, and is in no later epoch of the task (11.3, 11.4).

n = 8: a = 1, t = floor(9 / 2) + 1 = 5, certainty from t + 2a = 7 answers.
"""

from __future__ import annotations

import pytest

from dreamshare.protocol.epochs import faulty_devices
from dreamshare.protocol.messages import Cohort, Sa2
from dreamshare.protocol.outcomes import (
    DeviceDeclined,
    DeviceFaulty,
    EpochStarted,
    SumAbandoned,
    TaskFailed,
)
from dreamshare_crypto.errors import RefusalCode
from dreamshare_crypto.floor import Floor
from dreamshare_crypto.secagg.events import AbortReason, FaultReason, Record, RecordKind, Stage
from tests.sim.rounds import invariants
from tests.sim.rounds.toy import Toy
from tests.sim.rounds.world import World
from tests.sim.secagg.liars import deal_badly


def world_with_a_liar(patch: pytest.MonkeyPatch, least: int) -> World:
    """Return a world of eight whose device 3 deals shares of no polynomial, not yet started."""
    world = World(8, Cohort(least, 8), toy=Toy(sums=3))
    deal_badly(patch, world.devices[3].id, lambda kind, r: range(8))
    return world


def restart_without_the_set_up(world: World) -> None:
    """The aggregator dies and finds offers and faults alone: another epoch has to follow."""
    kept = (RecordKind.SERVER_EPOCH, RecordKind.SERVER_FAULTY)
    world.records = [record for record in world.records if record.kind in kept]
    world.restart_aggregator()


def epochs(world: World) -> list[tuple[bytes, ...]]:
    return [report.members for report in world.reports if isinstance(report, EpochStarted)]


def test_a_faulty_dealer_costs_one_round(monkeypatch: pytest.MonkeyPatch) -> None:
    world = world_with_a_liar(monkeypatch, least=4)
    liar = world.devices[3].id
    world.run()
    fault = DeviceFaulty(liar, FaultReason.NOT_DECODABLE, 0)
    assert [r for r in world.reports if isinstance(r, DeviceFaulty)] == [fault]
    (abandoned,) = [r for r in world.reports if isinstance(r, SumAbandoned)]
    assert (abandoned.reason, abandoned.again) == (AbortReason.BAD_SHARES, True)
    assert len(world.sums) == 3
    assert all(liar not in done.survivors and len(done.survivors) == 7 for done, _ in world.sums)
    assert len(epochs(world)) == 1
    invariants.check_ended(world)


@pytest.mark.parametrize("fresh", [True, False])
def test_a_faulty_device_is_in_no_later_epoch(monkeypatch: pytest.MonkeyPatch, fresh: bool) -> None:
    """Also not after the aggregator's restart, nor when it checks in anew."""
    world = world_with_a_liar(monkeypatch, least=4)
    liar = world.devices[3]
    world.start()
    while not world.sums:
        assert world.step()
    restart_without_the_set_up(world)
    world.join(liar, fresh=fresh)
    world.finish()
    assert len(world.sums) == 3
    first, *later = epochs(world)
    assert liar.id in first
    assert later
    assert all(liar.id not in members and len(members) == 7 for members in later)
    assert len([r for r in world.reports if isinstance(r, DeviceFaulty)]) == 1


def test_without_it_the_task_may_have_to_wait(monkeypatch: pytest.MonkeyPatch) -> None:
    """Eight are wanted and seven are honest: no epoch begins without another device.

    A_min is t = 5, so the running epoch goes on; the next one has no cohort.
    """
    world = world_with_a_liar(monkeypatch, least=8)
    world.start()
    while not world.sums:
        assert world.step()
    restart_without_the_set_up(world)
    world.finish()
    assert len(epochs(world)) == 1
    assert not world.closed


def test_a_faulty_device_stays_out_of_the_epoch_that_goes_on(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    world = world_with_a_liar(monkeypatch, least=4)
    liar = world.devices[3].id
    world.start()
    while not world.sums:
        assert world.step()
    world.restart_aggregator()
    world.finish()
    assert len(epochs(world)) == 1
    assert all(liar not in done.survivors and len(done.survivors) == 7 for done, _ in world.sums)
    assert len([r for r in world.reports if isinstance(r, DeviceFaulty)]) == 1
    invariants.check_ended(world)


def test_devices_that_compare_rounds_stop_at_an_exclusion(monkeypatch: pytest.MonkeyPatch) -> None:
    """13.4, m = 2: leaving one out is a change of one, faulty or not; the task fails and says so.

    The spoilt round was answered, so the next one without the liar would be compared with it.
    """
    world = World(8, Cohort(4, 8), toy=Toy(sums=3), floor=Floor(least_change=2))
    liar = world.devices[3]
    deal_badly(monkeypatch, liar.id, lambda kind, r: range(8))
    world.run()
    assert world.closed
    assert world.sums == []
    assert [type(r) for r in world.reports].count(DeviceFaulty) == 1
    told = [r for r in world.reports if isinstance(r, DeviceDeclined)]
    assert {r.code for r in told} == {RefusalCode.S7}
    assert {r.device for r in told} == {d.id for d in world.devices} - {liar.id}
    assert isinstance(world.reports[-1], TaskFailed)
    for device in world.devices:
        sent = [m for m in device.sent if isinstance(m, Sa2)]
        assert [m.stage for m in sent].count(Stage.UNMASK_RESPONSE) == 1


def test_faults_are_read_from_a_journal(monkeypatch: pytest.MonkeyPatch) -> None:
    world = world_with_a_liar(monkeypatch, least=4)
    world.run()
    assert faulty_devices(world.records) == (world.devices[3].id,)
    assert faulty_devices([*world.records, *world.records]) == (world.devices[3].id,)
    assert faulty_devices([Record(RecordKind.OWNER, b"x")]) == ()
