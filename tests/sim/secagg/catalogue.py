"""Section 16 of docs/protocol.md as data: item -> case -> the tests that try it.

Rules:
- a case has the name that the text gives it, or, where the text gives none, one of its own;
- a test is named below `tests/`, a parametrised one with the id of its case or without any (all);
- `tests/architecture/test_catalogue.py` insists that every name of the text is here, that every
  test named here exists, and that there are at least 75 cases. Nothing else reads this file.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

_START = "sim/secagg/test_round_start.py::test_"
_MEMORY = "sim/secagg/test_payload_memory.py::test_"
_SURVIVORS = "sim/secagg/test_survivors.py::test_"
_QUORUM = "sim/secagg/test_agree_set.py::test_"
_COHORT = "sim/secagg/test_isolation.py::test_"
_SEARCH = "sim/secagg/test_exhaustive.py::test_exhaustive_small"
_ROSTER = "sim/secagg/test_roster.py::test_"
_OFFER = "sim/secagg/test_offer.py::test_"
_REGULAR = "sim/secagg/test_regular_hostile.py::test_"
_BOXES = "sim/secagg/test_boxes.py::test_"
_DEVICE = "sim/secagg/test_hostile_device.py::test_"
_BLAME = "sim/secagg/test_blame.py::test_"
_CRASH = "sim/secagg/test_crash.py::test_"
_DISK = "sim/secagg/test_rollback.py::test_"
_RAW = "sim/secagg/test_raw_store.py::test_"
_MUTATED = "sim/secagg/test_mutations.py::test_"
_ONCE = "sim/secagg/test_mutations_once.py::test_"
_SET_UP = "sim/secagg/test_mutations_setup.py::test_"
_ENROL = "unit/crypto/test_enrolment.py::test_"
_ENVELOPE = "unit/crypto/test_envelope.py::Test"
_KEYS = "unit/crypto/test_keys.py::"
_SESSIONS = "unit/crypto/test_vectors_sessions.py::test_"
_FINDER = "unit/crypto/test_finder.py::test_"
_MODEL = "property/test_secagg_model.py::TestFederation::runTest"

Cases = Mapping[str, tuple[str, ...]]


def _each(prefix: str, *names: str) -> Cases:
    """Return cases whose tests are called as they are."""
    return {name: (prefix + name,) for name in names}


def _ids(test: str, *names: str) -> Cases:
    """Return cases that are parameters of one test."""
    return {name: (f"{test}[{name}]",) for name in names}


_AGGREGATOR_AND_CLIENT: Mapping[int, Cases] = {
    1: _each(_START, "start_bad_signature"),
    2: _each(_START, "start_signed_by_device"),
    3: _ids(
        _START + "start_of_other_session",
        "start_other_federation",
        "start_other_task",
        "start_other_sid",
    ),
    4: _each(_START, "start_replayed", "start_old_round", "start_round_R"),
    5: _each(_START, "start_two_contents"),
    6: _each(_START, "start_without_me", "start_spare_bits", "start_short_bitmap"),
    7: {
        **_each(_START, "start_small_active"),
        **_each(_REGULAR, "start_neighbours_below_t"),
    },
    8: _each(
        _START,
        "start_wrong_payload",
        "start_q_changed",
        "start_clip_above_floor",
        "start_noise_removed",
        "start_umin_lowered",
    ),
    9: _ids(
        "sim/rounds/test_permits.py::test_not_permitted",
        "start_unknown_algorithm",
        "start_forbidden_step",
        "start_budget_spent",
    ),
    10: _each(
        _MEMORY, "start_same_payload_after_answer", "start_same_payload_after_abort_unanswered"
    ),
    11: {
        **_each(_SURVIVORS, "survivors_not_subset", "survivors_without_me"),
        "survivors_below_umin": (_SURVIVORS + "survivors_below[below_umin-7]",),
        "survivors_below_t": (_SURVIVORS + "survivors_below[below_t-5]",),
    },
    12: _each(_SURVIVORS, "survivors_before_vector", "survivors_never_started"),
    13: _each(_SURVIVORS, "survivors_other_rctx", "survivors_second_bitmap"),
    14: _each(_SURVIVORS, "reveal_without_quorum"),
    15: _each(
        _QUORUM,
        "agree_five_of_six",
        "agree_repeated_signer",
        "agree_stranger",
        "agree_signer_outside_U",
        "agree_unsorted",
        "agree_seven",
    ),
    16: _each(
        _QUORUM,
        "agree_for_other_U",
        "agree_for_other_rctx",
        "agree_of_last_round",
        "agree_of_other_session",
    ),
    17: {"both_kinds": (_QUORUM + "both_kinds", _QUORUM + "both_kinds_fuzz")},
    18: _each(_SURVIVORS, "resurrection"),
    19: _each(_SURVIVORS, "late_request_after_next_start"),
    20: _each(_SURVIVORS, "result_other_U"),
}

_AGGREGATOR_AND_COHORT: Mapping[int, Cases] = {
    21: {
        "isolate_by_bitmaps": (
            _COHORT + "isolate_by_bitmaps",
            _COHORT + "isolate_by_bitmaps_bounded",
            _COHORT + "isolate_by_bitmaps_with_the_rows",
        )
    },
    22: {
        "shrink_by_bitmaps": (
            _COHORT + "shrink_by_bitmaps",
            _COHORT + "shrink_by_bitmaps_agreed",
        )
    },
    23: _each("sim/secagg/test_isolate_kregular.py::test_", "isolate_kregular"),
    24: _each(_QUORUM, "two_quorums"),
    25: {
        "outsider_rctx": (
            _COHORT + "outsider_rctx",
            _COHORT + "outsider_rctx_without_s4",
            _COHORT + "outsider_rctx_of_four",
        )
    },
    26: _each(_COHORT, "partition_halves"),
    27: {
        "partition_overlap": (
            _COHORT + "partition_overlap",
            "sim/secagg/test_bounded.py::test_partition_overlap",
        )
    },
    28: {"exhaustive_small": (_SEARCH, _SEARCH + "_bounded")},
    29: _each(_ROSTER, "two_rosters_crash"),
    30: _each(_OFFER, "two_offers_same_epoch"),
    31: _each(_ROSTER, "two_rosters_two_devices"),
    32: _each(_MEMORY, "same_payload_two_tasks"),
    33: _each(_MEMORY, "fourth_draw", "drop_one_and_repeat", "toggle_one"),
    34: _each(_ROSTER, "phantom_devices"),
    35: {
        "duplicate_identity": (
            _ROSTER + "same_ik_two_ids",
            _ROSTER + "same_id_two_certificates",
            _ROSTER + "same_keys[box_pk]",
            _ROSTER + "same_keys[keys_hash]",
        )
    },
    36: _each(_ROSTER, "revoked_entry", "expired_entry", "aggregator_certificate_in_roster"),
    37: {
        **_ids(
            _OFFER + "offer_outside_floor",
            "gamma_zero_offer",
            "sigma_one_offer",
            "least_cohort_2",
            "suite_unknown",
            "R_257",
            "life_25h",
            "bounded_not_allowed",
        ),
        **_each(_OFFER, "version_lower_than_seen"),
    },
    38: _each(_OFFER, "old_revocation_list", "list_signed_by_aggregator"),
    39: {"own_key_echoed": (_BOXES + "own_key_echoed", _BOXES + "own_key_echoed_is_left_out")},
    40: _each(_BOXES, "low_order_peer_key", "noncanonical_peer_key"),
    41: {
        "seeder_withheld": ("sim/secagg/test_regular.py::test_seeder_withheld",),
        **_ids(_REGULAR + "seed_of_other_seeders", "seed_with_fewer"),
        **_each(_REGULAR, "ninth_roster_today", "wrong_nonce"),
    },
    42: _each(_REGULAR, "graph_named_by_server"),
    43: _each(
        _BOXES, "deliver_foreign_box", "deliver_swapped_direction", "deliver_other_epoch_box"
    ),
}

_DEVICES: Mapping[int, Cases] = {
    44: _each(_BLAME, "bad_dealer_one_holder"),
    45: _each(_BLAME, "bad_dealer_all"),
    46: _each(_BLAME, "lying_holder_frames"),
    47: {"max_errors": (_BLAME + "max_errors", _BLAME + "max_errors_and_one_more")},
    48: _each(_BLAME, "wrong_commitment"),
    49: _each(_BLAME, "wrong_pk"),
    50: {
        "copied_round_key": (
            _BOXES + "own_key_echoed_is_left_out",
            _BOXES + "copied_round_key_makes_another_mask",
        )
    },
    51: {"lane_overflow": (_DEVICE + "range", _DEVICE + "lane_carry_is_no_extra_power")},
    52: {
        "padding_nonzero": (_DEVICE + "range[padding_nonzero-change2]",),
        "weight_above_cap": (_DEVICE + "range[weight_above_cap-change4]",),
    },
    53: _each(_DEVICE, "two_vectors_one_round"),
    54: _each(_DEVICE, "vector_after_fixed"),
    55: _each(_DEVICE, "response_for_other_U", "share_ge_P"),
}

_CRASHES: Mapping[int, Cases] = {
    56: {"one_vector_a_round": (_CRASH + "other_content_after_crash", _MODEL)},
    57: {"one_set_a_round": (_CRASH + "other_content_after_crash", _MODEL)},
    58: {"resends_are_identical": (_CRASH + "killed_after_effect", _MODEL)},
    59: {
        "seed_is_gone": (_RAW + "seed_is_gone_from_every_file", _BOXES + "seed_is_gone_when_ready")
    },
    60: {
        "closed_rounds_are_shut": (
            _RAW + "closed_rounds_are_shut_on_the_raw_store",
            _CRASH + "closed_rounds_cannot_be_opened",
        )
    },
    61: {
        **_each(_DISK, "rolled_back_store", "cloned_store"),
        "killed_process": (
            _DISK + "killed_process",
            "integration/test_rollback.py::test_an_agent_that_was_killed[killed_process]",
        ),
    },
    62: {"torn_record": (_CRASH + "torn_record", "unit/shells/test_file_store.py")},
    63: {
        "server_killed_after_fixed": (
            "sim/secagg/test_server_restart.py",
            "sim/secagg/test_honest.py::test_survivors_are_durable_before_they_leave",
        )
    },
}

_ENROLMENT: Mapping[int, Cases] = {
    64: _each(
        _ENROL,
        "token_used_twice",
        "token_expired",
        "csr_swapped_by_relay",
        "reply_other_authority",
        "reply_without_mac",
    ),
    65: {
        "envelope_wrong_receiver": (
            _ENVELOPE + "SealedToOne::test_opens_for_the_receiver_alone",
            "unit/protocol/test_envelope.py::test_a_frame_for_another_receiver_is_refused",
        ),
        "ciphertext_taken_over": (_ENVELOPE + "SealedToOne::test_ciphertext_taken_over",),
        "header_changed": (_ENVELOPE + "Frames::test_header_changed",),
        "other_federation": (_ENVELOPE + "Frames::test_other_federation",),
        "sequence_replay": (
            "unit/protocol/test_envelope.py::test_sequences_grow_and_repeats_are_refused",
        ),
    },
    66: {
        "broadcast_forged_with_group_key": (
            _ENVELOPE + "SealedToTheGroup::test_broadcast_forged_with_group_key",
        )
    },
    67: _each(_OFFER, "retained_old_offer"),
}

_PROPERTIES: Mapping[int, Cases] = {
    68: {
        "rfc_7748": (_KEYS + "test_rfc_7748_scalar_multiplication",),
        "rfc_5869": ("unit/crypto/test_kdf.py::test_rfc_5869",),
        "rfc_8032": (_KEYS + "test_rfc_8032",),
        "rfc_8439": ("unit/crypto/test_aead.py::test_known_answers",),
        "sp_800_38a": ("unit/crypto/test_prg.py::test_sp_800_38a_ctr_aes256",),
    },
    69: {
        "sessions": (_SESSIONS + "a_device_sends_what_the_vectors_say",),
        "refused": ("unit/crypto/test_vectors_refused.py::test_refused_with_its_code",),
    },
    70: {
        "masked_sum_is_integer_sum": (
            "property/test_secagg_sums.py::test_masked_sum_is_integer_sum",
            "property/test_secagg_sums.py::test_masked_sum_is_integer_sum_in_bounded_mode",
        )
    },
    71: {"fewer_shares": ("unit/crypto/test_shamir.py::test_fewer_shares_fit_every_secret",)},
    72: {
        "two_contexts_never_cancel": (
            "property/test_secagg_contexts.py::test_two_contexts_never_cancel",
        )
    },
    73: {
        "rows": (_FINDER + "rows_in_force", _FINDER + "committee_rows"),
        "monotone": (_FINDER + "monotone_in_gamma_and_delta",),
    },
    74: {
        "without_S4": (_COHORT + "outsider_rctx_without_s4", _SEARCH + "_needs_s4"),
        "without_U2": (_MUTATED + "needs_u2",),
        "without_U3": (_MUTATED + "needs_u3", _SEARCH + "_needs_u3"),
        "without_U4": (_ONCE + "needs_u4", _ONCE + "both_kinds_in_turn_without_both"),
        "without_Q1": (_COHORT + "isolate_by_bitmaps",),
        "without_R3": (_SET_UP + "needs_r3",),
        "without_7_7": (
            _ONCE + "needs_7_7",
            _ONCE + "reveal_for_another_context_without_both",
        ),
        "without_9_5": (_ONCE + "needs_9_5",),
        "without_O1": (_SET_UP + "needs_o1",),
        "without_R1": (_SET_UP + "needs_r1",),
        "without_M2": (_MUTATED + "needs_m2",),
        "without_S5": (_MUTATED + "needs_s5",),
        "without_S6": (_MUTATED + "needs_s6",),
        "without_S7": (_MUTATED + "needs_s7", _MUTATED + "needs_s7_monotone"),
        "without_B1": (_SEARCH + "_bounded_needs_its_bound",),
        "without_blame": ("sim/secagg/test_blame_mutations.py",),
        "without_J1": (_DISK + "rolled_back_store_without_the_check",),
    },
    75: {
        "noise_variance": (
            "unit/crypto/test_noise.py::test_75_variance_over_the_least_honest_crowd",
        ),
        "noise_tail": ("unit/crypto/test_noise.py::test_75_tail_mass",),
        "noise_lane_bound": ("unit/crypto/test_noise.py::test_75_lane_bound",),
    },
}

CATALOGUE: Mapping[int, Cases] = MappingProxyType(
    {
        **_AGGREGATOR_AND_CLIENT,
        **_AGGREGATOR_AND_COHORT,
        **_DEVICES,
        **_CRASHES,
        **_ENROLMENT,
        **_PROPERTIES,
    }
)
"""Item of section 16 -> case -> tests."""
