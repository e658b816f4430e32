"""The framing mode: which draft to speak if the handshake does not settle it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar

from trio_draftws.drafts import DraftName, draft_named

framing_mode: ContextVar[DraftName | str] = ContextVar("framing_mode", default="old")
"""The name of a draft, `"old"` (hixie-76) by default.

It is read once, when a connection opens: by `open_websocket` if `draft=` is not given, and by a
server for requests that look the same in several drafts. Changing it later does not affect the
connection. If it was never set in this context, `get(None)` returns None, since the argument of
`get` takes precedence over the default; then `open_websocket` tries other drafts if `"old"` is
refused. Like every context variable it is inherited by the tasks that a task spawns; a server's
handlers inherit it from the call of `serve_websocket`.
"""


@contextmanager
def use_framing_mode(mode: DraftName | str) -> Iterator[None]:
    """Sets `framing_mode` within the block, and resets it afterwards.

    Args:
        mode: the name or an alias of a draft, as `"old"` or `"new"`.

    Raises:
        ValueError: no draft has that name; the message lists all names.
        TypeError: it is no name.
    """
    draft_named(mode)
    token = framing_mode.set(mode)
    try:
        yield
    finally:
        framing_mode.reset(token)
