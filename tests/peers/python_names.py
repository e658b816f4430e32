"""The public names of a library, and what each has, as JSON: python_names.py LIBRARY

A class has its members and the arguments of its constructor, a function its arguments.
"""

from __future__ import annotations

import ast
import importlib
import inspect
import json
import sys
import textwrap
from collections.abc import Iterator
from enum import Enum
from typing import Any

MODULES = {
    "trio-websocket": ("trio_websocket",),
    "websockets": (
        "websockets",
        "websockets.asyncio.client",
        "websockets.asyncio.server",
        "websockets.asyncio.router",
        "websockets.trio.client",
        "websockets.trio.server",
        "websockets.trio.router",
    ),
}
# Without an underscore, but in no reference: what the library calls itself, or asyncio calls.
INTERNAL = {
    *("CONNECTION_ID", "task_status", "self", "args", "kwargs", "serialize"),
    *("acknowledge_pending_pings", "acknowledge_pings", "terminate_pending_pings"),
    *("close_exc", "close_stream", "handshake", "keepalive", "start_keepalive"),
    *("pause_reading", "resume_reading", "pause_writing", "resume_writing", "drain"),
    *("process_event", "recv_events", "send_context", "send_data", "set_connection_exc"),
    *("connection_made", "connection_lost", "data_received", "eof_received"),
    *("open_tcp_connection", "process_redirect", "open_connection", "open_tcp_stream"),
    *("enable_tls", "stream_closed", "get_loop", "parse", "check", "exception"),
}
# What lies below connections, and details of what was malformed, which the error says in words
WITHOUT_PARTS = {
    *("Frame", "Headers", "Opcode", "Side"),
    *("ClientProtocol", "ServerProtocol", "Protocol", "Router", "PayloadTooBig"),
    *("TooManyFragments", "DuplicateParameter", "InvalidHeader", "InvalidHeaderFormat"),
    *("InvalidHeaderValue", "InvalidMethod", "InvalidOrigin", "InvalidParameterName"),
    *("InvalidParameterValue", "InvalidProxy", "InvalidUpgrade", "InvalidURI"),
}
# Made by the library, and by nobody else
NEVER_CALLED = {
    *("ClientConnection", "ServerConnection", "Server"),
    *("WebSocketConnection", "WebSocketRequest"),
}


def described_attributes(kind: type) -> Iterator[str]:
    """Those that the constructor sets, and below which there is a docstring."""
    tree = ast.parse(textwrap.dedent(inspect.getsource(kind)))
    for function in ast.walk(tree):
        if isinstance(function, ast.FunctionDef) and function.name == "__init__":
            for line, below in zip(function.body, function.body[1:], strict=False):
                if isinstance(line, ast.AnnAssign) and isinstance(below, ast.Expr):
                    yield ast.unparse(line.target).removeprefix("self.")


def parameters(value: Any) -> set[str]:
    try:
        return {*inspect.signature(value).parameters}
    except ValueError:  # an exception that adds nothing
        return set()


def parts(name: str, value: Any) -> set[str]:
    """What a name has: members, attributes, and arguments of it and of its methods."""
    if name in WITHOUT_PARTS or not callable(value):
        return set()
    if not inspect.isclass(value):
        return parameters(value)
    if issubclass(value, Enum):
        return {*value.__members__}
    found = set() if name in NEVER_CALLED else parameters(value)
    library = value.__module__.partition(".")[0]
    for parent in value.__mro__:
        if parent.__module__.partition(".")[0] == library:
            found.update(vars(parent), described_attributes(parent))
            for member, what in vars(parent).items():
                if inspect.isfunction(what) and member[0] != "_" and member not in INTERNAL:
                    found |= parameters(what)
    return found


def main(library: str) -> None:
    names: dict[str, set[str]] = {}
    for module in map(importlib.import_module, MODULES[library]):
        for name in getattr(module, "__all__", vars(module)):
            value = getattr(module, name)
            if not name.startswith("_") and not inspect.ismodule(value):
                names.setdefault(name, set()).update(parts(name, value))
    shown = {
        name: sorted(part for part in found - INTERNAL if not part.startswith("_"))
        for name, found in names.items()
    }
    json.dump(shown, sys.stdout)


main(sys.argv[1])
