"""A derivative is of the examples of its value, also where a device's data change."""

from __future__ import annotations

import numpy as np
import pytest

from dreamshare.algorithms.autodiff import Autodiff, AutodiffConfig
from dreamshare.algorithms.autodiff.requests import tensors_of
from dreamshare.algorithms.base import Ask
from dreamshare.clock import ManualClock
from dreamshare.errors import ConfigError
from dreamshare.learning.base import Data
from dreamshare.learning.programs import ProgramCall, Wanted
from dreamshare.learning.snapshots import ChangingData
from dreamshare.updates import Array
from dreamshare_edge.halting import Halt, HaltingData
from tests.autodiff.programs import LOSS, data_of, learner_of

CONFIG = AutodiffConfig((LOSS,))


class Device:
    """A device whose examples are others whenever `device` is."""

    def __init__(self, most: int = 8) -> None:
        self.device = 0
        self.clock = ManualClock()
        self.data: Data = ChangingData(
            lambda: data_of(self.device), most=most, ttl_s=60.0, clock=self.clock
        )
        self._learner = learner_of("torch")

    def answer(self, group: str, theta: float = 0.5) -> Array:
        wanted = Wanted("logistic/1", (group,), 0 if group == "gradient" else None)
        given = {"theta": np.full(5, theta)}
        pulls = {"loss": np.ones(())} if group == "gradient" else {}
        call = ProgramCall(wanted.program, wanted.groups, (), given, pulls)
        ask = Ask(wanted.step, LOSS.fields(wanted), tensors_of(LOSS, call, 3))
        made = Autodiff(CONFIG).local(ask, self._learner, self.data, np.random.default_rng(0))
        return made.arrays[f"{group}_0"]


def test_value_and_derivative_see_the_same_examples() -> None:
    still, moving = Device(), Device()
    moving.data = HaltingData(moving.data, Halt())  # as an agent's worker hands it over
    for device in (still, moving):
        device.answer("value")
    moving.device = 1
    np.testing.assert_array_equal(moving.answer("gradient"), still.answer("gradient"))
    assert (moving.answer("value", 0.6) != still.answer("value", 0.6)).any()


@pytest.mark.parametrize("how", ["never", "late", "crowded out"])
def test_a_derivative_of_examples_that_are_gone_is_refused(how: str) -> None:
    device = Device(most=1)
    if how != "never":
        device.answer("value")
    if how == "late":
        device.clock.advance_to(device.clock.now() + 60.0)
    if how == "crowded out":
        device.answer("value", 0.6)
    with pytest.raises(ConfigError, match="are gone"):
        device.answer("gradient")


@pytest.mark.parametrize(("most", "ttl_s"), [(0, 1.0), (1, 0.0)])
def test_something_is_kept_for_some_time(most: int, ttl_s: float) -> None:
    with pytest.raises(ConfigError, match="keep at least one"):
        ChangingData(lambda: data_of(0), most=most, ttl_s=ttl_s, clock=ManualClock())
