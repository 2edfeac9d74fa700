"""System services that tests start for themselves: found, or the test is skipped and says why.

    def test_something(...):
        (broker,) = need("Mosquitto", "mosquitto")      # the program's path

Rules:
- a service comes from `make services`; nothing here installs, and nothing uses a service of the
  machine's: a test starts its own, on loopback, in a folder of its own, and ends it;
- where `DREAMSHARE_SERVICES=required` (CI), a missing service fails instead of skipping;
- a service dies with the process that started it, also where that is killed (`tethered`).
"""

from __future__ import annotations

import os
import pwd
import shutil
import socket
from collections.abc import Sequence
from pathlib import Path

import pytest

REQUIRED = "DREAMSHARE_SERVICES"
"""Environment variable; 'required' turns a skip into a failure."""

_ELSEWHERE = ("/usr/sbin", "/usr/local/sbin")


def find(program: str) -> Path | None:
    """Return where a program is, also where Debian keeps it off the PATH; None if nowhere."""
    versions = sorted(Path("/usr/lib/postgresql").glob("*/bin"), key=_version, reverse=True)
    folders = [os.environ.get("PATH", os.defpath), *_ELSEWHERE, *map(str, versions)]
    found = shutil.which(program, path=os.pathsep.join(folders))
    return None if found is None else Path(found)


def need(service: str, *programs: str) -> tuple[Path, ...]:
    """Return the paths of a service's programs; skip the test where one is missing.

    Args:
        service: its name for people.
        programs: what is started, at least one.
    """
    found = {program: find(program) for program in programs}
    missing = [program for program, path in found.items() if path is None]
    if not missing:
        return tuple(path for path in found.values() if path is not None)
    reason = f"needs {service} ({', '.join(missing)} not found); `make services` installs it"
    if os.environ.get(REQUIRED) == "required":
        pytest.fail(f"{reason}, and {REQUIRED}=required", pytrace=False)
    pytest.skip(reason)


def free_port() -> int:
    """Return a port of loopback that nobody listens on at this moment."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        return int(taken.getsockname()[1])


def tethered(command: Sequence[str | Path], account: str | None = None) -> list[str]:
    """Return a command whose process ends when the caller's does, whatever ends the caller.

    Args:
        command: program and arguments.
        account: run as this account where the caller is root; a service that refuses root needs it.
    """
    words = [str(word) for word in command]
    setpriv = find("setpriv")
    if setpriv is None:
        return words
    other = account is not None and os.geteuid() == 0
    who = [f"--reuid={account}", f"--regid={account}", "--clear-groups"] if other else []
    return [str(setpriv), *who, "--pdeathsig=KILL", *words]


def give_to(account: str, folder: Path) -> None:
    """Make a folder an account's, where the caller is root and could not use it otherwise."""
    if os.geteuid() == 0:
        entry = pwd.getpwnam(account)
        os.chown(folder, entry.pw_uid, entry.pw_gid)


def _version(path: Path) -> int:
    """Return the release of /usr/lib/postgresql/RELEASE/bin."""
    return int(path.parent.name) if path.parent.name.isdigit() else 0
