"""Each fuzz target for a moment: seeds as they are, seeds changed, and bytes of any kind.

`make fuzz` looks for longer and is led by coverage; what it finds becomes a case in `FOUND`.
"""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dreamshare.algorithms.checkpoint import encode_arrays
from tests.fuzz.targets import TARGETS


def encrypted() -> bytes:
    """Return an archive whose directory says that its entry is encrypted."""
    raw = bytearray(encode_arrays({"a": np.zeros(2, np.float32)}))
    raw[raw.rindex(b"PK\1\2") + 8] |= 1
    return bytes(raw)


FOUND = [
    # a true that is written as 14: as long as the right one, so its length did not give it away
    pytest.param("body", b"\x8a\x03\x14\x08\x04:\x0e\n\x0cno such taskx\x0e", id="true as 14"),
    # the same reply with its fields the other way round
    pytest.param("body", b"\x8a\x03\x14:\x0e\n\x0cno such task\x08\x04x\x01", id="disorder"),
    # a dealer's shares twice, of which the second counted
    pytest.param(
        "round-secrets",
        bytes(64) + (b"\2\0\0\0" + 2 * (b"\1\0\0\0" + b"\x20\0\0\0" + bytes(64))),
        id="dealer twice",
    ),
    # an archive whose entry says that it is encrypted: zipfile raises RuntimeError
    pytest.param("file-arrays", encrypted(), id="encrypted"),
]
"""(target, input) of every defect that fuzzing has found."""

EXAMPLES = 40 if settings.default.derandomize else 2000


@pytest.mark.parametrize("name", TARGETS)
def test_seeds(name: str) -> None:
    """Every target has seeds; a codec reads what was recorded and writes it back."""
    seeds = TARGETS[name].seeds()
    assert seeds
    for seed in seeds[:50]:
        TARGETS[name].run(seed)


@pytest.mark.parametrize(("name", "raw"), FOUND)
def test_found(name: str, raw: bytes) -> None:
    TARGETS[name].run(raw)


@st.composite
def changed(draw: st.DrawFn, name: str) -> bytes:
    """Return a seed that was cut, extended, overwritten, or spliced with another one."""
    seeds = TARGETS[name].seeds()
    raw = bytearray(seeds[draw(st.integers(0, len(seeds) - 1))])
    for how in draw(st.lists(st.sampled_from(["cut", "put", "set", "flip", "splice"]), max_size=4)):
        at = draw(st.integers(0, len(raw)))
        match how:
            case "cut":
                del raw[at : at + draw(st.integers(1, 64))]
            case "put":
                raw[at:at] = draw(st.binary(max_size=16))
            case "set":
                value = draw(st.binary(min_size=1, max_size=8) | st.sampled_from(EXTREMES))
                raw[at : at + len(value)] = value
            case "flip":
                raw[at : at + 1] = bytes(b ^ 1 << draw(st.integers(0, 7)) for b in raw[at : at + 1])
            case _:
                other = seeds[draw(st.integers(0, len(seeds) - 1))]
                raw[at:] = other[at:]
    return bytes(raw)


EXTREMES = [bytes(4), bytes(8), b"\xff" * 4, b"\xff" * 8, b"\x00\x00\x00\x80", b"\x01\x00\x00\x00"]


@pytest.mark.parametrize("name", TARGETS)
def test_changed_seeds(name: str) -> None:
    @settings(max_examples=EXAMPLES)
    @given(changed(name))
    def run(raw: bytes) -> None:
        TARGETS[name].run(raw)

    run()


@pytest.mark.parametrize("name", TARGETS)
def test_any_bytes(name: str) -> None:
    @settings(max_examples=EXAMPLES // 2)
    @given(st.binary(max_size=300))
    def run(raw: bytes) -> None:
        TARGETS[name].run(raw)

    run()
