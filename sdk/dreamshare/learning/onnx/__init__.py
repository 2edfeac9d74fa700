"""Learning without torch: bundles that `dreamshare export` made, run by onnxruntime.

Rules:
- a name is imported when it is first used: what a program takes and gives (`signatures`) is read by
  devices without onnxruntime, too.
"""

from __future__ import annotations

from importlib import import_module
from types import MappingProxyType
from typing import TYPE_CHECKING

if TYPE_CHECKING:
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

_HOMES = MappingProxyType(
    {
        "Bundle": "bundle",
        "BundleError": "errors",
        "DerivedProgram": "programs",
        "OnnxLearner": "learner",
        "Program": "runtime",
        "Runtime": "runtime",
        "open_program": "programs",
        "read_bundle": "bundle",
    }
)


def __getattr__(name: str) -> object:
    """Import a public name at its first use (PEP 562); raises AttributeError for another one."""
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)
