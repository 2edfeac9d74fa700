"""How much memory this process may still take: the machine's, and what its group is allowed.

Rules:
- a service or a container may be allowed less than the machine has (cgroup v2); the tightest of all
  groups above this process counts;
- what the machine does not say is None, never a guess.
"""

from __future__ import annotations

from pathlib import Path

_PROC = Path("/proc")
_GROUPS = Path("/sys/fs/cgroup")


def free_memory(proc: Path = _PROC, groups: Path = _GROUPS) -> int | None:
    """Return the bytes that may be used without swapping; None where nothing says so.

    Args:
        proc: the kernel's folder of processes.
        groups: the kernel's folder of control groups.
    """
    known = [size for size in (_of_machine(proc), _of_groups(proc, groups)) if size is not None]
    return min(known, default=None)


def _of_machine(proc: Path) -> int | None:
    try:
        lines = (proc / "meminfo").read_text(encoding="ascii").splitlines()
        (line,) = (each for each in lines if each.startswith("MemAvailable:"))
        return int(line.split()[1]) << 10
    except (OSError, ValueError, IndexError):
        return None


def _of_groups(proc: Path, groups: Path) -> int | None:
    try:
        lines = (proc / "self" / "cgroup").read_text(encoding="utf-8").splitlines()
        (own,) = (each.removeprefix("0::/") for each in lines if each.startswith("0::/"))
    except (OSError, ValueError):
        return None
    place = groups / own
    left = [_left(each) for each in (place, *place.parents) if each.is_relative_to(groups)]
    return min((size for size in left if size is not None), default=None)


def _left(group: Path) -> int | None:
    """Return what a group has left; None without a limit."""
    try:
        most = (group / "memory.max").read_text(encoding="ascii").strip()
        used = (group / "memory.current").read_text(encoding="ascii")
        return max(0, int(most) - int(used))
    except (OSError, ValueError):  # no such file; "max": no limit
        return None
