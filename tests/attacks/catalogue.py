"""Which attacks and faults are tested, and by which tests: the source of docs/attacks.rst."""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal

import attrs

from trio_draftws import DRAFTS, Draft

Roles = Literal["both", "client", "server"]


def those(has: Callable[[Draft], object]) -> tuple[str, ...]:
    """The names of the drafts that have something."""
    return tuple(draft.name for draft in DRAFTS if has(draft))


ALL = those(lambda draft: True)
SENTINEL = ("hixie-75", "hixie-76")
KEYS = those(lambda draft: draft.opening.request_body)
LENGTHS = ALL[2:]
FRAMES = those(lambda draft: draft.fragments)
COMPRESSED = those(lambda draft: draft.compression)
PINGING = those(lambda draft: draft.ping)
# From hybi-04 on a client masks.
MASKED = FRAMES[2:]


@attrs.frozen
class Row:
    attack: str
    drafts: tuple[str, ...]
    roles: Roles
    """The side that is attacked."""
    answer: str
    """What the library does then."""
    tests: dict[str, str]
    """By file, the names of the tests, separated by spaces."""

    @property
    def ids(self) -> list[str]:
        """Each test as pytest names it, without its parameters."""
        return [
            f"tests/{path}.py::{name}"
            for path, names in self.tests.items()
            for name in names.split()
        ]


