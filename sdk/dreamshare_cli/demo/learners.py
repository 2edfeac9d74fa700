"""The net of one device, under the runtime that it computes with.

Rules:
- a runtime is loaded when a device needs it, so that an ONNX device never loads torch;
- the same architecture and seed start from the same weights under either (`first_weights`).
"""

from __future__ import annotations

from dreamshare.learning.base import Learner
from dreamshare_cli.demo.digits import CLASSES
from dreamshare_cli.demo.first_weights import first_weights, shapes_of
from dreamshare_cli.demo.runtimes import DeviceRuntime


def make_learner(runtime: DeviceRuntime, architecture: str, seed: int) -> Learner:
    """Return a freshly initialised learner of one thread, a function of its arguments.

    Raises:
        ConfigError: an unknown architecture.
    """
    match runtime:
        case DeviceRuntime.TORCH:
            from dreamshare.learning.torch import TorchLearner
            from dreamshare_cli.demo.nets import build

            return TorchLearner(build(architecture, seed), classes=CLASSES)
        case DeviceRuntime.ONNX:
            from dreamshare.learning.onnx import OnnxLearner, Runtime
            from dreamshare_cli.demo.bundles import demo_bundle

            learner = OnnxLearner(demo_bundle(architecture), runtime=Runtime(threads=1))
            learner.load_parameters(first_weights(shapes_of(learner), seed))
            return learner
