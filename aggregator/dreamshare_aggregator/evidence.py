"""Evidence against devices, for people: two messages that one device signed and that contradict.

Rules:
- a file each, of mode 0600, as JSON: who, in which task, which rule (docs/protocol.md 10), and both
  messages; logs name the file and hold no message;
- at most `MOST_FILES` are kept, so that a device that lies for ever fills no disk; the same
  evidence is the same file.
"""

from __future__ import annotations

import hashlib
import json
import os
from pathlib import Path

from dreamshare.ids import TaskId, short
from dreamshare.protocol.events import KeepEvidence

MOST_FILES = 1000


def keep_evidence(folder: Path, task: TaskId, evidence: KeepEvidence) -> Path | None:
    """Write evidence to a folder, which is made; return the file, None where the folder is full.

    Raises:
        OSError: it cannot be written.
    """
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    both = hashlib.sha256(evidence.first + evidence.second).hexdigest()[:16]
    path = folder / f"{short(task)}-{short(evidence.device)}-{both}.json"
    if path.exists():
        return path
    if sum(1 for _ in folder.glob("*.json")) >= MOST_FILES:
        return None
    text = json.dumps(
        {
            "task": task.hex(),
            "device": evidence.device.hex(),
            "rule": str(evidence.code),
            "first": evidence.first.hex(),
            "second": evidence.second.hex(),
        },
        indent=1,
    )
    with open(path, "x", opener=_private, encoding="ascii") as file:
        file.write(f"{text}\n")
    return path


def _private(path: str, flags: int) -> int:
    return os.open(path, flags | os.O_CLOEXEC, 0o600)
