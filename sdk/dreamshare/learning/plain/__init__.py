"""Small public nets in numpy, for an aggregator without a framework (docs/adr/0023)."""

from __future__ import annotations

from dreamshare.learning.plain.nets import classifier, generator
from dreamshare.learning.plain.training import Trained, adam

__all__ = ("Trained", "adam", "classifier", "generator")
