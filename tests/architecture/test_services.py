"""`scripts/services`: what is missing is seen to be missing."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

import pytest

SCRIPT = (Path(__file__).parents[2] / "scripts/services").read_text()
NAMES = re.findall(r"^(\w+)\(\) \{", SCRIPT, re.MULTILINE)


@pytest.mark.parametrize(("name", "there"), [("bash", True), ("no-such-program", False)])
def test_a_program_is_not_taken_for_there_because_a_function_has_its_name(
    name: str, there: bool
) -> None:
    """Mosquitto and Chromium are installed by functions called as they are."""
    assert {"mosquitto", "chromium"} <= set(NAMES)
    found = re.search(r"^present\(\) \{.*?^\}$", SCRIPT, re.MULTILINE | re.DOTALL)
    assert found is not None
    asked = f"{found.group()}\n{name}() {{ :; }}\npresent {name}"
    assert (subprocess.run(["bash", "-c", asked]).returncode == 0) == there
