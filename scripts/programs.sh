# Sourced by scripts/test and .ci/run: tests in two lists.
# shellcheck shell=bash disable=SC2034

# They run a program or a real peer, or look at memory, at the work for each byte, or at every byte
# of a conversation. They say little of a version of Python, and are left out on the oldest.
programs=(
    tests/attacks/test_catalogue.py tests/attacks/test_held.py tests/attacks/test_linear.py
    tests/attacks/test_memory.py tests/attacks/test_standstill.py tests/drafts/test_protocol_mutants.py
    tests/simulation tests/test_benchmark_loads.py tests/test_benchmark_runs.py
    tests/test_benchmarks.py tests/test_browser.py tests/test_cli.py tests/test_cluster.py
    tests/test_connect_at_terminal.py tests/test_deployment.py tests/test_devtools.py
    tests/test_docs.py tests/test_examples.py tests/test_faults.py tests/test_more_examples.py
    tests/test_moving.py tests/test_pages.py tests/test_peers.py tests/test_ported_examples.py
    tests/test_probe.py tests/test_responsiveness.py tests/test_shutdown.py tests/test_soak.py
    tests/test_tutorial.py
)

# Counting lines more than doubles the time of a test. So it is done in these alone, which reach all
# lines and branches that scripts/test wants reached; the others run without it. When a branch is
# reached by none of these, add the file that tests it; `python -m tests.counted` finds the cheapest
# such list anew.
counted=(
    tests/arguments/test_client.py tests/arguments/test_functions.py tests/arguments/test_values.py
    tests/drafts/test_backends.py tests/drafts/test_body.py tests/drafts/test_close_codes.py
    tests/drafts/test_compressor.py tests/drafts/test_deflate.py tests/drafts/test_extensions.py
    tests/drafts/test_fast_path.py tests/drafts/test_final_blocks.py tests/drafts/test_forwarded.py
    tests/drafts/test_frame_codec.py tests/drafts/test_frame_reader.py
    tests/drafts/test_get_buffer.py tests/drafts/test_heads.py tests/drafts/test_host.py
    tests/drafts/test_http.py tests/drafts/test_identify.py tests/drafts/test_masking.py
    tests/drafts/test_opening.py tests/drafts/test_opening_hybi.py tests/drafts/test_payload.py
    tests/drafts/test_protocol_messages.py tests/drafts/test_protocol_tables.py
    tests/drafts/test_protocol_times.py tests/drafts/test_split.py tests/drafts/test_url.py
    tests/life/test_stuck.py tests/life/test_unread.py tests/platforms/test_platforms.py
    tests/test_abort.py tests/test_around_handlers.py tests/test_as_stream.py tests/test_at_sight.py
    tests/test_auth.py tests/test_blocks.py tests/test_bridge.py tests/test_broadcast.py
    tests/test_closing.py tests/test_codes_of_blocks.py tests/test_connection.py tests/test_ended.py
    tests/test_gateway.py tests/test_given_back.py tests/test_http_handler.py
    tests/test_instruments.py tests/test_json.py tests/test_message_stream.py tests/test_no_block.py
    tests/test_path_params.py tests/test_ping.py tests/test_poller.py tests/test_scope.py
    tests/test_send_stream_ends.py tests/test_sender.py tests/test_sending_elsewhere.py
    tests/test_text_as_bytes.py tests/test_who_is_there.py
)
