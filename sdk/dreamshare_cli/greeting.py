"""What `dreamshare up` says when everything listens."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from dreamshare_cli.development import JOIN_WORDS
from dreamshare_cli.federation import DEFAULT_FOLDER, FederationFolder
from dreamshare_cli.output import Output
from dreamshare_cli.watching import Shown


@dataclass(frozen=True, slots=True)
class Greeting:
    """What there is to say.

    Attributes:
        links: where devices and operators connect.
        enrol: where devices enrol.
        join: the line that a device joins a development federation with; None elsewhere.
        federation: folder of the development federation.
        store: the database, without secrets.
        loop: name of the event loop.
        why: why it is not the quicker one; "" where it is.
        capture: where everything that is received is written to, or None.
        page: the live page.
        shards: where placed shards listen.
    """

    links: Sequence[str]
    enrol: Sequence[str]
    join: str | None
    federation: Path
    store: str
    loop: str
    why: str
    capture: Path | None
    page: Shown
    shards: Sequence[str] = ()

    def show(self, output: Output) -> None:
        """Print it."""
        on = f"{self.loop} ({self.why})" if self.why else self.loop
        lines = [f"listening on {', '.join(self.links)}; Ctrl-C stops it", f"event loop: {on}"]
        if self.shards:
            lines.append(f"placing shards on {', '.join(self.shards)}")
        if self.enrol:
            lines.append(f"taking enrolments on {', '.join(self.enrol)}")
        lines += self.page.lines(on_terminal=sys.stdout.isatty())
        if self.capture is not None:
            lines.append(f"everything that is received is written to {self.capture}")
        if self.join is not None:
            folder = FederationFolder(self.federation)
            where = "" if folder.folder == DEFAULT_FOLDER else f" --federation {folder.folder}"
            task = f"codream/1 --config {folder.sample} --least 3 --watch{where}"
            lines += [
                f"a device joins with this line, a secret ({JOIN_WORDS}):",
                "",
                f"  {self.join}",
                "",
                "when three have joined, a task starts:",
                "",
                f"  dreamshare run submit {task}",
                "",
            ]
        fields = {
            "event": "listening",
            "links": list(self.links),
            "enrol": list(self.enrol),
            "shards": list(self.shards),
            "join": self.join,
            "store": self.store,
            "loop": self.loop,
            "page": self.page.fields(),
        }
        output.show(fields, "\n".join(lines))
