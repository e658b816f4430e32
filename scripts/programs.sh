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
    tests/test_connect_at_terminal.py tests/test_deployment.py tests/test_docs.py
    tests/test_examples.py tests/test_faults.py tests/test_more_examples.py tests/test_pages.py
    tests/test_peers.py tests/test_probe.py tests/test_responsiveness.py tests/test_shutdown.py
    tests/test_soak.py tests/test_tutorial.py
)
