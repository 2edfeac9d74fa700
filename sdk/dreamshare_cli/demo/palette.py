"""Colours of the report and its pictures, for light and for dark screens.

Rules:
- accents are for what was learnt by sharing, one for each algorithm (`wording`); grey is for what
  a device reaches alone;
- text on its paper keeps a contrast of at least 4.5 to 1 (a test computes it).
"""

from __future__ import annotations

from dataclasses import dataclass

from dreamshare_cli.demo.wording import WORDINGS


@dataclass(frozen=True, slots=True)
class Palette:
    """Hex colours `#rrggbb`.

    Attributes:
        paper: behind everything.
        card: behind pictures and boxes.
        ink: text.
        muted: second text, axes.
        line: hairlines, grids.
        accent, second: what sharing brought.
        alone: what a device reaches without others.
        middle: the label-histogram baseline.
        lost: a device that was killed.
    """

    paper: str
    card: str
    ink: str
    muted: str
    line: str
    accent: str
    second: str
    alone: str
    middle: str
    lost: str

    def of(self, algorithm: str) -> str:
        """Return the colour that an algorithm is drawn in."""
        return {"accent": self.accent, "second": self.second}[WORDINGS[algorithm].colour]


LIGHT = Palette(
    paper="#f7f6fb",
    card="#ffffff",
    ink="#1c1a27",
    muted="#625e75",
    line="#e4e1ee",
    accent="#6a3df0",
    second="#0c7381",
    alone="#8d899c",
    middle="#b98a2f",
    lost="#c2334d",
)

DARK = Palette(
    paper="#12111a",
    card="#1b1926",
    ink="#eeecf6",
    muted="#a6a1ba",
    line="#322e42",
    accent="#a68cff",
    second="#4fc3d0",
    alone="#8f8aa3",
    middle="#d8ad55",
    lost="#ff7a90",
)
