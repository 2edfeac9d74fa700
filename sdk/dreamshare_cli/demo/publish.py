"""Writes what a demo found out: result.json, two PNG files and the report.

OUT/result.json  OUT/accuracy.png  OUT/dreams.png  OUT/report.html
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from dreamshare.errors import ConfigError
from dreamshare.payloads.gallery import Gallery
from dreamshare_cli.demo.palette import DARK, LIGHT
from dreamshare_cli.demo.pictures import accuracy_png, dreams_png
from dreamshare_cli.demo.report import Pictures, report_html
from dreamshare_cli.demo.result import DemoResult


@dataclass(frozen=True, slots=True)
class Published:
    """Where everything lies."""

    result: Path
    accuracy: Path
    dreams: Path
    report: Path


def publish(folder: Path, result: DemoResult, gallery: Gallery, command: str) -> Published:
    """Write the four files; raises ConfigError where the folder cannot be written.

    Args:
        folder: exists.
        command: what to type to see the same again.
    """
    pictures = Pictures(
        accuracy_light=accuracy_png(result, LIGHT),
        accuracy_dark=accuracy_png(result, DARK),
        accuracy_light_narrow=accuracy_png(result, LIGHT, narrow=True),
        accuracy_dark_narrow=accuracy_png(result, DARK, narrow=True),
        dreams_light=dreams_png(gallery, LIGHT),
        dreams_dark=dreams_png(gallery, DARK),
        dreams_light_narrow=dreams_png(gallery, LIGHT, narrow=True),
        dreams_dark_narrow=dreams_png(gallery, DARK, narrow=True),
    )
    published = Published(
        folder / "result.json",
        folder / "accuracy.png",
        folder / "dreams.png",
        folder / "report.html",
    )
    try:
        published.result.write_text(result.to_json(indent=2) + "\n", encoding="utf-8")
        published.accuracy.write_bytes(pictures.accuracy_light)
        published.dreams.write_bytes(pictures.dreams_light)
        published.report.write_text(report_html(result, pictures, command), encoding="utf-8")
    except OSError as error:
        raise ConfigError(f"cannot write to {folder}: {error.strerror}") from None
    return published
