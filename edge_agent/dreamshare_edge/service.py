"""An agent as a service: settings file in, outcomes out, a clean end on SIGINT and SIGTERM.

Exit codes: 0 stopped on request, 1 the task failed with `once`; errors are raised to the caller.
"""

from __future__ import annotations

import asyncio
import json
import os
import signal
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from dreamshare.protocol.outcomes import TaskOver
from dreamshare_edge.config import AgentConfig, load_config
from dreamshare_edge.describe import fields_of, sentence_of

if TYPE_CHECKING:
    from dreamshare_edge.agent import EdgeAgent

_THREADS = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "NUMEXPR_NUM_THREADS")

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
    from dreamshare.transport.grpc import GrpcLink
    from dreamshare.transport.several import SeveralLinks
    from dreamshare.transport.tls import TlsFiles
    from dreamshare_crypto.identity import Identity
    from dreamshare_edge.agent import EdgeAgent, Surroundings
    from dreamshare_edge.equipment import load_equipment
    from dreamshare_edge.store import FileStore

    identity = Identity.load(config.identity)
    tls = TlsFiles.of(identity)
    addresses = (options.link,) if options.link else config.links
    link = SeveralLinks([GrpcLink(address, tls) for address in addresses])
    equipment = load_equipment(config.learner.factory, config.learner.settings)
    label = config.label or equipment.label
    agent = EdgeAgent(
        link,
        equipment.learner,
        equipment.data,
        config.algorithms,
        FileStore(config.store, config.anchor_folder),
        config.policy,
        identity,
        Surroundings(label=label, seed=config.seed, report=config.report, threads=config.threads),
    )
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, stop.set)
    async with agent:
        if options.as_json:
            show(json.dumps({"event": "ready", "device": identity.id.hex(), "label": label}))
        else:
            show(f"device {identity.id.hex()} ({label}) calls {link}; Ctrl-C stops it")
        listening = asyncio.create_task(_listen(agent, options, show))
        stopping = asyncio.create_task(stop.wait())
        await asyncio.wait({listening, stopping}, return_when=asyncio.FIRST_COMPLETED)
        stopping.cancel()
        if listening.done():
            return listening.result()
        listening.cancel()
    return 0


async def _listen(agent: EdgeAgent, options: RunOptions, show: Print) -> int:
    async for outcome in agent.outcomes():
        show(json.dumps(fields_of(outcome)) if options.as_json else sentence_of(outcome))
        if options.once and isinstance(outcome, TaskOver):
            return 0 if outcome.outcome == "done" else 1
    return 0
