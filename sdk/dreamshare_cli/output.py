"""What a verb prints: lines for people, or JSON lines for programs.

Rules:
- with `--json`, standard output holds JSON objects only, one a line, flushed at once;
- what people read and what programs read come from the same values.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Output:
    """Where a verb prints.

    Attributes:
        as_json: print the fields as one JSON object instead of the text.
    """

    as_json: bool = False

    def show(self, fields: Mapping[str, object], text: str) -> None:
        """Print one thing that happened or was found; an empty text prints nothing."""
        if self.as_json:
            print(json.dumps(fields, allow_nan=False), flush=True)
        elif text:
            print(text, flush=True)


def say(line: str) -> None:
    """Print one line on standard output, at once."""
    print(line, flush=True)


def complain(text: str) -> None:
    """Print one line on standard error."""
    print(f"dreamshare: {' '.join(text.split())}", file=sys.stderr, flush=True)
