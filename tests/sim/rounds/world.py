"""One aggregator and some devices without any IO: real round machines, messages moved by hand.

    world = World(devices=4)
    world.run()                                     # to the end, as a kind network would
    world.apply([Drop(0), Crash(2), Deliver()])     # or operation by operation

Rules:
- every input goes through `check_legal`'s tables here too: a machine that leaves its table fails;
- effects are carried out in order and the order itself is checked (`ordering`);
- a crash keeps a device's journal and loses everything else, what it was about to send included.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field

from dreamshare.binding import TaskLoop, terms_of
from dreamshare.errors import PeerProtocolError
from dreamshare.ids import PartyId, TaskId
from dreamshare.protocol import events
from dreamshare.protocol.coordinator import Coordinator
from dreamshare.protocol.journal import MemoryJournal
from dreamshare.protocol.messages import Cohort, DownMessage, RoundOpening, Sa2, UpMessage
from dreamshare.protocol.outcomes import DeviceOutcome, SumAbandoned, SumDone, TaskOutcome
from dreamshare.protocol.participant import Participant
from dreamshare.protocol.permits import Permits
from dreamshare.protocol.phases import COORDINATOR_LEGAL, PARTICIPANT_LEGAL, input_type
from dreamshare.protocol.plan import RoundPlan
from dreamshare.protocol.resuming import read_task
from dreamshare.updates import Update
from dreamshare_crypto.certificates import Role
from dreamshare_crypto.floor import Floor
from dreamshare_crypto.identity import Identity
from dreamshare_crypto.secagg.events import Record, RecordKind
from dreamshare_crypto.secagg.memory import Memory
from dreamshare_crypto.secagg.server_records import ROUND
from tests.sim.rounds import ordering
from tests.sim.rounds.operations import Operation
from tests.sim.rounds.toy import CONFIG, NAME, Toy, answer_of
from tests.sim.secagg.federation import NOW, TASK, Federation

WRITES = (events.Persist, events.Keep, events.Forget)
STEPS = 20_000
"""Messages and ticks after which a run counts as endless."""


@dataclass
class Device:
    """One device: its machine, its disk, and everything that it ever did."""

    identity: Identity
    participant: Participant
    journal: MemoryJournal = field(default_factory=MemoryJournal)
    memory: Memory = field(default_factory=Memory)
    connected: bool = False
    working: events.Compute | events.Learn | None = None
    outcomes: list[DeviceOutcome] = field(default_factory=list)
    learnt: list[int] = field(default_factory=list)
    sent: list[UpMessage] = field(default_factory=list)
    effects: list[events.ParticipantEffect] = field(default_factory=list)
    computed: Counter[bytes] = field(default_factory=Counter)
    writes_left: int | None = None  # its process dies when it would write to disk once more

    @property
    def id(self) -> PartyId:
        return PartyId(self.identity.id)

    def dies_at(self, effect: events.ParticipantEffect) -> bool:
        """Say whether the process dies before this effect is carried out."""
        if self.writes_left is None or not isinstance(effect, WRITES):
            return False
        self.writes_left -= 1
        return self.writes_left < 0


def allow(_plan: RoundPlan) -> None:
    """Permit every plan."""


class World:
    """A coordinator, participants, and what is on its way between them."""

    def __init__(
        self,
        devices: int = 4,
        cohort: Cohort | None = None,
        toy: Toy | None = None,
        permits: Permits = allow,
        floor: Floor | None = None,
        answers: Callable[[Update], Update] = lambda update: update,
    ) -> None:
        federation = Federation()
        self.now = NOW
        self.task = TaskId(TASK)
        self.toy = toy or Toy()
        self.permits = permits
        self.floor = floor or Floor()
        self.answers = answers
        self.entropy = federation.entropy.fork("world")
        self.identity = federation.issue(Role.AGGREGATOR, "aggregator")
        self.terms = terms_of(self.toy, cohort or Cohort(devices, devices), ordering.DEADLINES)
        self.loop = TaskLoop(self.toy, CONFIG)
        self.records: list[Record] = []  # on the aggregator's disk
        self.unsynced: list[Record] = []  # what it wrote and did not sync
        self.effects_left: int | None = None  # until its process dies
        self.restarts = 0
        self.tells: list[RoundPlan] = []
        self.reports: list[TaskOutcome] = []
        self.sums: list[tuple[SumDone, RoundPlan]] = []
        self.opened: list[RoundPlan] = []
        self.refused_peers = 0
        self.closed = False
        self.up: list[tuple[PartyId, UpMessage]] = []
        self.down: list[tuple[PartyId, DownMessage]] = []
        self.coordinator = Coordinator(self.identity, self.task, self.terms, self.entropy)
        self.devices = [
            self._device(federation.issue(Role.DEVICE, f"device {i}")) for i in range(devices)
        ]

    def _device(self, identity: Identity) -> Device:
        memory = Memory()
        participant = Participant(
            identity, self.task, self.floor, self.entropy, self.permits, memory
        )
        return Device(identity, participant, memory=memory)

    # ---- a kind network --------------------------------------------------------------------------

    def start(self) -> None:
        """Connect everybody and give the first order."""
        for device in self.devices:
            self.join(device)
        self.tell_coordinator(self.loop.order())

    def run(self) -> None:
        """Start, and deliver until the task is over."""
        self.start()
        self.finish()

    def finish(self) -> None:
        """Deliver everything and let time pass until the task is over, or nothing can happen."""
        for _ in range(STEPS):
            if not self.step():
                if self.closed:
                    return
                deadline = self.coordinator.deadline
                if deadline is None or deadline > NOW + 86_400:
                    return
                self.tick(deadline)
        raise AssertionError("the run does not end")

    def step(self) -> bool:
        """Do the oldest thing that waits; False when nothing does."""
        for device in self.devices:
            if device.working is not None:
                self.work(device)
                return True
        return self.step_messages()

    def step_messages(self) -> bool:
        """Deliver the oldest message and compute nothing; False when none waits."""
        if self.down:
            self.deliver_down(0)
        elif self.up:
            self.deliver_up(0)
        else:
            return False
        return True

    def cancel(self) -> None:
        """The owner ends the task."""
        self.tell_coordinator(events.Finished("cancelled"))

    def apply(self, operations: Iterable[Operation]) -> None:
        """Carry operations out, in order."""
        for operation in operations:
            operation.apply(self)

    # ---- single steps ----------------------------------------------------------------------------

    def deliver_down(self, place: int) -> None:
        device_id, message = self.down.pop(place)
        device = self.device(device_id)
        if device.connected:
            self.feed(device, events.Heard(message))

    def deliver_up(self, place: int) -> None:
        device, message = self.up.pop(place)
        self.tell_coordinator(events.HeardFrom(device, message))

    def work(self, device: Device) -> None:
        """Let a device finish what it computes."""
        order, device.working = device.working, None
        match order:
            case events.Compute(payload_hash, plan):
                device.computed[payload_hash] += 1
                update = self.answers(answer_of(device.id, plan))
                self.feed(device, events.Computed(payload_hash, update))
            case events.Learn(number, _):
                if number not in device.learnt:
                    device.learnt.append(number)
                self.feed(device, events.Learnt(number))

    def tick(self, moment: float) -> None:
        """Let time pass for everybody."""
        self.now = max(self.now, moment)
        for device in self.devices:
            self.feed(device, events.Ticked())
        self.tell_coordinator(events.Ticked())

    def join(self, device: Device, *, fresh: bool = True) -> None:
        """Connect a device: it checks in and says how far it has come."""
        device.connected = True
        self.tell_coordinator(events.Joined(device.id, (NAME,), fresh))
        self.feed(device, events.Connected())

    def depart(self, device: Device) -> None:
        """Cut a device off; what is on its way to and from it is lost."""
        device.connected = False
        self.up = [each for each in self.up if each[0] != device.id]
        self.down = [each for each in self.down if each[0] != device.id]
        self.tell_coordinator(events.Departed(device.id))

    def crash(self, device: Device) -> None:
        """Kill a device's process and restore it from its journal; it is not connected then."""
        self.depart(device)
        device.working = device.writes_left = None
        device.journal = device.journal.copy()
        device.memory = Memory()
        device.participant = Participant.restore(
            device.identity,
            self.task,
            self.floor,
            self.entropy,
            self.permits,
            device.memory,
            device.journal.records(),
            device.journal.slots(),
        )

    def restart_aggregator(self) -> None:
        """Kill the aggregator's process; state, records and Tells are what it had stored."""
        self.restarts += 1
        self.effects_left = None
        self.unsynced.clear()
        self.up.clear()
        self.down.clear()
        self.loop = TaskLoop(self.toy, CONFIG, checkpoint=self.loop.checkpoint())
        parts = (self.identity, self.task, self.terms, self.entropy)
        stored = read_task(*parts, self.records, self.now, self.tells)
        self.coordinator = Coordinator(*parts, stored)
        for device in self.devices:
            if device.connected:
                self.join(device)
        self.tell_coordinator(self.loop.order())

    # ---- machines --------------------------------------------------------------------------------

    def device(self, device: bytes) -> Device:
        return next(each for each in self.devices if each.id == device)

    def feed(self, device: Device, event: events.ParticipantInput) -> None:
        """Hand an input to a device's machine and carry its effects out."""
        before = type(device.participant.phase)
        effects = device.participant.handle(event, self.now)
        after = type(device.participant.phase)
        assert after in PARTICIPANT_LEGAL[before, input_type(event)]
        ordering.check_participant(effects)
        device.effects += effects
        for effect in effects:
            if device.dies_at(effect):
                self.crash(device)
                self.join(device)
                return
            self._carry_out(device, effect)

    def _carry_out(self, device: Device, effect: events.ParticipantEffect) -> None:
        match effect:
            case events.Persist(record, sync):
                device.journal.append(record, sync)
            case events.Keep(slot, secret):
                device.journal.keep(slot, secret)
            case events.Forget(slot):
                device.journal.forget(slot)
            case events.Send(message):
                device.sent.append(message)
                if device.connected:
                    self.up.append((device.id, message))
            case events.Compute() | events.Learn():
                device.working = effect
            case events.Stop():
                device.working = None
            case events.Emit(outcome):
                device.outcomes.append(outcome)

    def tell_coordinator(self, event: events.CoordinatorInput) -> None:
        """Hand an input to the coordinator and carry its effects out."""
        if self.closed:
            return
        before = type(self.coordinator.phase)
        try:
            effects = self.coordinator.handle(event, self.now)
        except PeerProtocolError:
            self.refused_peers += 1
            assert type(self.coordinator.phase) is before
            return
        after = type(self.coordinator.phase)
        assert after in COORDINATOR_LEGAL[before, input_type(event)], (before, event, after)
        ordering.check_coordinator(effects)
        orders: list[events.CoordinatorInput] = []
        for effect in effects:
            if self._dies():
                self.restart_aggregator()
                return
            orders += self._do(effect)
        if self.unsynced and not isinstance(event, events.Acknowledging):
            self.tell_coordinator(events.Acknowledging())
            self._sync()
        for order in orders:
            self.tell_coordinator(order)

    def _dies(self) -> bool:
        """Say whether the aggregator's process ends before its next effect."""
        if self.effects_left is not None:
            self.effects_left -= 1
        return self.effects_left == 0

    def _sync(self) -> None:
        self.records += self.unsynced
        self.unsynced.clear()

    def _merge(self) -> None:
        """The loop's new state is stored, and the records of what is merged are gone (9.8)."""
        ends = [r for r in self.records if r.kind is RecordKind.SERVER_DONE]
        kept = [r for r in self.records if r.kind not in (*ROUND, RecordKind.SERVER_DONE)]
        self.records = [*kept, *ends[-1:]]

    def _do(self, effect: events.CoordinatorEffect) -> Sequence[events.CoordinatorInput]:
        match effect:
            case events.SendTo(devices, message):
                if isinstance(message, RoundOpening):
                    self.opened.append(message.plan)
                self.down += [(d, message) for d in devices if self.device(d).connected]
            case events.Persist(record, sync):
                self.unsynced.append(record)
                if sync:
                    self._sync()
            case events.KeepTell(number, plan):
                assert number == len(self.tells) + 1
                self.tells.append(plan)
            case events.Close():
                self.closed = True
            case events.Report(outcome):
                self.reports.append(outcome)
                if isinstance(outcome, SumDone):
                    self.sums.append((outcome, self.opened[-1]))
                order = self.loop.react(outcome)
                if order is not None:
                    self._merge()
                return () if order is None else (order,)
        return ()

    # ---- what tests look at ----------------------------------------------------------------------

    def kinds(self) -> list[str]:
        """Names of the reports so far."""
        return [type(report).__name__ for report in self.reports]

    def calm(self) -> None:
        """Connect everybody and deliver to the end."""
        for device in self.devices:
            if not device.connected:
                self.join(device)
        self.finish()

    def reports_abandoned(self) -> list[SumAbandoned]:
        """Rounds that were given up."""
        return [report for report in self.reports if isinstance(report, SumAbandoned)]

    def asked(self) -> events.Asked:
        """The sum that the algorithm wants now."""
        order = self.loop.order()
        assert isinstance(order, events.Asked)
        return order

    def answer(self, device: bytes, plan: RoundPlan) -> Update:
        """What a device answers to a plan."""
        return answer_of(device, plan)

    def sa2_sent(self, device: Device) -> list[Sa2]:
        """SA-2 messages that a device sent so far."""
        return [message for message in device.sent if isinstance(message, Sa2)]
