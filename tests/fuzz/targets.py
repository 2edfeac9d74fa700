"""Every fuzz target by name; `test_fuzz` runs them briefly, `python -m tests.fuzz` for long."""

from __future__ import annotations

from tests.fuzz import bundles, decoders, files, machines, packets, texts
from tests.fuzz.target import Target

TARGETS: dict[str, Target] = {
    target.name: target
    for target in (
        *bundles.TARGETS,
        *decoders.TARGETS,
        *files.TARGETS,
        *packets.TARGETS,
        *machines.TARGETS,
        *texts.TARGETS,
    )
}
