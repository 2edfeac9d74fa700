"""What people read about each algorithm of the demo: one place for terminal, pictures and report.

Rules: texts alone; figures come from runs.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType


@dataclass(frozen=True, slots=True)
class Wording:
    """How one algorithm is spoken of.

    Attributes:
        column: over its accuracies, one word.
        sharing: what its devices do, e.g. "sharing dreams".
        rounds: what it counts its rounds in, for more than one of them and for one.
        sums: what was summed, for the list of what the aggregator saw.
        limit: what those sums may tell all the same.
        made: what the aggregator made of the sums and everybody got.
        heading: over its pictures.
        story: what the pictures show.
        row: beside a row of pictures, before its number.
        picture: its pictures' file.
        colour: the palette's field that it is drawn in.
    """

    column: str
    sharing: str
    rounds: tuple[str, str]
    sums: str
    limit: str
    made: str
    heading: str
    story: str
    row: str
    picture: str
    colour: str


WORDINGS: Mapping[str, Wording] = MappingProxyType(
    {
        "moments": Wording(
            column="moments",
            sharing="sharing moments",
            rounds=("rounds", "round"),
            sums="how often each class occurs in all of them together, the mean image of each "
            "class and how its pixels vary together",
            limit="The mean and the covariance of a class are public, and tell the more about its "
            "images the fewer there are and the fewer devices have them.",
            made="The synthetic digits: it draws them from those sums, and so does everybody.",
            heading="What they drew",
            story="Digits that nobody wrote: drawn from the mean and the covariance of each class, "
            "from a public seed, so that every device has the same. The last row is the mean of "
            "those that are shown.",
            row="no.",
            picture="moments.png",
            colour="accent",
        ),
        "codream": Wording(
            column="dreams",
            sharing="sharing dreams",
            rounds=("cycles", "cycle"),
            sums="gradients on the dreams, soft labels of the dreams, how often each class occurs "
            "in all of them together",
            limit="Each sum is over nearly the same devices as the last, without noise.",
            made="The dreams themselves: it makes them from those sums and sends them to "
            "everybody.",
            heading="What they dreamt",
            story="Noise, moved step by step until the nets together see a digit in it. A net can "
            "learn from it even where a person sees little. The last row is the mean of all dreams "
            "of a digit: what they have in common.",
            row="cycle",
            picture="dreams.png",
            colour="second",
        ),
    }
)
"""By name of the algorithm."""
