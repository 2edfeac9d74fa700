"""Small nets in numpy, for an aggregator without a framework (docs/adr/0023).

A device has them beside its model, whatever that runs on.
"""

from __future__ import annotations

from dreamshare.learning.plain.nets import classifier, discriminator, generator, segmenter
from dreamshare.learning.plain.training import Trained, adam

__all__ = ("Trained", "adam", "classifier", "discriminator", "generator", "segmenter")
