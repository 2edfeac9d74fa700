"""Generators of training examples, and captions: what `generative/1` makes its pictures with."""

from __future__ import annotations

from dreamshare.learning.generators.base import (
    Generator,
    Provenance,
    Request,
    digest_of,
    requests_of,
    seed_of,
)
from dreamshare.learning.generators.captions import (
    AttributeCaptioner,
    Captioner,
    ClassTemplateCaptioner,
)
from dreamshare.learning.generators.flow import FlowSettings, LatentFlowGenerator, load_flow
from dreamshare.learning.generators.gaussian import GaussianGenerator, Moments, load_moments
from dreamshare.learning.leaks import Leak, anonymous, leaks

__all__ = (
    "Generator",
    "Request",
    "Provenance",
    "requests_of",
    "seed_of",
    "digest_of",
    "GaussianGenerator",
    "Moments",
    "load_moments",
    "LatentFlowGenerator",
    "FlowSettings",
    "load_flow",
    "Captioner",
    "ClassTemplateCaptioner",
    "AttributeCaptioner",
    "leaks",
    "Leak",
    "anonymous",
)
