"""Nets as bundles for devices without torch (extra `export`).

    bundle = compile(net, (1, 28, 28), classes=10)
    Path("net.dream").write_bytes(bundle.to_bytes())

Rules:
- this is the workstation's side; what a device needs is in `dreamshare.learning.onnx`;
- an unsupported net is refused here, by the operator's name, never wrong on a device.
"""

from __future__ import annotations

from dreamshare.learning.export.compiling import ExportSettings, compile  # noqa: A004
from dreamshare.learning.export.program_sources import ProgramSource
from dreamshare.learning.export.refusals import ExportError
from dreamshare.learning.export.supported import supported_operators
from dreamshare.learning.onnx.signatures import Argument, DataArray

__all__ = (
    "Argument",
    "DataArray",
    "ExportError",
    "ExportSettings",
    "ProgramSource",
    "compile",
    "supported_operators",
)
