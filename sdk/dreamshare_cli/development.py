"""The development federation that `dreamshare up` makes: its authority answers at once.

Rules:
- the authority is beside the aggregator here, so whoever runs this machine could invent devices
  (docs/protocol.md 15.1): good for trying and for tests, and said so where it matters;
- the token that is printed serves several devices for a day (17.33): a line to copy into as many
  shells as one likes; real devices get a token each, from `dreamshare enrol token`.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from dreamshare.clock import Clock
from dreamshare.transport.address import EVERYWHERE, grpcs, host_and_port
from dreamshare.transport.ways import MQTT_SCHEMES
from dreamshare.wire.enrol import Decision
from dreamshare_cli.federation import FederationFolder
from dreamshare_crypto.authority import DAY_S
from dreamshare_crypto.certificates import Role
from dreamshare_crypto.enrolment import InvitationTerms, approve, examine
from dreamshare_crypto.enrolment_messages import EnrolRequest
from dreamshare_crypto.entropy import Entropy, SystemEntropy
from dreamshare_crypto.errors import AuthenticationError, MalformedError, ParameterError

JOIN = InvitationTerms(uses=100, life_s=DAY_S)
JOIN_WORDS = f"it serves {JOIN.uses} devices for 24 hours"
SAMPLE_TASK = """\
# A task to try: `codream/1` for devices that joined without a learner of their own.
#   dreamshare run submit codream/1 --config sample.toml --least 3 --watch
shape = [1, 8, 8]
classes = 10
feature_weight = 0.0       # the sample learner has no BatchNorm
cycles = 2
dream_steps = 6
warm_up_rate = 0.05
learning_rate = 0.05
evaluate = "cycle"
"""
_NAME = "joined"
_FORGOTTEN_S = 14 * DAY_S  # as long as a queue keeps what was decided


class Development:
    """The authority of a development federation, within reach of its aggregator (`Office`).

    Args:
        folder: of the federation.
        clock: what time it is.
        entropy: of tokens and serial numbers; the system's by default.
    """

    def __init__(self, folder: Path, clock: Clock, entropy: Entropy | None = None) -> None:
        self._folder = FederationFolder(folder)
        self._clock = clock
        self._entropy = entropy or SystemEntropy()

    def open(self, link: str, endpoints: Sequence[str]) -> str:
        """Note where the aggregator listens; return the line that a device joins with."""
        called = tuple(callable_here(one) for one in endpoints)
        self._folder.set_links(callable_here(link), called[0])
        now = self._clock.now()
        with self._folder.locked() as authority:
            authority.forget_tokens(now - _FORGOTTEN_S)
            token = authority.invite(Role.DEVICE, _NAME, called, self._entropy, now, JOIN)
            authority.save(self._folder.authority)
        return f"dreamshare agent join {token.text()}"

    def decide(self, request: bytes) -> Decision | None:
        """See `dreamshare_aggregator.enrolment.relay.Office`."""
        now, digest = self._clock.now(), EnrolRequest.decode(request).hash()
        with self._folder.locked() as authority:
            try:
                found = examine(authority, request, now)
            except (AuthenticationError, MalformedError) as error:
                return Decision(digest, b"", str(error))
            if found.by_hand:
                return None
            if found.reply:
                return Decision(digest, found.reply)
            try:
                reply = approve(authority, request, now, self._entropy)
            except ParameterError as error:  # its name was given to somebody else meanwhile
                return Decision(digest, b"", str(error))
            authority.save(self._folder.authority)
        return Decision(digest, reply)


def callable_here(link: str) -> str:
    """Return a link that devices of this machine can call; one over a broker as it is."""
    if link.startswith(MQTT_SCHEMES):
        return link
    host, port = host_and_port(link)
    return grpcs("127.0.0.1", port) if host in EVERYWHERE else link
