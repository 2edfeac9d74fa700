"""What the readers of a bundle raise."""

from __future__ import annotations

from dreamshare.errors import ConfigError


class BundleError(ConfigError):
    """A bundle that cannot be used; the text says why and what to do."""
