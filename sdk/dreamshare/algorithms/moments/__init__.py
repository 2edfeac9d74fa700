"""`moments/1`: one or two sums of class-wise moments, a set that anybody draws, joint training."""

from __future__ import annotations

from dreamshare.algorithms.moments.algorithm import MomentSharing
from dreamshare.algorithms.moments.config import MomentsConfig
from dreamshare.algorithms.moments.forms import Form, form_of
from dreamshare.algorithms.moments.state import MomentsState

__all__ = ("Form", "MomentSharing", "MomentsConfig", "MomentsState", "form_of")
