"""Nothing that the aggregator receives follows any device's true update.

A short federation runs over gRPC with the aggregator's capture on, while the algorithm's own
`local` is recorded on the devices' side. Then every packet of the capture is read in every
plausible way (`correlation`) and compared with every recorded update. The bound is derived there.
The same run with its masks sabotaged is the negative control: there the search finds each update.
"""

from __future__ import annotations

import asyncio
import itertools
from collections import Counter
from collections.abc import Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from dreamshare.algorithms.base import Ask, Tell
from dreamshare.algorithms.codream import Codream
from dreamshare.learning.base import Data, Learner
from dreamshare.protocol.messages import Cohort, Sa2
from dreamshare.transport.grpc import GrpcLink
from dreamshare.transport.tls import TlsFiles
from dreamshare.updates import Update
from dreamshare.wire.codec import decode_frame, decode_message
from dreamshare.wire.link import Chunk, decode_packet
from dreamshare_aggregator.capture import Captured, read_capture
from dreamshare_aggregator.service import Aggregator
from dreamshare_aggregator.store import open_store
from dreamshare_aggregator.surroundings import Surroundings
from dreamshare_crypto.certificates import Role
from dreamshare_crypto.lanes import FieldParams
from dreamshare_crypto.secagg.events import Stage
from dreamshare_crypto.secret import Secret
from dreamshare_crypto.suite import Suite
from dreamshare_edge import EdgeAgent, FileStore, Policy
from tests.integration.correlation import Lanes, Vector, Verdict, bound, search
from tests.integration.dreamer import CONFIG, Dreamer, dreamer_data
from tests.integration.toy import Loopback

pytestmark = [pytest.mark.integration, pytest.mark.timeout(300)]

DEVICES = 4
LEAST_DIMS = 500
"""Shorter fields (counts, shares) have no bound below 1: ten numbers follow anything."""


@dataclass(frozen=True)
class Evidence:
    """What was captured, and what was true, by field."""

    packets: tuple[Captured, ...]
    updates: dict[str, list[Vector]]
    sums: int


@pytest.fixture(scope="module")
def evidence(tmp_path_factory: pytest.TempPathFactory) -> Evidence:
    with pytest.MonkeyPatch.context() as patch:
        return gather(tmp_path_factory.mktemp("masked"), patch)


@pytest.fixture(scope="module")
def unmasked(tmp_path_factory: pytest.TempPathFactory) -> Evidence:
    """The same run with the masks of both sides sabotaged: what the product has no mode for."""

    def nothing(
        words: NDArray[np.uint64], masks: Sequence[tuple[Secret, int]], suite: Suite, threads: int
    ) -> None:
        assert masks

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("dreamshare_crypto.secagg.rounds.apply_masks", nothing)
        patch.setattr("dreamshare_crypto.secagg.server_round.apply_masks", nothing)
        return gather(tmp_path_factory.mktemp("unmasked"), patch)


def gather(folder: Path, patch: pytest.MonkeyPatch) -> Evidence:
    """Run the federation, record what its devices compute, return both sides."""
    recorded: dict[str, list[Vector]] = {}
    honest = Codream.local

    def recording(
        self: Codream, ask: Ask | Tell, learner: Learner, data: Data, rng: np.random.Generator
    ) -> Update:
        update = honest(self, ask, learner, data, rng)
        for name, array in update.arrays.items():
            recorded.setdefault(name, []).append(np.asarray(array, np.float64).reshape(-1))
        return update

    patch.setattr(Codream, "local", recording)
    sums = asyncio.run(run(folder))
    return Evidence(tuple(read_capture(folder / "received")), recorded, sums)


