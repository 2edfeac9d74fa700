"""Evaluations as public arrays, and back: `argument_I`, `cotangent_I`, `tangent_I`, `seed`.

Of a derivative whose value was asked for with a tape, `tape` may stand for arguments and seed: the
digest of the value's evaluation, by which a device finds what it has kept (`learning.tape`).

Rules:
- what arrives is checked against the terms before anything is computed: names, shapes, types, then
  values: finite, arguments within their bounds, cotangents and tangents within 1;
- the error is ConfigError and nothing else.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence

import numpy as np

from dreamshare.algorithms.autodiff.config import Argument, Program, Result
from dreamshare.errors import ConfigError
from dreamshare.learning.programs import ProgramCall, Wanted
from dreamshare.updates import Array, PublicArray

SEED = "seed"
TAPE = "tape"
_DIGEST_BYTES = 32
MOST_SEED = 2**63 - 1


def tensors_of(program: Program, call: ProgramCall, seed: int) -> dict[str, PublicArray]:
    """Return the arrays of a request, in declared order."""
    tensors: dict[str, PublicArray] = {}
    for prefix, declared, given in _groups(program, call):
        for i, each in enumerate(declared):
            if each.name in given:
                tensors[f"{prefix}_{i}"] = np.asarray(given[each.name], each.dtype, order="C")
    tensors[SEED] = np.array(seed, np.int64)
    return tensors


def taped_of(program: Program, call: ProgramCall, seed: int) -> dict[str, PublicArray]:
    """Return the arrays of a derivative's request that leaves arguments and seed to the tape."""
    full = tensors_of(program, call, seed)
    token = np.frombuffer(bytes.fromhex(token_of(call, seed)), np.uint8)
    return {TAPE: token, **{name: a for name, a in full.items() if not _is_kept(name)}}


def read_call(
    program: Program, wanted: Wanted, tensors: Mapping[str, PublicArray]
) -> tuple[ProgramCall, int]:
    """Return the evaluation that a request asks for, and its seed.

    Raises:
        ConfigError: it does not keep to the terms; see the module's rules.
    """
    program.fields(wanted)
    left = dict(tensors)
    arguments = _take(left, "argument", program.arguments, 0.0)
    if len(arguments) < len(program.arguments):
        raise ConfigError(f"{wanted.step}: an argument is missing")
    seed = left.pop(SEED, np.array(-1))
    if seed.shape or seed.dtype != np.int64 or int(seed) < 0:
        raise ConfigError(f"{wanted.step}: there is no seed >= 0")
    cotangents, tangents = _ways(program, wanted, left)
    by = () if wanted.by is None else program.sets[wanted.by]
    call = ProgramCall(program.name, wanted.groups, by, arguments, cotangents, tangents)
    return call, int(seed)


def check_taped(program: Program, wanted: Wanted, tensors: Mapping[str, PublicArray]) -> bytes:
    """Return the digest by which a request names its arguments.

    Raises:
        ConfigError: it does not keep to the terms, or asks for a value.
    """
    program.fields(wanted)
    left = dict(tensors)
    token = left.pop(TAPE)
    if token.dtype != np.uint8 or token.shape != (_DIGEST_BYTES,) or "value" in wanted.groups:
        raise ConfigError(f"{wanted.step}: a tape is named by a digest, and for derivatives alone")
    _ways(program, wanted, left)
    return token.tobytes()


def kept_of(tensors: Mapping[str, PublicArray]) -> dict[str, PublicArray]:
    """Return what a tape keeps of a value's request: arguments and seed."""
    return {name: array for name, array in tensors.items() if _is_kept(name)}


def token_of(call: ProgramCall, seed: int) -> str:
    """Return what a value and its derivatives have in common: program, arguments and seed."""
    digest = hashlib.sha256(f"{call.program}\0{seed}".encode())
    for name, array in sorted(call.arguments.items()):
        digest.update(f"\0{name}\0{array.dtype.str}{array.shape}\0".encode())
        digest.update(np.ascontiguousarray(array).tobytes())
    return digest.hexdigest()


def _is_kept(name: str) -> bool:
    return name == SEED or name.startswith("argument_")


def _ways(
    program: Program, wanted: Wanted, left: dict[str, PublicArray]
) -> tuple[dict[str, Array], dict[str, Array]]:
    """Take cotangents and tangents out of a request; nothing else may be left in it."""
    pulls = "gradient" in wanted.groups or "product" in wanted.groups
    pushes = "pushed" in wanted.groups or "product" in wanted.groups
    cotangents = _take(left, "cotangent", program.results, 1.0) if pulls else {}
    tangents = _take(left, "tangent", program.arguments, 1.0) if pushes else {}
    if left:
        raise ConfigError(f"{wanted.step}: {sorted(left)[:4]} are not asked for")
    if pulls and len(cotangents) < len(program.results):
        raise ConfigError(f"{wanted.step}: a cotangent is missing")
    if pushes and not tangents:
        raise ConfigError(f"{wanted.step}: there is no tangent")
    return cotangents, tangents


def _groups(
    program: Program, call: ProgramCall
) -> tuple[tuple[str, Sequence[Argument | Result], Mapping[str, Array]], ...]:
    return (
        ("argument", program.arguments, call.arguments),
        ("cotangent", program.results, call.cotangents),
        ("tangent", program.arguments, call.tangents),
    )


def _take(
    left: dict[str, PublicArray],
    prefix: str,
    declared: Sequence[Argument | Result],
    most: float,
) -> dict[str, Array]:
    """Take the arrays of a group out of a request; entries up to `most`, 0: their own bounds."""
    found: dict[str, Array] = {}
    for i, each in enumerate(declared):
        given = left.pop(f"{prefix}_{i}", None)
        if given is None:
            continue
        if given.shape != each.shape or str(given.dtype) != each.dtype:
            raise ConfigError(
                f"{prefix} {each.name} is {given.dtype}{given.shape}; the terms say "
                f"{each.dtype}{each.shape}"
            )
        values = given.astype(np.dtype(each.dtype), copy=False)
        bound = most or each.bound
        if not bool((np.abs(values) <= bound).all()):
            raise ConfigError(f"{prefix} {each.name} has entries beyond {bound} or not finite")
        found[each.name] = values
    return found
