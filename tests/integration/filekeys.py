"""A keystore for tests of several processes: a JSON file that an environment variable names.

PYTHON_KEYRING_BACKEND=tests.integration.filekeys.FileKeys  DREAMSHARE_TEST_KEYS=keys.json
"""

from __future__ import annotations

import json
import os
from pathlib import Path

from keyring.backend import KeyringBackend

VARIABLE = "DREAMSHARE_TEST_KEYS"


class FileKeys(KeyringBackend):
    """Keeps what it is given, for everybody who may read the file."""

    priority = 1

    def get_password(self, service: str, username: str) -> str | None:
        return self._kept().get(f"{service}/{username}")

    def set_password(self, service: str, username: str, password: str) -> None:
        self._keep({**self._kept(), f"{service}/{username}": password})

    def delete_password(self, service: str, username: str) -> None:
        kept = self._kept()
        del kept[f"{service}/{username}"]
        self._keep(kept)

    def _kept(self) -> dict[str, str]:
        path = Path(os.environ[VARIABLE])
        kept: dict[str, str] = json.loads(path.read_text()) if path.exists() else {}
        return kept

    def _keep(self, kept: dict[str, str]) -> None:
        Path(os.environ[VARIABLE]).write_text(json.dumps(kept))
