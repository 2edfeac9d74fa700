"""An agent as a service: settings file in, outcomes out, a clean end on SIGINT and SIGTERM.

Exit codes: 0 stopped on request, 1 the task failed with `once`; errors are raised to the caller.
"""

from __future__ import annotations

import asyncio
import json
import os
import signal
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from dreamshare.protocol.outcomes import RoundAborted, RoundDone, TaskOver
from dreamshare_edge.config import AgentConfig, load_config
from dreamshare_edge.describe import fields_of, sentence_of

if TYPE_CHECKING:
    from dreamshare_crypto.identity import Identity
    from dreamshare_edge.agent import EdgeAgent
    from dreamshare_edge.equipment import Equipment

_THREADS = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "NUMEXPR_NUM_THREADS")

_QUIET_S = 60.0  # an agent with a new certificate waits so long for the end of a round

Print = Callable[[str], None]
"""Takes one line."""


@dataclass(frozen=True, slots=True)
class RunOptions:
    """What the command line adds to the settings file.

    Attributes:
        link: overrides the settings' link.
        as_json: print outcomes as JSON objects.
        once: end when the first task is over.
    """

    link: str | None = None
    as_json: bool = False
    once: bool = False


def run_agent(path: Path, options: RunOptions, show: Print = print) -> int:
    """Run the agent of a settings file until it is stopped; return the exit code.

    Raises:
        ConfigError: the settings, the identity or the learner are unusable.
        Rejected: the aggregator does not take this identity.
    """
    config = load_config(path)
    for name in _THREADS:  # read by the numeric libraries when the factory imports them
        os.environ.setdefault(name, str(config.threads))
    return asyncio.run(_serve(config, options, show))


async def _serve(config: AgentConfig, options: RunOptions, show: Print) -> int:
    from dreamshare_edge.equipment import equipment_of
    from dreamshare_edge.keystore import load_identity

    identity: Identity | None = load_identity(config.identity)
    equipment = equipment_of(config)
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, stop.set)
    life = _Life(config, options, show, equipment, stop)
    while identity is not None:
        identity = await life.lived(identity)
    return life.code


class _Life:
    """The agent from one certificate to the next: it is opened anew with each.

    Args:
        config: the settings.
        options: the command line's.
        show: takes what happens.
        equipment: learner and data, the same in every life.
        stop: set when the agent has to end.
    """

    def __init__(
        self,
        config: AgentConfig,
        options: RunOptions,
        show: Print,
        equipment: Equipment,
        stop: asyncio.Event,
    ) -> None:
        self.code = 0
        self._config = config
        self._options = options
        self._show = show
        self._equipment = equipment
        self._stop = stop
        self._news = asyncio.Event()
        self._first = True
        self._ready: tuple[Mapping[str, object], str] | None = None

    async def lived(self, identity: Identity) -> Identity | None:
        """Run the agent; return the identity of its next life, None at the end of the last."""
        async with self._agent(identity) as agent:
            if self._ready is not None:
                self._say(*self._ready)
                self._ready = None
            listening = asyncio.create_task(self._listen(agent))
            renewing = asyncio.create_task(self._renewed(identity))
            stopping = asyncio.create_task(self._stop.wait())
            tasks = (listening, renewing, stopping)
            await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
            for task in (renewing, stopping):
                task.cancel()
            if listening.done():
                self.code = listening.result()
                return None
            listening.cancel()
            return None if self._stop.is_set() else renewing.result()

    def _agent(self, identity: Identity) -> EdgeAgent:
        from dreamshare.transport.several import SeveralLinks
        from dreamshare.transport.ways import link_to
        from dreamshare_edge.agent import EdgeAgent, Surroundings
        from dreamshare_edge.conditions import conditions_of
        from dreamshare_edge.fleet_policy import Signers, in_force
        from dreamshare_edge.sealing import seals_for
        from dreamshare_edge.store import FileStore

        config, options, equipment = self._config, self._options, self._equipment
        addresses = (options.link,) if options.link else config.links
        link = SeveralLinks([link_to(address, identity) for address in addresses])
        label = config.label or equipment.label
        around = Surroundings(
            label=label,
            attributes={name: str(value) for name, value in config.attributes.items()},
            seed=config.seed,
            report=config.report,
            conditions=conditions_of(config.conditions),
            threads=config.threads,
        )
        store = FileStore(config.store, config.anchor_folder, seals=seals_for(config.identity))
        signers = Signers(identity.federation, config.policy_keys(identity.authority_key))
        try:
            policy = in_force(config.policy, signers, store, config.fleet_policy)
        except BaseException:
            store.close()
            raise
        given = (config.algorithms, store, policy, identity, around)
        if self._first:
            self._first = False
            device = identity.id.hex()
            words = f"device {device} ({label}) calls {link}; Ctrl-C stops it"
            self._ready = ({"event": "ready", "device": device, "label": label}, words)
        return EdgeAgent(link, equipment.learner, equipment.data, *given)

    async def _renewed(self, identity: Identity) -> Identity:
        """Return the renewed identity, in a pause between rounds; never where none is wanted."""
        if not self._config.enrol:
            await asyncio.Future()
        from dreamshare.clock import SystemClock
        from dreamshare.driver.waiting import at_most
        from dreamshare.transport.doors import door_to
        from dreamshare_edge.certifying import Applicant
        from dreamshare_edge.renewing import renewed

        doors = [door_to(url) for url in self._config.enrol]
        clock = SystemClock()
        applicant = Applicant(self._config.identity, clock)
        again = await renewed(applicant, identity, doors, self._waiting)
        self._news.clear()
        await at_most(clock, _QUIET_S, _set(self._news))
        self._say(
            {"event": "renewed", "until": again.certificate.not_after},
            "the certificate was renewed; the agent goes on with the new one",
        )
        return again

    def _waiting(self, words: str) -> None:
        self._say({"event": "renewing", "reason": words}, f"renewing: {words}")

    async def _listen(self, agent: EdgeAgent) -> int:
        async for outcome in agent.outcomes():
            self._say(fields_of(outcome), sentence_of(outcome))
            if isinstance(outcome, RoundDone | RoundAborted | TaskOver):
                self._news.set()
            if self._options.once and isinstance(outcome, TaskOver):
                return 0 if outcome.outcome == "done" else 1
        return 0

    def _say(self, fields: Mapping[str, object], words: str) -> None:
        self._show(json.dumps(fields) if self._options.as_json else words)


async def _set(event: asyncio.Event) -> None:
    await event.wait()
