"""An operator's way to tasks: submit, watch, end, fetch, all of it `async`.

`Client` is the session; `dreamshare.results` has what it fetches. Everything that `dreamshare run`
and `dreamshare history` do is one call of it.
"""

from dreamshare.client.client import PATIENCE_S, Client
from dreamshare.results import Artifact, Result, TaskEnded

__all__ = ("PATIENCE_S", "Artifact", "Client", "Result", "TaskEnded")
