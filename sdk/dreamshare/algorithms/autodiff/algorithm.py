"""`autodiff/1`: a task that waits for a client's questions; each is one masked sum (docs/adr/0029).

Rules:
- a question names a step and brings the public arrays; it is checked where it arrives and again on
  every device, sizes first;
- `cycle` stays 0: the payload's hash is the evaluation's content, so that a device which answered
  refuses the same evaluation later (docs/protocol.md 13.3);
- with a tape (`AutodiffConfig.tape_s`) a device keeps the arguments of values, and a derivative's
  request may name them by their digest; a device that has them no longer refuses it;
- examples are taken in an order that the request's seed gives, the same for value and derivative;
  of data that change, those of the value (`learning.snapshots`);
- a device without examples answers zeros.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

import numpy as np

from dreamshare.algorithms.autodiff.config import AutodiffConfig
from dreamshare.algorithms.autodiff.requests import (
    TAPE,
    check_taped,
    kept_of,
    read_call,
    token_of,
)
from dreamshare.algorithms.base import Ask, Crowd, Done, Question, Tell, Wait
from dreamshare.errors import ConfigError
from dreamshare.learning.base import Batch, Data, KeepsArrays, KeepsSnapshots, Learner
from dreamshare.learning.programs import ProgramCall, Wanted, evaluation
from dreamshare.updates import Array, Field, PublicArray, Update


@dataclass(frozen=True, slots=True)
class AutodiffState:
    """Where a session stands.

    Attributes:
        asked: questions so far.
        step: of the open question, "" while none is open.
        tensors: of the open question.
        sums: over the survivors, of the last question that was answered.
        survivors: of that sum; 0 before the first.
        over: the session is closed.
    """

    asked: int = 0
    step: str = ""
    tensors: Mapping[str, PublicArray] = field(default_factory=dict)
    sums: Mapping[str, Array] = field(default_factory=dict)
    survivors: int = 0
    over: bool = False


class Autodiff:
    """See the module's docstring."""

    name = "autodiff/1"

    def __init__(self, config: AutodiffConfig) -> None:
        self.config = config

    def steps(self) -> Mapping[str, tuple[Field, ...]]:
        return {
            wanted.step: program.fields(wanted)
            for program in self.config.programs
            for wanted in program.asks()
        }

    def init(self, rng: np.random.Generator) -> AutodiffState:
        return AutodiffState()

    def plan(self, state: AutodiffState) -> Ask | Tell | Done | Wait:
        if state.over:
            return Done(metrics={"rounds": float(state.asked)})
        if not state.step:
            return Wait(max(1, self.config.rounds - state.asked))
        wanted = Wanted.parse(state.step)
        fields = self.config.program(wanted.program).fields(wanted)
        left = max(1, self.config.rounds - state.asked + 1)
        return Ask(state.step, fields, state.tensors, left)

    def hear(self, state: AutodiffState, question: Question) -> AutodiffState:
        """Return the state with a question open; one without a step closes the session.

        Raises:
            ConfigError: another question is open, or this is none of the session's terms.
        """
        if state.step or state.over:
            raise ConfigError("a question is open, or the session is closed")
        if not question.step:
            return replace(state, over=True)
        if TAPE in question.tensors:
            self._taped(question.step, question.tensors)
        else:
            self._call(question.step, question.tensors)
        return replace(
            state, asked=state.asked + 1, step=question.step, tensors=question.tensors, sums={}
        )

    def recall(self, ask: Ask, tape: KeepsArrays) -> Ask:
        """Keep a value's arguments, or return a derivative's Ask with those that were kept.

        Raises:
            ConfigError: they are gone, or the request does not keep to the terms.
        """
        if TAPE in ask.tensors:
            kept = tape.find(self._taped(ask.step, ask.tensors))
            ways = {name: array for name, array in ask.tensors.items() if name != TAPE}
            return replace(ask, tensors={**kept, **ways})
        if self.config.tape_s and "value" in Wanted.parse(ask.step).groups:
            token = token_of(*self._call(ask.step, ask.tensors))
            tape.keep(bytes.fromhex(token), kept_of(ask.tensors), self.config.tape_s)
        return ask

    def local(
        self, ask: Ask | Tell, learner: Learner, data: Data, rng: np.random.Generator
    ) -> Update:
        call, seed = self._call(ask.step, ask.tensors)
        wanted = Wanted.parse(ask.step)
        program = self.config.program(wanted.program)
        fields = program.fields(wanted)
        if isinstance(data, KeepsSnapshots):
            data = data.snapshot(token_of(call, seed), begin="value" in call.groups)
        if len(data) == 0:
            return Update({each.name: np.zeros(each.shape) for each in fields})
        found = evaluation(learner, call, _examples(data, program.examples, seed))
        names = {
            "argument": [each.name for each in program.arguments],
            "result": [each.name for each in program.results],
        }
        arrays: dict[str, Array] = {}
        clipped = False
        for each in fields[:-1]:
            group, _, place = each.name.rpartition("_")
            kind = "result" if group in ("value", "pushed") else "argument"
            port = f"{group}/{names[kind][int(place)]}"
            if port not in found:
                raise ConfigError(f"program {program.name} of this device gives no {port}")
            arrays[each.name] = np.asarray(found[port], np.float64)
            clipped = clipped or bool((np.abs(arrays[each.name]) > each.bound).any())
        arrays["clipped"] = np.array(float(clipped))
        return Update(arrays)

    def merge(self, state: AutodiffState, mean: Mapping[str, Array], crowd: Crowd) -> AutodiffState:
        # numbers stay arrays: a checkpoint is read back as what the state declares
        sums = {n: np.asarray(a * crowd.survivors, np.float64) for n, a in mean.items()}
        return replace(state, step="", tensors={}, sums=sums, survivors=crowd.survivors)

    def _taped(self, step: str, tensors: Mapping[str, PublicArray]) -> bytes:
        wanted = Wanted.parse(step)
        if not self.config.tape_s:
            raise ConfigError("this session has no tape")
        return check_taped(self.config.program(wanted.program), wanted, tensors)

    def _call(self, step: str, tensors: Mapping[str, PublicArray]) -> tuple[ProgramCall, int]:
        wanted = Wanted.parse(step)
        return read_call(self.config.program(wanted.program), wanted, tensors)


def _examples(data: Data, most: int, seed: int) -> Batch:
    """Return the examples of an evaluation; the same for the same seed and data."""
    size = min(most, len(data)) if most else len(data)
    return next(data.batches(np.random.default_rng(seed), size))
