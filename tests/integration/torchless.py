"""`python -m dreamshare_edge` where neither torch, onnx nor the command can be imported.

What a device has: onnxruntime, numpy, a transport. `python -m tests.integration.torchless ...`
"""

from __future__ import annotations

import sys

ABSENT = ("torch", "torchvision", "safetensors", "onnx", "typer", "rich", "sklearn")


def main() -> int:
    """Run an agent whose interpreter has none of `ABSENT`; return its exit code."""
    for name in ABSENT:
        sys.modules[name] = None  # type: ignore[assignment]  # ModuleNotFoundError on import
    from dreamshare_edge.__main__ import main as agent

    return agent()


if __name__ == "__main__":
    sys.exit(main())
