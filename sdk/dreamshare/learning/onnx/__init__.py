"""Learning without torch: bundles that `dreamshare export` made, run by onnxruntime."""

from __future__ import annotations

from dreamshare.learning.onnx.bundle import Bundle, read_bundle
from dreamshare.learning.onnx.errors import BundleError
from dreamshare.learning.onnx.learner import OnnxLearner
from dreamshare.learning.onnx.programs import DerivedProgram, open_program
from dreamshare.learning.onnx.runtime import Program, Runtime

__all__ = (
    "Bundle",
    "BundleError",
    "DerivedProgram",
    "OnnxLearner",
    "Program",
    "Runtime",
    "open_program",
    "read_bundle",
)
