"""QR codes in a terminal: half blocks, two rows of modules to a line."""

from __future__ import annotations

import io

import segno


def qr_code(text: str) -> str:
    """Return the QR code of a text as lines for a terminal."""
    drawn = io.StringIO()
    # Error correction L: a screen does not get torn, and a smaller code is easier to scan.
    segno.make_qr(text, error="l").terminal(out=drawn, compact=True)
    return drawn.getvalue().rstrip("\n")
