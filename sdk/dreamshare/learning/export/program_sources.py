"""Programs that an export names, read from a user's file.

Rules:
- what a program is: `dreamshare.learning.torch.sources`; the source that a torch device registers
  is the one that is exported.
"""

from __future__ import annotations

from pathlib import Path

from dreamshare.errors import ConfigError
from dreamshare.learning.torch.sources import Net, ProgramSource, Tensors

__all__ = ("Net", "ProgramSource", "Tensors", "load_program")


def load_program(source: bytes, path: Path, name: str) -> ProgramSource:
    """Return the `ProgramSource` called `name` of a user's Python file, which is executed.

    Raises:
        ConfigError: not Python, or nothing of that name and type.
    """
    try:
        code = compile(source, str(path), "exec")
    except (SyntaxError, ValueError) as error:
        raise ConfigError(f"{path} is not a Python file: {error}") from None
    names: dict[str, object] = {"__name__": path.stem, "__file__": str(path)}
    exec(code, names)  # noqa: S102 - the user's own program
    found = names.get(name)
    if not isinstance(found, ProgramSource):
        raise ConfigError(f"{path} has no ProgramSource {name!r}; see docs/programs.md")
    return found
