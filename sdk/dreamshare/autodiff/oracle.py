"""The same programs in one process, exactly: every device at once by vmap, plain float sums.

What tests compare with, and a quick way to try a computation; nothing here is protected.

Rules:
- derivatives come from `torch.func`, not from the code that devices run;
- devices have equally many examples, since they are stacked.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import torch
from torch import Tensor

from dreamshare.algorithms.autodiff.algorithm import Autodiff
from dreamshare.algorithms.autodiff.config import AutodiffConfig
from dreamshare.algorithms.autodiff.requests import read_call
from dreamshare.algorithms.base import Ask, Question
from dreamshare.autodiff.rounds import Answer
from dreamshare.clock import SystemClock
from dreamshare.errors import ConfigError
from dreamshare.learning.base import Data
from dreamshare.learning.programs import Wanted, data_of
from dreamshare.learning.tape import Tape
from dreamshare.learning.torch.sources import ProgramSource
from dreamshare.updates import Array

Named = dict[str, Tensor]


class OracleRounds:
    """Rounds of `dreamshare.autodiff.rounds`, answered at once.

    Args:
        config: the session's terms.
        sources: the programs; without a net.
        data: of each device.
    """

    def __init__(
        self, config: AutodiffConfig, sources: Sequence[ProgramSource], data: Sequence[Data]
    ) -> None:
        self._config = config
        self._sources = {source.name: source for source in sources}
        self._data = data
        self._tape = Tape(SystemClock())

    def ask(self, question: Question) -> Answer:
        wanted = Wanted.parse(question.step)
        program = self._config.program(wanted.program)
        source = self._sources[wanted.program]
        asked = Ask(question.step, program.fields(wanted), question.tensors)
        asked = Autodiff(self._config).recall(asked, self._tape)
        call, seed = read_call(program, wanted, asked.tensors)
        stacked = self._stacked(source, program.examples, seed)
        arguments, cotangents, tangents = (
            {name: torch.tensor(array) for name, array in group.items()}
            for group in (call.arguments, call.cotangents, call.tangents)
        )
        full = {n: tangents.get(n, torch.zeros_like(t)) for n, t in arguments.items()}

        def one(data: Named) -> Named:
            def results(given: Named) -> Named:
                return dict(source.function(given, data, _no_net))

            def slopes(given: Named) -> Named:
                pull = torch.func.vjp(results, given)[1]
                found: Named = pull(cotangents)[0]
                return found

            def pushed(function: Callable[[Named], Named], given: Named) -> Named:
                """The push-forward as the pull-back of the pull-back."""
                made = torch.func.vjp(function, given)
                zeros = {name: torch.zeros_like(tensor) for name, tensor in made[0].items()}
                again = torch.func.vjp(lambda g: made[1](g)[0], zeros)[1]
                found: Named = again(full)[0]
                return found

            found: Named = {}
            for group in call.groups:
                match group:
                    case "value":
                        made = results(arguments)
                    case "gradient":
                        made = slopes(arguments)
                    case "pushed":
                        made = pushed(results, arguments)
                    case _:
                        made = pushed(slopes, arguments)
                found |= {f"{group}/{name}": tensor for name, tensor in made.items()}
            return found

        found = torch.func.vmap(one)(stacked)
        sums: dict[str, Array] = {"clipped": np.zeros(())}
        for field in program.fields(wanted)[:-1]:
            group, _, place = field.name.rpartition("_")
            of = program.results if group in ("value", "pushed") else program.arguments
            every: Tensor = found[f"{group}/{of[int(place)].name}"]
            sums[field.name] = every.double().sum(0).numpy()
        devices = frozenset(bytes([i // 256, i % 256]) for i in range(len(self._data)))
        return Answer(sums, devices, len(devices))

    def _stacked(self, source: ProgramSource, most: int, seed: int) -> Named:
        each = []
        for data in self._data:
            size = min(most, len(data)) if most else len(data)
            batch = next(data.batches(np.random.default_rng(seed), size))
            each.append(data_of(source.name, source.data, batch))
        return {n: torch.tensor(np.stack([arrays[n] for arrays in each])) for n in each[0]}


def _no_net(x: Tensor) -> Tensor:
    raise ConfigError("the oracle has no net; give programs that need none")
