"""The agent's desk: which tasks get a seat, and what is kept of them.

Rules:
- every machine of a device shares one memory, so that no task can repeat another's question
  (docs/protocol.md 13.3);
- the owner's policy is asked for each plan before anything is committed to;
- a device that may not compute now checks in with no algorithms: it is chosen for no cohort;
- what a task leaves behind is its accepted epochs, its answers and what it cost, nothing else;
- the machine of the protocol is imported for the first task: an agent that waits does not hold it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from itertools import chain

from dreamshare.algorithms.base import Disclosure
from dreamshare.driver.desk import Seat
from dreamshare.errors import ConfigError, PrivacyError
from dreamshare.ids import TaskId
from dreamshare.protocol.events import KeepEvidence
from dreamshare.protocol.messages import CheckIn
from dreamshare.protocol.plan import RoundPlan
from dreamshare_crypto.entropy import Entropy
from dreamshare_crypto.identity import Identity
from dreamshare_crypto.secagg.memory import Memory
from dreamshare_crypto.secagg.rollback import Numbers
from dreamshare_edge.conditions import DeviceConditions
from dreamshare_edge.policy import Policy
from dreamshare_edge.spending import Spending
from dreamshare_edge.store import FileStore


class AgentPermits:
    """The owner's say about a plan (`dreamshare.protocol.permits`).

    Args:
        algorithms: what this agent is willing to compute.
        policy: the owner's.
        conditions: power, network, use and hour.
        spending: what the day has used.
        disclosure: what a plan's step shows of single examples; raises ConfigError for a plan that
            this agent cannot compute.
    """

    def __init__(
        self,
        algorithms: Sequence[str],
        policy: Policy,
        conditions: DeviceConditions,
        spending: Spending,
        disclosure: Callable[[RoundPlan], Disclosure | None],
    ) -> None:
        self.algorithms = tuple(name for name in algorithms if policy.allows(name))
        self._policy = policy
        self._conditions = conditions
        self._spending = spending
        self._disclosure = disclosure

    def not_ready(self) -> str:
        """Return why this device computes nothing now, in words; "" when it is ready."""
        try:
            self._policy.check_conditions(self._conditions.read())
            self._policy.check_budgets(self._spending.used())
        except PrivacyError as error:
            return str(error)
        return ""

    def __call__(self, plan: RoundPlan) -> None:
        if plan.algorithm not in self.algorithms:
            offered = ", ".join(self.algorithms) or "nothing"
            raise ConfigError(f"this device computes {offered}, not {plan.algorithm}")
        self._policy.admit(plan, self._conditions.read(), self._spending.used())
        self._policy.check_disclosure(plan, self._disclosure(plan))


class AgentDesk:
    """See `dreamshare.driver.desk.Desk`.

    Args:
        identity: the device's own.
        policy: gives the floor of every machine.
        store: journals, slots, memory.
        permits: asked for each plan.
        label: what the operator sees beside the device's id.
        entropy: of every key that a machine draws.
        warn: told, in words, what people should look at.
        threads: how many a machine computes with.
        attributes: what the owner makes public for the choice of cohorts.
    """

    def __init__(
        self,
        identity: Identity,
        policy: Policy,
        store: FileStore,
        permits: AgentPermits,
        label: str,
        entropy: Entropy,
        warn: Callable[[str], None],
        threads: int = 1,
        attributes: Mapping[str, str] | None = None,
    ) -> None:
        self._attributes = dict(attributes or {})
        self._identity = identity
        self._floor = policy.floor()
        self._resume_without_anchor = policy.resume_without_anchor
        self._store = store
        self._permits = permits
        self._label = label
        self._entropy = entropy
        self._warn = warn
        self._threads = threads
        journals = (store.journal(task).records() for task in store.tasks())
        self._memory = Memory.from_records(chain(store.remembered(), *journals))

    def spent(self, now: float) -> float:
        """Return epsilon spent in the policy's period at `now`; inf where it has no bound."""
        return self._memory.ledger.epsilon(now - self._floor.budget_s, self._floor.delta)

    def check_in(self) -> CheckIn:
        algorithms = () if self._permits.not_ready() else self._permits.algorithms
        return CheckIn(algorithms, self._label, self._attributes)

    def stored(self) -> Sequence[Seat]:
        numbers = self._store.begin(self._resume_without_anchor)
        return [self._restored(task, numbers) for task in self._store.tasks()]

    def _restored(self, task: TaskId, numbers: Numbers) -> Seat:
        from dreamshare.protocol.participant import Participant

        journal = self._store.journal(task)
        participant = Participant.restore(
            self._identity,
            task,
            self._floor,
            self._entropy,
            self._permits,
            self._memory,
            journal.records(),
            journal.slots(),
            threads=self._threads,
            numbers=numbers,
        )
        return Seat(participant, journal)

    def seat(self, task: TaskId) -> Seat | None:
        from dreamshare.protocol.participant import Participant

        participant = Participant(
            self._identity,
            task,
            self._floor,
            self._entropy,
            self._permits,
            self._memory,
            self._threads,
        )
        return Seat(participant, self._store.journal(task))

    def leave(self, task: TaskId) -> None:
        self._store.drop(task)

    def evidence(self, task: TaskId, evidence: KeepEvidence) -> None:
        path = self._store.keep_evidence(task, evidence)
        self._warn(f"the aggregator signed two contradicting messages ({evidence.code}): {path}")
