"""Entry point of the `dreamshare` script and of `python -m dreamshare_cli`.

The command's own libraries are an extra, so that a device installs none of them; where they are
missing, one line says how to get them.
"""

from __future__ import annotations

import logging
import os
import sys
from contextlib import suppress
from typing import NoReturn

_EXTRA = ("typer", "rich", "click")


def main() -> None:
    """Run the command with the process's arguments, and end the process with its exit code."""
    try:
        from dreamshare_cli.command import execute
    except ModuleNotFoundError as error:
        if error.name not in _EXTRA:
            raise
        sys.exit(f"dreamshare: the command needs {error.name}: pip install 'dreamshare[cli]'")
    code = execute(sys.argv[1:])
    if "ray" in sys.modules:
        _leave(code)
    sys.exit(code)


def _leave(code: int) -> NoReturn:
    """End at once, where everything is closed: Ray's library now and then aborts a process that
    takes its modules down (SIGABRT behind a shutdown that its log calls complete).
    """
    logging.shutdown()
    for stream in (sys.stdout, sys.stderr):
        with suppress(OSError):  # nobody reads it any more
            stream.flush()
    os._exit(code)


if __name__ == "__main__":
    main()
