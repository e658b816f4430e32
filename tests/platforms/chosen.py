"""Which tests are run under a mask, and which of them are not: those that are of what it masks."""

from __future__ import annotations

import sys

# What measures, soaks, or asks a kernel needs modules that Windows has not: fcntl, pty, resource.
FOR_POSIX = """
    attacks/test_slow_readers platforms/test_platforms test_benchmark_loads test_benchmark_runs
    test_benchmarks test_connect_at_terminal test_instructions test_responsiveness test_soak
"""
HERE = {"win32": "windows", "darwin": "macos"}.get(sys.platform, "")
"""The mask of what this system has not."""
FILES = """
    test_batches test_broadcast test_closing test_connection test_left_alone test_server
    test_streams test_tls_stream test_blocks test_cli_parts test_listeners test_shutdown
"""
QUICK = "test_batches test_broadcast test_left_alone test_listeners test_streams"
UNIX = """
    test_cli_parts.py::test_input_that_is_no_utf8
    test_cli_parts.py::test_lines_that_come_in_pieces
    test_cli_parts.py::test_no_input
    test_server.py::TestStarting::test_a_unix_and_a_tls_listener
"""
UNIX_LISTENERS = """
    test_a_server_on_a_unix_socket test_another_file_in_its_place_is_left_alone
    test_closed_twice_while_another_has_taken_over test_closing_it_while_cancelled
    test_it_is_for_this_user_alone_by_default test_its_file_was_removed
    test_many_want_the_same_place test_nor_one_that_is_full test_nor_what_is_no_socket
    test_one_that_is_alive_is_not test_opening_it_while_cancelled
    test_what_a_killed_server_left_is_replaced test_what_cannot_be_made
"""
SHARED_PORTS = """
    test_a_port_that_somebody_does_not_share test_all_interfaces test_several_servers_on_one_port
    test_nothing_stays_open_where_one_cannot_listen
"""
# The kernel takes so much there that nobody waits, or is not to be asked for more.
LOW_WATER = """
    test_connection.py::TestConcurrency::test_senders_queue_in_order
    test_streams.py::test_the_kernel_takes_more_of_what_is_large
    test_streams.py::test_what_its_owner_chose_stays
    test_streams.py::test_what_is_large_where_there_is_no_such_option
"""


def in_listeners(names: str) -> str:
    return "".join(f" test_listeners.py::{name}" for name in names.split())


NOT_THERE = {
    "no_unix_sockets": UNIX + in_listeners(UNIX_LISTENERS),
    "no_fcntl": in_listeners(UNIX_LISTENERS) + LOW_WATER,
    "no_reuse_port": in_listeners(SHARED_PORTS),
    "no_low_water": LOW_WATER,
    "no_files": UNIX + in_listeners(UNIX_LISTENERS) + LOW_WATER,
    "macos": LOW_WATER,
    "windows": UNIX + in_listeners(UNIX_LISTENERS) + in_listeners(SHARED_PORTS) + LOW_WATER,
}


def arguments(mask: str, files: str = FILES) -> list[str]:
    """The arguments for pytest."""
    left_out = [f"--deselect=tests/{name}" for name in NOT_THERE.get(mask, "").split()]
    return ["-p", "no:cacheprovider", *left_out, *(f"tests/{name}.py" for name in files.split())]
