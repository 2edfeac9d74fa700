"""Where work runs that takes a while.

Two kinds of it, and an engine for each:

- *steps* of a machine that lives here, beside the event loop: `Engine`, `InlineEngine`,
  `ThreadEngine` (module `steps`, re-exported here);
- *batches* of pure work that could run anywhere: `BatchEngine` (module `batches`), in threads, in
  processes or on a Ray cluster, opened by `opening.open_engine`.

Importing this package costs the first kind alone, which is all that a device uses.
"""

from dreamshare.engine.steps import Engine, InlineEngine, ThreadEngine

__all__ = ("Engine", "InlineEngine", "ThreadEngine")