async def run(folder: Path) -> int:
    """Run the federation with its capture; return the number of masked sums."""
    federation = Loopback.create(folder)
    listener = federation.listener()
    store = open_store(f"sqlite:///{folder / 'rounds.db'}")
    around = Surroundings(capture=folder / "received")
    async with AsyncExitStack() as stack:
        aggregator = await stack.enter_async_context(
            Aggregator([listener], store, federation.aggregator, around)
        )
        for number in range(DEVICES):
            identity = federation.enrol(Role.DEVICE, f"device-{number}")
            link = GrpcLink(f"grpcs://127.0.0.1:{listener.port}", TlsFiles.of(identity))
            agent = EdgeAgent(
                link,
                Dreamer(number),
                dreamer_data(number),
                ("codream/1",),
                FileStore(folder / f"home-{number}"),
                Policy(),
                identity,
            )
            await stack.enter_async_context(agent)
        task = await aggregator.submit(CONFIG, Cohort(least=DEVICES, most=DEVICES))
        result = await task.result()
    assert result.status.secure_aggregation
    return result.status.aggregations


def test_the_capture_holds_every_masked_vector(evidence: Evidence) -> None:
    """Otherwise what follows would be true of an empty file."""
    found: Counter[bytes] = Counter()
    lengths = set()
    for captured in evidence.packets:
        packet = decode_packet(captured.packet)
        if not isinstance(packet, Chunk) or packet.offset:
            continue
        message = decode_message(decode_frame(packet.data).body)
        if isinstance(message, Sa2) and message.stage is Stage.MASKED_INPUT:
            found[captured.peer] += 1
            lengths.add(len(message.body))
    assert evidence.sums == 1 + CONFIG.cycles * (CONFIG.dream_steps + 1)
    assert sorted(found.values()) == [evidence.sums] * DEVICES
    dims = len(evidence.updates["gradient"][0])
    words = FieldParams.create(dims, CONFIG.gradient_bits, 1.0, DEVICES).words
    assert max(lengths) > 8 * words


def test_every_device_was_recorded(evidence: Evidence) -> None:
    dreamt, labelled = evidence.updates["gradient"], evidence.updates["opinion"]
    assert len(dreamt) == DEVICES * CONFIG.cycles * CONFIG.dream_steps
    assert len(labelled) == DEVICES * CONFIG.cycles
    for one, other in itertools.combinations(dreamt, 2):
        assert not np.array_equal(one, other)


@pytest.mark.parametrize("field", ["gradient", "opinion"])
def test_nothing_captured_follows_an_update(evidence: Evidence, field: str) -> None:
    updates = evidence.updates[field]
    assert len(updates[0]) >= LEAST_DIMS
    verdict = look(evidence, updates)
    assert verdict.comparisons > 100_000
    assert verdict.greatest.max() < bound(len(updates[0]), verdict.comparisons) < 0.75


@pytest.mark.parametrize("field", ["gradient", "opinion"])
def test_without_masks_the_same_search_finds_every_update(unmasked: Evidence, field: str) -> None:
    """Negative control: a detector that finds nothing here would prove nothing above."""
    assert look(unmasked, unmasked.updates[field]).greatest.min() > 0.99


@pytest.mark.parametrize("kind", ["<f4", "<f8"])
def test_the_same_search_finds_plain_numbers(evidence: Evidence, kind: str) -> None:
    update = evidence.updates["gradient"][3]
    leaky = Captured(0.0, bytes(16), evidence.packets[0].packet + update.astype(kind).tobytes())
    assert look(replace(evidence, packets=(leaky,)), [update]).greatest.max() > 0.99


def look(evidence: Evidence, updates: Sequence[Vector]) -> Verdict:
    """Search every packet for every update, lanes packed as for 8 to 20 bits and this cohort."""
    fields = {FieldParams.create(1, bits, 1.0, DEVICES) for bits in range(8, 21)}
    lanes = sorted({Lanes(f.lanes, f.lane_bits) for f in fields}, key=lambda one: one.bits)
    verdicts = [search(captured.packet, updates, lanes) for captured in evidence.packets]
    return Verdict(
        np.max([verdict.greatest for verdict in verdicts], axis=0),
        sum(verdict.comparisons for verdict in verdicts),
    )
