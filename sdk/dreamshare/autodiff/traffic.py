"""What a session's messages weigh on the wire, before one of them exists.

Rules:
- sizes are measured, not computed: each message is put together with zeros where keys, signatures
  and masked words will be, and goes through the encoders that the real one goes through;
- what is counted are frames (docs/protocol.md 14.1), for one device and both directions: set-up of
  an epoch, and rounds in which everybody stays and nothing is sent twice. Greetings,
  acknowledgements and the end of the task are the link's and the task's, not a round's;
- above 128 devices the graph is random, and a device that is witness or seeder sends more than
  others: what is counted is such a device's;
- over a broker bodies are sealed, which adds `SEALED` bytes to a frame.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace

from dreamshare.algorithms.autodiff.config import AutodiffConfig
from dreamshare.algorithms.base import Ask, Question
from dreamshare.algorithms.catalog import algorithm_from, config_json_of
from dreamshare.binding import plan_of, terms_of
from dreamshare.learning.programs import Wanted
from dreamshare.protocol.messages import Cohort, Deadlines, Message, RoundOpening, Sa2
from dreamshare.protocol.terms import TaskTerms
from dreamshare.updates import Field
from dreamshare.wire.codec import encode_frame, encode_message
from dreamshare_crypto.certificates import Certificate, RevocationList, Role
from dreamshare_crypto.envelope import HEADER_BYTES, SEAL_OVERHEAD, Frame
from dreamshare_crypto.graph import Derived
from dreamshare_crypto.secagg.epoch_messages import (
    Advertise,
    Deliver,
    PeerKeys,
    Ready,
    Roster,
    RosterEntry,
    Shares,
    box_bytes,
)
from dreamshare_crypto.secagg.events import Stage
from dreamshare_crypto.secagg.offer import VERSION, EpochOffer
from dreamshare_crypto.secagg.round_messages import MaskedInput, RoundResult, RoundStart
from dreamshare_crypto.secagg.seed_messages import Reveal, Seed
from dreamshare_crypto.secagg.survivor_messages import Agree, AgreeSet, Survivors, UnmaskResponse
from dreamshare_crypto.secagg.terms import EpochTerms

SEALED = SEAL_OVERHEAD
"""Bytes that a broker in between adds to each frame."""

_ID = bytes(16)
_HASH = bytes(32)
_SIGNATURE = bytes(64)
_PUBLIC = bytes([9, *bytes(31)])
_CERTIFICATE = Certificate(_ID, Role.DEVICE, _ID, _HASH, _PUBLIC, 0, 0, 0, _HASH)


@dataclass(frozen=True, slots=True)
class Traffic:
    """Bytes of frames, to and from one device.

    Attributes:
        down: to it.
        up: from it.
    """

    down: int = 0
    up: int = 0

    def __add__(self, other: Traffic) -> Traffic:
        return Traffic(self.down + other.down, self.up + other.up)


class Scales:
    """Weighs the messages of one session.

    Args:
        config: the session's terms.
        cohort: who takes part.
        deadlines: of each stage of a round.
        revocations: the federation's list, which an offer carries; None: an empty one.
    """

    def __init__(
        self,
        config: AutodiffConfig,
        cohort: Cohort,
        deadlines: Deadlines | None = None,
        revocations: RevocationList | None = None,
    ) -> None:
        self._config = config
        self._name, self._json = config_json_of(config)
        algorithm = algorithm_from(self._name, self._json)
        self._terms: TaskTerms = terms_of(algorithm, cohort, deadlines or Deadlines())
        self._revocations = revocations or RevocationList(_ID, 0, 0, 0)
        self._known: dict[tuple[object, ...], Traffic] = {}

    def setup(self, asked: int, roster: int) -> Traffic | None:
        """Return what an epoch's set-up weighs, where question number `asked` needs one.

        Args:
            asked: questions before this one; each was one round.
            roster: devices of the epoch, >= 3.
        """
        begun = 0
        while begun <= asked:
            epoch = self._terms.epoch(max(1, self._config.rounds - begun))
            if begun == asked:
                return self._setup(epoch, roster)
            begun += epoch.rounds
        return None

    def round(self, wanted: Wanted, question: Question, roster: int) -> Traffic:
        """Return what a round weighs in which everybody stays."""
        key = (wanted.step, *question.tensors, roster)
        if key not in self._known:
            fields = self._config.program(wanted.program).fields(wanted)
            self._known[key] = self._round(question, fields, roster)
        return self._known[key]

    # ---- messages --------------------------------------------------------------------------------

    def _setup(self, epoch: EpochTerms, n: int) -> Traffic:
        derived = self._terms.derived(n)
        keys, peers = (_HASH,) * epoch.rounds, _peers(derived, n)
        boxes = tuple((i, bytes(box_bytes(epoch.rounds))) for i in range(peers))
        entry = RosterEntry(_CERTIFICATE, _HASH, _HASH, _HASH, _HASH, _SIGNATURE)
        down = [
            Sa2(Stage.OFFER, self._offer(epoch).encode()),
            Sa2(Stage.ROSTER, Roster(_HASH, (entry,) * n).encode()),
            Sa2(Stage.PEER_KEYS, PeerKeys(_HASH, keys * peers).encode()),
            Sa2(Stage.DELIVER, Deliver(_HASH, boxes).encode()),
        ]
        advertise = Advertise(_HASH, _CERTIFICATE, _HASH, keys, keys, _HASH)
        up = [
            Sa2(Stage.ADVERTISE, advertise.encode()),
            Sa2(Stage.SHARES, Shares(_HASH, boxes).encode()),
            Sa2(Stage.READY, Ready(_HASH, n, frozenset()).encode()),
        ]
        if derived.seeders:
            seeds = ((0, _HASH, _SIGNATURE),) * derived.seeders
            down.append(Sa2(Stage.SEED, Seed(_HASH, seeds).encode()))
            up.append(Sa2(Stage.REVEAL, Reveal(_HASH, _HASH, _HASH).encode()))
        return Traffic(_weight(down), _weight(up))

    def _offer(self, epoch: EpochTerms) -> EpochOffer:
        return EpochOffer(
            version=VERSION,
            min_version=VERSION,
            suite=epoch.suite,
            profile=epoch.profile,
            mode=epoch.mode,
            federation=_ID,
            task=_ID,
            epoch=1,
            authority_key_id=_HASH,
            aggregator=_CERTIFICATE,
            rounds=epoch.rounds,
            not_before=0,
            life_s=epoch.life_s,
            gamma_ppm=epoch.gamma_ppm,
            delta_ppm=epoch.delta_ppm,
            sigma=epoch.sigma,
            eta=epoch.eta,
            a_min_ppm=epoch.a_min_ppm,
            d_ppm=epoch.d_ppm,
            least_cohort=epoch.least_cohort,
            n_max=epoch.n_max,
            template=epoch.template,
            deadlines=epoch.deadlines,
            revocations=self._revocations,
        )

    def _round(self, question: Question, fields: tuple[Field, ...], n: int) -> Traffic:
        derived, everybody = self._terms.derived(n), frozenset(range(n))
        plan = plan_of(self._name, self._json, Ask(question.step, fields, question.tensors))
        encoding = self._terms.encoding(fields)
        params = replace(encoding, a_min=derived.a_min, u_min=derived.u_min, d=derived.d)
        start = RoundStart(_HASH, 0, n, everybody, _HASH, params, 0)
        survivors = Survivors(_HASH, 0, _HASH, n, everybody)
        result = RoundResult(_HASH, 0, _HASH, n, everybody, _HASH, 0)
        dealers = derived.k or n
        shares = (_HASH,) * dealers
        answer = UnmaskResponse(_HASH, 0, _HASH, dealers, frozenset(range(dealers)), shares)
        down: list[Message] = [
            RoundOpening(start.encode(), plan),
            Sa2(Stage.SURVIVORS, survivors.encode()),
            Sa2(Stage.ROUND_RESULT, result.encode()),
        ]
        up: list[Message] = [
            Sa2(Stage.MASKED_INPUT, MaskedInput(_HASH, 0, _HASH, bytes(8 * params.words)).encode()),
            Sa2(Stage.UNMASK_RESPONSE, answer.encode()),
        ]
        if not derived.d:
            quorum = tuple((i, _SIGNATURE) for i in range(derived.q))
            down.append(Sa2(Stage.AGREE_SET, AgreeSet(_HASH, 0, quorum).encode()))
            up.append(Sa2(Stage.AGREE, Agree(_HASH, 0, _HASH, n, everybody).encode()))
        return Traffic(_weight(down), _weight(up))


def _peers(derived: Derived, n: int) -> int:
    return derived.k or n - 1


def _weight(messages: Iterable[Message]) -> int:
    """Return the bytes of these messages' frames."""
    header = bytes(HEADER_BYTES)
    bodies = map(encode_message, messages)
    return sum(len(encode_frame(Frame(header, _SIGNATURE, body))) for body in bodies)
