"""Entry point of the `dreamshare` script and of `python -m dreamshare_cli`.

The command's own libraries are an extra, so that a device installs none of them; where they are
missing, one line says how to get them.
"""

from __future__ import annotations

import sys

_EXTRA = ("typer", "rich", "click")


def main() -> None:
    """Run the command with the process's arguments, and end the process with its exit code."""
    try:
        from dreamshare_cli.command import execute
    except ModuleNotFoundError as error:
        if error.name not in _EXTRA:
            raise
        sys.exit(f"dreamshare: the command needs {error.name}: pip install 'dreamshare[cli]'")
    sys.exit(execute(sys.argv[1:]))


if __name__ == "__main__":
    main()
