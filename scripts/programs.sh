# Sourced by scripts/test and .ci/run: tests that run a program or a real peer, and tests that look
# at memory, at the work for each byte, or at every byte of a conversation.
# shellcheck shell=bash disable=SC2034
#
# In other processes no lines are counted, without the peers the same lines are covered, and what is
# measured takes twice as long where each line is counted: so these run without coverage. They say
# little of a version of Python either.
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

# Counting lines takes more than half of the time of a test, and all that these run others run too.
uncounted=(
    tests/attacks/test_caps.py tests/attacks/test_escaping.py tests/attacks/test_origins.py
    tests/attacks/test_redirects.py tests/attacks/test_requests.py tests/attacks/test_secrets.py
    tests/attacks/test_slow_readers.py tests/attacks/test_slowloris.py
    tests/attacks/test_tls_blocked.py tests/attacks/test_tls_output.py
    tests/drafts/test_http_and_h11.py tests/drafts/test_hybi_split.py
    tests/test_cancelled_scopes.py tests/test_cli_parts.py tests/test_dialling.py
    tests/test_dialling_tcp.py tests/test_docstrings.py tests/test_figures.py tests/test_freed.py
    tests/test_fuzzing.py tests/test_layers.py tests/test_names.py tests/test_private.py
    tests/test_proxy.py tests/test_proxy_environment.py tests/test_racket_recorded.py
    tests/test_reconnecting.py tests/test_redirects.py tests/test_testing_kit.py
    tests/test_tracing.py tests/test_types.py
)
