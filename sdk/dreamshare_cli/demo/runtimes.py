"""What the demo's devices compute with: torch, onnxruntime, or every other device the other one.

Rules:
- torch where it can be imported, else onnxruntime; who asks for one by name gets it or a refusal;
- nothing is imported here: whether a package could be is asked of the import system.
"""

from __future__ import annotations

from collections.abc import Callable
from enum import StrEnum
from importlib.util import find_spec

from dreamshare.errors import ConfigError


class DeviceRuntime(StrEnum):
    """What one device computes with."""

    TORCH = "torch"
    ONNX = "onnx"

    @property
    def modules(self) -> tuple[str, ...]:
        """What has to be importable."""
        return ("torch", "safetensors") if self is DeviceRuntime.TORCH else ("onnxruntime",)


class RuntimeChoice(StrEnum):
    """What the devices of a demo compute with."""

    TORCH = "torch"
    ONNX = "onnx"
    MIXED = "mixed"

    def of(self, device: int) -> DeviceRuntime:
        """Return the runtime of the 0-based device; mixed: torch for the first, then in turn."""
        match self:
            case RuntimeChoice.MIXED:
                return DeviceRuntime.ONNX if device % 2 else DeviceRuntime.TORCH
            case _:
                return DeviceRuntime(self.value)


def importable(module: str) -> bool:
    """Say whether a top-level module would be found; it is not loaded."""
    try:
        return find_spec(module) is not None
    except (ImportError, ValueError):  # refused by a hook, or half loaded
        return False


def choose(
    asked: RuntimeChoice | None, available: Callable[[str], bool] = importable
) -> RuntimeChoice:
    """Return what the devices compute with.

    Args:
        asked: by the person, or None.
        available: whether a module can be imported.

    Raises:
        ConfigError: what was asked for, or with None both runtimes, cannot be imported here.
    """

    def lacks(runtime: DeviceRuntime) -> list[str]:
        return [module for module in runtime.modules if not available(module)]

    torch, onnx = lacks(DeviceRuntime.TORCH), lacks(DeviceRuntime.ONNX)
    if asked is None:
        asked = RuntimeChoice.ONNX if torch else RuntimeChoice.TORCH
    if asked is not RuntimeChoice.ONNX and torch:
        half = "half of the devices need" if asked is RuntimeChoice.MIXED else "the devices need"
        raise ConfigError(
            f"--runtime {asked}: {half} {' and '.join(torch)}, not installed here; take --runtime "
            "onnx, or install torch with: pip install 'dreamshare[demo,torch]'"
        )
    if asked is not RuntimeChoice.TORCH and onnx:
        raise ConfigError(
            f"--runtime {asked}: devices need {onnx[0]}, not installed here; install it with: "
            "pip install 'dreamshare[demo]'"
        )
    return asked
