"""The table [data] of an agent's settings: where its examples are, without any code.

    [data]
    csv = "walks.csv"
    columns = ["x", "y", "z"]
    label = "activity"
    classes = ["walk", "run"]
    window = 128

Rules:
- one source: a folder of pictures, a CSV file, or arrays in a NumPy file; public sets and captions
  beside it;
- shapes, number of classes and normalisation are the bundle's: nothing is said twice;
- `dreamshare_edge.bundled` reads what is named here.
"""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from pathlib import Path

from dreamshare.errors import ConfigError
from dreamshare.settings import setting


@dataclass(frozen=True, slots=True)
class DataConfig:
    """Where a device's own examples are."""

    images: Path | None = setting(
        "A folder with a folder of pictures for each class (extra 'images'). They are scaled to "
        "the model's input; values are 0 to 1 before its normalisation.",
        default=None,
        example="photos",
    )
    csv: Path | None = setting(
        "A CSV file whose first line names its columns. Needs columns and classes.",
        default=None,
        example="walks.csv",
    )
    arrays: Path | None = setting(
        "A NumPy file with the arrays x (N examples of the model's shape, before its "
        'normalisation) and y (N classes, whole numbers): np.savez("examples.npz", x=x, y=y).',
        default=None,
        example="examples.npz",
    )
    classes: tuple[str, ...] = setting(
        "Names in the order of the model's classes: of folders, or of what the label's column "
        "holds. May be left out for pictures of every class, whose folders are taken in order.",
        default=(),
    )
    columns: tuple[str, ...] = setting(
        "With csv: the columns of numbers, in the model's order.", default=()
    )
    label: str = setting("With csv: the column with the class.", default="label")
    window: int = setting(
        "With csv: rows of an example, which is columns x rows and has its last row's class. 0: "
        "each row is an example.",
        default=0,
    )
    stride: int = setting(
        "With window: rows from one example's beginning to the next one's, 1 or more. 0: as many "
        "as the window has.",
        default=0,
    )
    group: str = setting(
        "With window: a column; no example holds rows of two of its values. Empty: one series.",
        default="",
    )
    public: tuple[Path, ...] = setting(
        "Public sets that this device holds: files of `PublicSet.save`, with inputs as the model "
        "takes them. Tasks such as fedh2l/1 and consensus/1 name one by its digest. They go with a "
        "factory, too.",
        default=(),
    )
    domain: int = setting(
        "Which of a public set's domains the own examples are from, 0 or more; -1: unknown. It "
        "stays on the device.",
        default=-1,
    )
    captions: Path | None = setting(
        "A CSV file with the columns class (a number) and caption: what the own pictures show, in "
        "words. They are disclosed where policy.captions allows it, and nowhere else "
        "(docs/algorithms/generative.md). They go with a factory, too.",
        default=None,
        example="captions.csv",
    )
    captioner: str = setting(
        "Instead of captions: what says them, a folder or hub id of an image-to-text model such as "
        "BLIP-2 (extra 'diffusers'). It looks at the own pictures when a task asks that the policy "
        "allows.",
        default="",
    )
    captioner_digest: str = setting(
        "With captioner: its digest, as `dreamshare.learning.generators.digest_of` tells it.",
        default="",
    )
    captioner_offline: bool = setting("With captioner: never ask the hub.", default=True)
    captioner_range: tuple[float, ...] = setting(
        "With captioner: smallest and largest value of a picture as the model takes it.",
        default=(0.0, 1.0),
    )
    private_names: tuple[str, ...] = setting(
        "With captions or a captioner: names of people, places and devices; a caption with one of "
        "them stays here.",
        default=(),
    )
    held_out: float = setting(
        "Part of the examples that is never trained on and measures accuracy, 0 to below 1; which "
        "ones follows from the seed. At most 1,000.",
        default=0.1,
    )

    def __post_init__(self) -> None:
        sources = [s for s in (self.images, self.csv, self.arrays) if s is not None]
        if len(sources) > 1:
            raise ConfigError("data: give one of images, csv and arrays")
        if self.csv is None and (self.columns or self.window or self.stride or self.group):
            raise ConfigError("data: columns, window, stride and group go with csv")
        if self.csv is not None and not (self.columns and self.classes and self.label):
            raise ConfigError("data: csv needs columns, label and classes")
        if self.arrays is not None and self.classes:
            raise ConfigError("data: arrays holds classes as numbers; leave classes out")
        if self.window < 0 or self.stride < 0:
            raise ConfigError("data: window and stride are 0 or more")
        if not self.window and (self.stride or self.group):
            raise ConfigError("data: stride and group go with window")
        if len(set(self.classes)) != len(self.classes):
            raise ConfigError("data: classes names one of them twice")
        self._check_captions()
        if self.domain < -1:
            raise ConfigError(f"data: domain is {self.domain}; it must be -1 or more")
        if not 0 <= self.held_out < 1:
            raise ConfigError(f"data: held_out is {self.held_out}; it must be 0 to below 1")

    def _check_captions(self) -> None:
        if self.captions is not None and self.captioner:
            raise ConfigError("data: give one of captions and captioner")
        if self.private_names and self.captions is None and not self.captioner:
            raise ConfigError("data: private_names goes with captions or captioner")
        if bool(self.captioner) != bool(self.captioner_digest):
            raise ConfigError("data: captioner and captioner_digest go together")
        if len(self.captioner_range) != 2:
            raise ConfigError("data: captioner_range is two numbers, the smaller one first")

    @property
    def source(self) -> Path | None:
        """The one that is given, or None."""
        return next((s for s in (self.images, self.csv, self.arrays) if s is not None), None)

    def beside(self, folder: Path) -> DataConfig:
        """Return the same settings with relative paths taken from `folder`."""
        return dataclasses.replace(
            self,
            images=None if self.images is None else folder / self.images,
            csv=None if self.csv is None else folder / self.csv,
            arrays=None if self.arrays is None else folder / self.arrays,
            captions=None if self.captions is None else folder / self.captions,
            public=tuple(folder / path for path in self.public),
        )
