"""What the parts of secure aggregation cost, measured on the real machines.

Rules:
- CPU seconds of this process where one thread is meant, wall time where threads are compared;
- several repetitions, of which the caller takes the median or the least;
- a client is a real `SecaggClient` in a cohort that was set up by real messages; nothing is timed
  on a shortcut that a device does not take.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from dataclasses import replace
from multiprocessing import get_context

import numpy as np
from cryptography.hazmat.primitives.ciphers import Cipher
from cryptography.hazmat.primitives.ciphers.algorithms import AES256
from cryptography.hazmat.primitives.ciphers.modes import CTR
from numpy.typing import NDArray

from dreamshare_crypto.encoding import FieldParams
from dreamshare_crypto.graph import Profile
from dreamshare_crypto.prg import CHUNK_BYTES, apply_masks
from dreamshare_crypto.secagg.events import Cancelled, Compute, Computed, Received, Send, Stage
from dreamshare_crypto.secagg.terms import EpochTerms
from dreamshare_crypto.secret import Secret
from dreamshare_crypto.suite import Suite
from tests.sim.secagg.federation import make_terms
from tests.sim.secagg.harness import Cohort

MOST_DEVICES = 100
"""n_max of the encodings: the lanes are as wide as this many devices need."""


def cpu_seconds(work: Callable[[], object]) -> float:
    """Return the CPU seconds of one call."""
    started = time.process_time()
    work()
    return time.process_time() - started


def wall_seconds(work: Callable[[], object]) -> float:
    """Return the wall seconds of one call."""
    started = time.perf_counter()
    work()
    return time.perf_counter() - started


def keystream(keys: int, size: int) -> None:
    """Make `size` bytes of AES-256-CTR keystream with each of `keys` keys, and nothing else."""
    zeros, scratch = bytes(CHUNK_BYTES), bytearray(CHUNK_BYTES + 16)
    view = memoryview(scratch)
    for number in range(keys):
        encryptor = Cipher(AES256(number.to_bytes(32, "little")), CTR(bytes(16))).encryptor()
        for start in range(0, size, CHUNK_BYTES):
            encryptor.update_into(memoryview(zeros)[: min(CHUNK_BYTES, size - start)], view)


def mask_keys(count: int) -> tuple[tuple[Secret, int], ...]:
    """Return keys of masks with alternating signs."""
    return tuple(
        (Secret(number.to_bytes(32, "little")), 1 if number % 2 else -1) for number in range(count)
    )


def mask_vs_keystream(keys: int, size: int, repeat: int) -> tuple[list[float], list[float]]:
    """Return CPU seconds of expanding and adding masks, and of the bare keystream, in turns."""
    words = np.zeros(size // 8, dtype=np.uint64)
    masks = mask_keys(keys)
    ours, bare = [], []
    for _ in range(repeat):
        ours.append(cpu_seconds(lambda: apply_masks(words, masks, Suite.AES)))
        bare.append(cpu_seconds(lambda: keystream(keys, size)))
    return ours, bare


def two_threads(keys: int, size: int, repeat: int) -> dict[str, list[float]]:
    """Return wall seconds of one mask expansion: by a thread, by two, by two processes, in turns.

    Processes share neither an interpreter nor memory: more than they gain is not to be had on the
    machine as it is at that moment.
    """
    words = np.zeros(size // 8, dtype=np.uint64)
    masks = mask_keys(keys)
    seconds: dict[str, list[float]] = {"one": [], "two": [], "two_processes": []}
    with ProcessPoolExecutor(2, mp_context=get_context("spawn")) as pool:

        def halves() -> None:
            tuple(pool.map(expand, (keys, keys), (size // 2, size // 2)))

        halves()  # starts the processes
        for _ in range(repeat):
            seconds["one"].append(wall_seconds(lambda: apply_masks(words, masks, Suite.AES)))
            seconds["two"].append(wall_seconds(lambda: apply_masks(words, masks, Suite.AES, 2)))
            seconds["two_processes"].append(wall_seconds(halves))
    return seconds


def expand(keys: int, size: int) -> None:
    """Expand `keys` masks over `size` bytes in this process."""
    apply_masks(np.zeros(size // 8, dtype=np.uint64), mask_keys(keys), Suite.AES)


def client_masking(
    values: NDArray[np.float64],
    clip: float,
    bits: int,
    neighbours: int,
    repeat: int,
    n_max: int = MOST_DEVICES,
) -> tuple[list[float], float]:
    """Return CPU seconds from an update to its masked message, and bytes sent per coordinate.

    One device of a complete graph of `neighbours` + 1: it quantises, packs, derives its keys with
    every neighbour, masks, signs and makes its journal record.
    """
    cohort = Cohort(neighbours + 1, one_step(len(values), bits, clip, repeat + 1, n_max))
    cohort.set_up()
    seconds, sent = [], 0
    for _ in range(repeat + 1):  # the first one warms caches up and is not counted
        cohort.open()
        body = next(body for number, stage, body in cohort.down if stage is Stage.ROUND_START)
        client = cohort.parties[0].client
        effects = client.handle(Received(Stage.ROUND_START, body, cohort.payload), cohort.now)
        order = next(effect for effect in effects if isinstance(effect, Compute))
        started = time.process_time()
        effects = client.handle(Computed(order.round, (values,), 1.0), cohort.now)
        seconds.append(time.process_time() - started)
        sent = next(len(effect.body) for effect in effects if isinstance(effect, Send))
        cohort.serve(Cancelled())
        cohort.down.clear()
    return seconds[1:], sent / len(values)


def one_step(
    dims: int,
    bits: int,
    clip: float,
    rounds: int,
    n_max: int = MOST_DEVICES,
    profile: Profile = Profile.COMPLETE,
) -> EpochTerms:
    """Return the terms of an epoch whose only step sums one field."""
    terms = make_terms(rounds=rounds, n_max=n_max, profile=profile)
    step = terms.template[0]
    field = FieldParams.create(dims, bits, clip, n_max)
    return replace(terms, template=(replace(step, params=replace(step.params, fields=(field,))),))
