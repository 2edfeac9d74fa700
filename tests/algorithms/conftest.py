"""Every algorithm is tested on every kind of learner: the toy of numpy, torch, CUDA, ONNX."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import pytest

from dreamshare.learning.base import Learner
from tests.algorithms.toy import ToyLearner
from tests.unit.learning.learners import KINDS, layered


@pytest.fixture(params=("toy", *KINDS))
def learner(request: pytest.FixtureRequest) -> Callable[..., Learner]:
    """Return a function from a seed (default 0) to a learner of one kind."""
    return ToyLearner if request.param == "toy" else partial(layered, request.param)
