"""The one step of `generative/1` that is no secret's sum: captions in words, read by everybody.

Each device writes its captions into places of a wide vector that it draws at random; the masked sum
shows every text and no sender. Two texts in one place are lost (`dreamshare.payloads.slots`).

Rules:
- nothing else in this algorithm reads a device's captions, and this step reads nothing else: a
  policy that refuses the step by its name has refused them all (docs/adr/0027);
- a device writes what its owner lets it (`dreamshare.learning.captioned`), never more than the
  config's number, and nothing of classes that are too rare;
- a byte is a level of the encoding, so sums of bytes are exact; what the vector looks like, masked,
  does not depend on how many captions there are.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import numpy as np

from dreamshare.algorithms.base import Ask, Disclosure
from dreamshare.algorithms.generative.config import GenerativeConfig
from dreamshare.algorithms.generative.state import GenerativeState
from dreamshare.algorithms.posteriors import told
from dreamshare.learning.base import Data
from dreamshare.learning.captioned import captioned_of
from dreamshare.payloads.slots import Caption, fits, read_slots, slot_of
from dreamshare.updates import Array, Field, Update

SLOTS = "slots"
HALF = 127.5
"""The middle of a byte: with this bound and 8 bits, byte b is level b."""


def fields(config: GenerativeConfig) -> tuple[Field, ...]:
    """Return the fields of `disclose`."""
    return (Field(SLOTS, (config.text_slots, config.text_bytes), bound=HALF, bits=8),)


def disclosure(config: GenerativeConfig) -> Disclosure:
    """Return what the step shows of a device."""
    return Disclosure(config.text_captions, config.text_least)


def disclose(config: GenerativeConfig, ask: Ask, data: Data) -> Update:
    """Return this device's captions in places drawn at random, and zeros everywhere else.

    Raises:
        ConfigError: this device has no captions; or the public tensor is missing.
    """
    c = config
    wanted_K = told(ask.tensors, "wanted", (c.classes,)) > 0
    own = captioned_of(data)
    said = [
        each
        for each in own.captions(data, c.text_captions, c.text_least)
        if each.label < c.classes and wanted_K[each.label] and fits(each, c.text_bytes)
    ]
    slots_SB = np.zeros((c.text_slots, c.text_bytes), np.uint8)
    for place, caption in zip(own.places(len(said), c.text_slots), said, strict=True):
        slots_SB[place] = np.frombuffer(slot_of(caption, c.text_bytes), np.uint8)
    return Update({SLOTS: slots_SB.astype(np.float64) - HALF})


def read(state: GenerativeState, mean: Mapping[str, Array], survivors: int) -> GenerativeState:
    """Return the state with every caption that can be read."""
    sums_SB = np.rint((mean[SLOTS].astype(np.float64) + HALF) * survivors).astype(np.int64)
    found = read_slots(sums_SB)
    known = tuple(each for each in found.captions if each.label < len(state.totals_K))
    lost = found.lost + len(found.captions) - len(known)
    # in the order of texts: places say nothing, and so does the order of prompts
    return replace(state, said=tuple(sorted(known, key=_order)), unread=lost)


def _order(caption: Caption) -> tuple[int, str]:
    return caption.label, caption.text