ROWS = [
    Row(
        "A length in base 128 that never ends",
        SENTINEL,
        "both",
        "refused after nine digits; the bytes that it announces are skipped, not stored",
        {
            "drafts/test_limits": "test_a_run_of_length_bytes_ends test_leading_zero_digits "
            "test_the_longest_length test_a_long_skipped_frame_is_consumed",
            "attacks/test_memory": "test_reserved_frames",
        },
    ),
    Row(
        "A text or frame that never ends",
        ALL,
        "both",
        "refused at the byte that exceeds ``max_message_size``; no byte is searched twice",
        {
            "drafts/test_limits": "test_an_unended_text_is_not_stored_past_the_limit "
            "test_the_violation_comes_with_the_byte_that_is_too_much",
            "drafts/test_split": "test_a_frame_skipped_to_its_sentinel_is_not_stored "
            "test_a_trickle_costs_linear_work test_a_trickle_is_not_copied",
            "drafts/test_frame_codec": "test_a_trickle_costs_linear_work",
            "attacks/test_memory": "test_a_message_that_never_ends",
        },
    ),
    Row(
        "Keys without spaces or digits, over 32 bits, not divisible, or given twice; their eight "
        "bytes late",
        KEYS,
        "server",
        "400; head and body share one deadline",
        {
            "drafts/test_opening": "test_a_key_that_hides_no_number test_a_key_comes_once "
            "test_a_key_that_cannot_be_read",
            "test_bad_requests": "test_a_request_that_is_refused",
            "test_openings_cut_short": "test_eight_bytes_that_never_come "
            "test_a_client_that_vanishes_before_its_eight_bytes",
            "attacks/test_slowloris": "test_a_body_that_trickles",
        },
    ),
    Row(
        "Keys that end in spaces, bodies that look like white space",
        KEYS,
        "both",
        "taken byte for byte",
        {
            "drafts/test_http": "test_value test_headers_show_what_came",
            "drafts/test_opening": "test_number_in_a_key test_any_key_gives_its_number_back",
            "drafts/test_vectors": "test_racket_client_gets_its_answer",
        },
    ),
    Row(
        "A length of 64 bits with its top bit set",
        LENGTHS,
        "both",
        "1002, before any memory is taken",
        {
            "drafts/test_limits": "test_top_bit_of_a_length",
            "drafts/test_frame_codec": "test_top_bit_of_a_length",
        },
    ),
    Row(
        "A huge length with little data after it",
        LENGTHS,
        "both",
        "1009 at the header; if the length is allowed, memory is taken only for what has arrived",
        {
            "drafts/test_limits": "test_a_huge_length_is_refused_at_once "
            "test_a_huge_length_within_the_limit_takes_no_memory",
            "drafts/test_frame_codec": "test_limit test_memory_is_taken_for_what_came",
            "attacks/test_memory": "test_a_length_that_takes_nothing test_a_message_over_the_limit",
        },
    ),
    Row(
        "Fragments of a few bytes, or of none",
        FRAMES,
        "both",
        "all go into one buffer, without an object for each; at most a thousand empty ones in a "
        "row. 4 MiB in fragments of 64 bytes are accepted",
        {
            "drafts/test_frame_codec": "test_many_small_fragments test_empty_fragments "
            "test_many_empty_messages test_limit_is_for_all_fragments",
            "drafts/test_fragments": "test_the_limit_is_for_all_that_is_streamed "
            "test_what_was_handed_on_takes_no_memory",
            "attacks/test_memory": "test_fragments_that_never_end test_fragments_over_the_limit "
            "test_empty_fragments test_an_honest_message_in_many_fragments",
        },
    ),
    Row(
        "A few bytes that inflate to many",
        COMPRESSED,
        "both",
        "inflated up to one byte over the limit, then 1009; after 64 KiB no further message is "
        "inflated until those are received",
        {
            "drafts/test_deflate": "test_a_bomb_is_refused test_the_limit_is_for_what_was_inflated",
            "drafts/test_compressor": "test_room",
            "drafts/test_final_blocks": "test_too_many_for_what_they_say test_blocks_are_work",
            "drafts/test_inflating": "test_every_split_gives_the_same "
            "test_no_more_than_enough_at_once test_who_never_asks_pays_for_each_byte_once",
            "test_compression": "test_a_bomb test_what_a_read_brings_is_inflated_bit_by_bit "
            "test_what_is_inflated_counts_as_read_ahead",
            "attacks/test_memory": "test_a_bomb test_many_messages_in_few_bytes",
        },
    ),
    Row(
        "Extensions with bad, repeated or unknown parameters",
        COMPRESSED,
        "both",
        "a server declines the extension, a client refuses the answer; there is no other error",
        {
            "drafts/test_extensions": "test_an_offer_that_is_declined test_what_cannot_be_parsed "
            "test_any_text test_an_answer_that_cannot_be test_an_answer_is_held_to_the_same_rules "
            "test_a_field_that_is_broken_spoils_no_other",
            "test_compression": "test_a_bad_offer_is_declined "
            "test_a_server_that_answers_what_was_not_offered",
        },
    ),
    Row(
        "A reserved bit that no negotiated extension uses",
        FRAMES,
        "both",
        "1002",
        {
            "drafts/test_frame_codec": "test_reserved_bit test_fourth_reserved_bit "
            "test_reserved_opcode",
            "drafts/test_deflate": "test_bits_that_nothing_was_agreed_for "
            "test_a_continuation_that_is_marked",
        },
    ),
    Row(
        "Heads that make a regular expression backtrack",
        ALL,
        "both",
        "every pattern and every parser of a head takes linear time",
        {
            "attacks/test_linear": "test_there_are_patterns test_patterns test_readers test_many "
            "test_the_measure_sees_what_is_not_linear",
            "drafts/test_extensions": "test_long_runs_take_linear_time",
        },
    ),
    Row(
        "Long lines, many header fields, heads that never end",
        ALL,
        "both",
        "414 for a line over 8192 bytes, 431 for more than 100 fields or ``max_head_size``; no "
        "byte is searched twice",
        {
            "test_bad_requests": "test_a_request_that_is_refused test_the_longest_request_line "
            "test_a_line_within_a_small_head",
            "test_bad_answers": "test_an_answer_that_is_no_answer",
            "drafts/test_http": "test_too_many_fields test_head_end_searches_only_what_is_new "
            "test_head_end_in_a_trickle",
        },
    ),
    Row(
        "Slowloris: a byte now and then, in TLS, in the head or in the body",
        ALL,
        "both",
        "one deadline for all of it, ``handshake_timeout``",
        {
            "attacks/test_slowloris": "test_a_head_that_trickles test_a_body_that_trickles "
            "test_tls_that_trickles test_a_head_that_trickles_through_tls "
            "test_those_who_trickle_disturb_nobody test_an_answer_that_trickles "
            "test_a_proof_that_trickles",
            "test_openings_cut_short": "test_an_opening_that_is_never_done "
            "test_a_head_that_never_ends test_a_head_that_trickles_has_the_same_deadline",
            "test_bad_answers": "test_a_refusal_whose_body_does_not_end",
            "test_tls": "test_the_deadline_covers_tls_on_a_server "
            "test_the_deadline_covers_tls_on_a_client",
            "test_http_handler": "test_a_slow_handler_meets_the_deadline "
            "test_a_client_that_stays_after_its_page",
            "test_flash_policy": "test_one_that_never_ends_meets_the_deadline "
            "test_one_that_does_not_close",
        },
    ),
    Row(
        "Refusals whose body never ends, and 1xx answers without a final one",
        ALL,
        "client",
        "read for half a second if the end is not announced, else for ``close_timeout``, and at "
        "most 64 KiB; at most 32 answers of 1xx",
        {
            "test_refusals": "test_a_body_without_an_end test_a_body_that_never_ends "
            "test_chunks_that_come_one_by_one test_little_time_is_left "
            "test_climbing_down_waits_for_no_body test_a_redirect_waits_for_no_body "
            "test_interim_answers_and_no_other test_a_proxy_that_makes_no_tunnel",
            "drafts/test_body": "test_a_long_one test_a_line_that_trickles",
        },
    ),
    Row(
        "Paths that can be read in two ways: ``..``, ``//``, escaped slashes",
        ALL,
        "server",
        "404, before any code of the application runs",
        {
            "test_routes": "test_where_a_path_leads test_all_paths test_each_path_has_its_handler "
            "test_pages_by_path test_a_path_made_to_take_long",
            "test_path_params": "test_what_a_path_says test_paths_made_to_take_long",
        },
    ),
    Row(
        "More connections than a server accepts",
        ALL,
        "server",
        "503 over ``max_connections`` or ``max_connections_per_host``; open connections stay",
        {
            "attacks/test_caps": "test_one_too_many test_openings_count "
            "test_each_host_has_its_own test_those_who_wait_to_be_told_are_bounded test_with_tls "
            "test_tls_of_a_listeners_own test_a_stream_without_an_address_is_no_host "
            "test_pages_count_too test_one_whose_request_is_wrong_is_told_that "
            "test_one_that_vanishes_before_it_is_told test_what_is_one_host test_over_ipv6 "
            "test_a_cap_that_is_none",
        },
    ),
    Row(
        "A client that makes up what a proxy says of clients",
        ALL,
        "server",
        "only trusted proxies are believed: the fields of others mean nothing, and their PROXY "
        "headers end the connection; fields that contradict each other get 400",
        {
            "drafts/test_forwarded": "test_the_client test_whether_over_tls "
            "test_kinds_that_disagree test_what_is_no_address test_long_lists_take_little_time "
            "test_any_fields",
            "test_trusted_proxies": "test_what_others_forge_means_nothing "
            "test_fields_that_disagree test_each_client_has_its_own_places "
            "test_openings_that_fail_give_their_place_back",
            "test_proxy_protocol": "test_what_is_no_header test_whoever_is_not_trusted "
            "test_one_that_is_silent_within_it",
        },
    ),
    Row(
        "Another site's page, with the visitor's cookies",
        ALL,
        "server",
        "403 if ``origins`` is set; otherwise a warning is logged when cookies arrive",
        {
            "attacks/test_origins": "test_the_same_host test_another_host test_pages_of_others "
            "test_tls_that_ends_at_a_proxy test_pages_without_tls_at_a_server_with_it "
            "test_one_origin_however_it_is_written "
            "test_a_policy_of_ones_own test_a_policy_that_fails test_cookies_without_a_policy "
            "test_cookies_and_a_policy test_cookies_of_one_who_is_refused "
            "test_accept_says_it_too",
            "test_server": "TestOrigins::test_only_pages_that_are_named "
            "TestOrigins::test_clients_that_name_none TestOrigins::test_one_str_is_a_mistake",
        },
    ),
    Row(
        "Line ends in a URL, field, origin, subprotocol or refusal that is to be sent",
        ALL,
        "both",
        "``ValueError`` before anything is sent; a server answers 500 instead",
        {
            "test_bad_calls": "test_header_injection test_a_url_that_is_none "
            "test_fields_that_the_handshake_writes test_conn_headers_fails "
            "test_a_reject_that_cannot_be_sent",
            "drafts/test_http": "test_injection_by_a_name test_injection_by_a_value "
            "test_fields_beyond_latin_1 test_forbidden_fields",
            "drafts/test_opening": "test_injection_by_the_origin test_injection_by_a_refusal "
            "test_subprotocols_that_cannot_be_asked_for",
            "drafts/test_opening_hybi": "test_subprotocols_that_are_no_tokens",
            "drafts/test_url": "test_what_is_no_url test_what_was_parsed_is_fit_to_be_sent",
            "test_http_handler": "test_an_answer_that_cannot_be_sent",
            "test_sending_elsewhere": "test_what_is_no_location test_what_is_no_redirection",
            "test_fresh_headers": "test_what_it_must_not_return",
        },
    ),
    Row(
        "Masks on the wrong side, or missing; masks that can be predicted",
        MASKED,
        "both",
        "1002; each frame has a new key from the system's source of randomness",
        {
            "drafts/test_frame_codec": "test_wrong_masking test_each_frame_has_a_key_of_its_own",
            "drafts/test_masking": "test_keys_are_new test_keys_are_the_systems_randomness "
            "test_threads_share_no_key test_a_fork_shares_no_key",
            "drafts/test_opening": "test_keys_come_from_the_operating_system",
            "drafts/test_opening_hybi": "test_keys_are_random",
            "attacks/test_secrets": "test_nothing_random_is_made_by_random",
        },
    ),
    Row(
        "Invalid, overlong, split or surrogate UTF-8; invalid close codes",
        ALL,
        "both",
        "1007 at the first invalid byte, or U+FFFD if the draft says so; 1002",
        {
            "drafts/test_frame_codec": "test_every_beginning_of_a_character "
            "test_bad_utf8_fails_at_its_first_byte test_bad_utf8_in_a_text "
            "test_bad_utf8_in_a_reason test_close_codes test_close_codes_that_are_no_codes "
            "test_close_of_one_byte test_close_that_cannot_be_said",
            "drafts/test_split": "test_bad_utf8_is_replaced",
            "drafts/test_deflate": "test_bad_utf8_that_was_compressed",
            "test_bad_calls": "test_a_code_that_no_draft_has test_a_code_that_rfc6455_keeps_back",
        },
    ),
    Row(
        "A redirect to another origin, in a circle, or from wss to ws",
        ALL,
        "client",
        "never followed from wss to ws; credentials go to their own origin only; at most five, or "
        "none",
        {
            "attacks/test_redirects": "test_credentials_stay_behind_at_another_origin "
            "test_credentials_stay_at_the_same_origin test_none_is_followed_if_so_told "
            "test_climbing_down_is_no_way_round_it test_nobody_goes_from_wss_to_ws "
            "test_there_are_not_too_many test_a_circle test_where_there_is_no_websocket "
            "test_what_no_url_may_hold "
            "test_several_places test_not_where_the_way_there_is_the_callers "
            "test_no_secret_is_told",
        },
    ),
    Row(
        "Guessing a proof by how long its comparison takes",
        ALL[1:],
        "client",
        "``hmac.compare_digest``",
        {"attacks/test_secrets": "test_proofs_are_compared_in_constant_time"},
    ),
    Row(
        "Guessing a password by how long its comparison takes, or a user by whether it happens",
        ALL,
        "server",
        "``hmac.compare_digest`` of digests, also if the user does not exist",
        {"test_auth": "test_in_constant_time test_refused test_what_is_no_user"},
    ),
    Row(
        "Passwords in errors, logs and representations",
        ALL,
        "client",
        "left out, even if the URL is invalid",
        {
            "drafts/test_url": "test_no_message_shows_a_password test_user_and_password",
            "test_auth": "test_what_cannot_be_sent",
            "test_proxy": "test_a_user test_no_error_shows_a_password",
            "test_reconnecting": "test_each_attempt_is_logged",
        },
    ),
    Row(
        "A proxy that hangs, answers nonsense, or pretends to be the server",
        ALL,
        "client",
        "``ProxyFailed`` within ``handshake_timeout``; TLS goes through to the server",
        {
            "test_proxy": "test_one_that_hangs test_a_bad_answer test_wss "
            "test_an_https_proxy_that_nobody_trusts",
        },
    ),
    Row(
        "Clients that all reconnect at once, or without a pause",
        ALL,
        "server",
        "``reconnecting`` waits longer each time, minus a random share, and obeys ``Retry-After``",
        {
            "test_reconnecting": "test_it_waits_longer_each_time "
            "test_jitter_stays_within_bounds test_the_server_says_how_long "
            "test_only_a_connection_that_lived_begins_anew test_a_cancelled_wait_is_not_shortened",
            "test_retry_after": "test_seconds test_a_date",
        },
    ),
    Row(
        "A server that is not the one asked for",
        ALL,
        "client",
        "certificate and host name are checked by default; the name is sent (SNI)",
        {
            "test_tls": "test_a_bad_certificate test_nobody_is_trusted_by_default "
            "test_the_server_sees_the_name_asked_for test_a_tls_client_on_a_plain_port",
            "test_names": "test_another_name_is_not_trusted test_over_tls test_through_a_proxy "
            "test_tls_with_a_proxy",
        },
    ),
    Row(
        "A URL that different programs read as different hosts",
        ALL,
        "client",
        "``ValueError`` for characters that no URL may have; names and addresses as in browsers",
        {
            "drafts/test_url": "test_a_user_may_not_hold_what_no_url_may "
            "test_brackets_hold_an_ipv6_address_and_nothing_else",
            "drafts/test_host": "test_as_it_is_written test_what_is_no_host "
            "test_what_idna_2008_allows_is_that_and_no_other_name "
            "test_what_is_an_address_to_the_system_is_one_here",
        },
    ),
    Row(
        "Pings without end, and a peer that never reads",
        ALL,
        "both",
        "of the pings in one read the latest 16 are answered, or only the latest if there is no "
        "room; 64 KiB and one message wait to be sent; the peer is given up after "
        "``write_timeout``",
        {
            "test_ping": "test_a_flood_of_pings_that_nobody_reads_the_answers_of "
            "test_a_slow_reader_does_not_get_its_peer_killed",
            "test_sender": "test_of_what_finds_no_room_only_the_latest_waits "
            "test_many_small_buffers_become_one",
            "test_connection": "TestWriting::test_at_most_64_kib_and_one_message_wait",
            "test_left_alone": "TestLeftAlone::test_no_more_is_read_ahead_than_a_limit",
            "attacks/test_memory": "test_echoes_that_nobody_reads "
            "test_pings_whose_answers_nobody_reads test_small_messages_that_nobody_receives",
            "attacks/test_held": "test_the_latest_16_pings_of_one_read_are_answered "
            "test_without_room_only_the_latest_ping_is_answered",
            "attacks/test_slow_readers": "test_a_sender_that_waits_for_room_is_told "
            "test_a_receiver_is_told test_a_slow_peer_is_waited_for "
            "test_the_kernel_is_asked_what_the_peer_took "
            "test_time_does_not_pass_while_we_do_not_read test_no_deadline "
            "test_a_pause_is_no_stall test_over_real_sockets_by_a_real_clock",
        },
    ),
    Row(
        "TLS that has to answer without end, to key updates or requests to renegotiate; empty "
        "records",
        ALL,
        "both",
        "nothing is read while 64 KiB of answers wait to be written; after 32 empty records other "
        "tasks have their turn",
        {
            "attacks/test_tls_output": "test_output_is_bounded_and_nothing_more_is_read "
            "test_once_the_peer_reads_all_is_read_and_answered "
            "test_a_reader_and_a_writer_wait_at_once test_a_peer_that_vanishes_ends_the_block "
            "test_records_without_data_give_way "
            "test_a_record_full_of_messages_is_answered_at_once "
            "test_a_server_that_wants_to_renegotiate_makes_one_answer",
            "attacks/test_tls_blocked": "test_a_blocked_reader_is_interrupted "
            "test_an_interrupt_between_event_and_reader test_whoever_waits_is_cancelled "
            "test_the_stream_is_closed_under_them test_a_writer_ends_the_block "
            "test_a_read_ends_the_block "
            "test_waiting_costs_nothing_while_the_peer_reads_nothing",
            "test_streams": "test_both_ends_send_more_than_fits_before_either_reads",
        },
    ),
    Row(
        "Many small messages that nobody receives",
        ALL,
        "both",
        "each counts with the memory it takes: at most 64 KiB and one message are held",
        {
            "attacks/test_held": "test_unread_messages_count_as_the_memory_they_take "
            "test_unread_messages_take_no_more_memory_than_that",
        },
    ),
    Row(
        "A live peer that answers none of our pings",
        PINGING,
        "both",
        "only the latest ping is remembered",
        {"attacks/test_held": "test_pings_that_are_never_answered_are_forgotten"},
    ),
    Row(
        "Floods from several peers at once that take the loop's time: pings, pongs, reserved "
        "frames, empty fragments, data that inflates to nothing, tiny messages, TLS records, one "
        "byte at a time",
        ALL,
        "both",
        "a connection's turn ends after 1 ms and 2 KiB, or 256 frames; then others have theirs. A "
        "message that inflates to nothing is refused",
        {
            "attacks/test_standstill": "test_pings_and_pongs test_pings_in_each_draft "
            "test_fragments test_reserved_frames test_reserved_frames_of_the_length_framing "
            "test_tiny_messages test_tiny_messages_in_each_draft "
            "test_one_message_that_inflates_to_nothing test_frames_that_inflate_to_nothing "
            "test_a_message_that_inflates_to_nothing_is_refused_in_the_end "
            "test_tls_records_of_one_byte test_tls_records_of_nothing "
            "test_streams_that_are_not_ours test_one_byte_at_a_time "
            "test_the_measure_sees_a_task_that_does_not_yield",
        },
    ),
    Row(
        "Control characters meant for a log or a terminal",
        ALL,
        "both",
        "escaped in the log and in the texts of errors",
        {
            "attacks/test_escaping": "test_what_is_escaped test_the_reason_of_a_close "
            "test_requests_in_the_log test_a_reason_in_the_log test_answers_in_errors "
            "test_refusals",
            "drafts/test_http": "test_shown",
            "drafts/test_opening": "test_a_message_about_a_key_is_escaped",
        },
    ),
    Row(
        "A request that could belong to several drafts",
        ALL,
        "server",
        "one table decides; a version header wins, and ``drafts=`` switches drafts off",
        {
            "drafts/test_identify": "test_version test_each_version test_version_8 "
            "test_version_without_row test_version_that_is_no_number test_different_versions "
            "test_one_key_alone test_repeated_draft test_drafts_that_are_switched_off "
            "test_a_mode_that_is_switched_off test_names_decide_nothing",
            "test_bad_requests": "test_a_request_that_is_refused",
            "test_server": "TestDrafts::test_fewer_drafts_by_name",
        },
    ),
    Row(
        "A target or a host that another program would read differently",
        ALL,
        "server",
        "400 from hybi-04 on; in earlier drafts it is accepted as it is",
        {
            "drafts/test_identify": "test_a_target_that_none_is test_a_host_that_none_is "
            "test_several_hosts_or_none test_several_origins test_what_is_taken "
            "test_before_there_were_numbers",
            "drafts/test_http_and_h11": "test_what_is_taken_for_a_request_of_today",
        },
    ),
    Row(
        "A request inside the body of a request",
        ALL,
        "server",
        "400 for a body; whatever follows an opening is read as frames",
        {
            "attacks/test_requests": "test_a_body_is_refused "
            "test_the_lengths_that_old_clients_announce test_eight_bytes_are_no_body_of_today "
            "test_what_follows_an_upgrade_is_frames test_what_follows_the_eight_bytes_is_frames "
            "test_a_page_is_answered_once",
            "drafts/test_identify": "test_content_length test_content_length_of_a_version "
            "test_transfer_encoding",
        },
    ),
    Row(
        "Arbitrary bytes, cut anywhere",
        ALL,
        "both",
        "messages or ``PeerViolation``, nothing else",
        {
            "drafts/test_split": "test_any_split_of_any_bytes "
            "test_any_split_gives_the_same_violation",
            "drafts/test_frame_codec": "test_any_split_of_any_bytes",
            "drafts/test_deflate": "test_any_bytes_in_compressed_frames",
            "drafts/test_http": "test_any_bytes_are_a_head_or_a_bad_one",
            "drafts/test_url": "test_text_is_one_or_none test_no_hostile_object_raises",
        },
    ),
    Row(
        "A peer that vanishes, or resets the connection, at any point",
        ALL,
        "both",
        "``ConnectionLost`` or ``HandshakeError``; other connections are not affected",
        {
            "test_openings_cut_short": "test_a_client_that_vanishes "
            "test_a_client_that_resets_while_conn_headers_runs",
            "test_bad_answers": "test_a_server_that_resets",
            "test_closing": "TestLoss::test_end_of_stream_without_a_goodbye "
            "TestLoss::test_a_reset_is_a_loss_with_its_cause",
            "test_tls": "test_a_client_that_vanishes_within_tls",
        },
    ),
    Row(
        "A connection that is cut or reset at any byte, opening included, or that delivers in "
        "pieces and with pauses",
        ALL,
        "both",
        "an error that says so, or no effect; never an invented or doubled message. Each case "
        "tries every byte",
        {"test_faults": "test_cut test_pieces_and_pauses test_a_stall_for_good"},
    ),
    Row(
        "A program that cancels at any point of opening, sending, receiving, pinging, closing or "
        "serving",
        ALL,
        "both",
        "messages arrive whole, in order, none twice, and the end is reported. Each case tries "
        "every point",
        {
            "test_cancellation": "test_what_the_peer_sees",
            "test_cancelled_scopes": "test_a_conversation test_a_conversation_of_large_messages "
            "test_accepting_and_closing test_accepting_and_closing_in_lockstep "
            "test_open_websocket_against_a_server "
            "test_serving_cancelled_at_every_point",
            "test_nothing_lost": "test_a_large_message_cancelled_under_backpressure",
        },
    ),
    Row(
        "A message and the end at once",
        ALL,
        "both",
        "the message is received first, then the end",
        {
            "test_nothing_lost": "test_a_message_and_close_at_once_reach_the_handler "
            "test_a_message_and_close_at_once_reach_the_client",
        },
    ),
    Row(
        "SIGTERM under load",
        ALL,
        "server",
        "listeners close first, openings get 503, everyone else 1001, and what was sent is "
        "delivered",
        {
            "test_shutdown": "test_the_echo_command_under_load test_handlers_that_take_their_time "
            "test_what_waits_to_be_written_is_delivered "
            "test_the_process_ends_within_close_timeout_of_the_last_handler",
        },
    ),
]
