"""The framing mode: which draft is spoken where the handshake does not settle it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar

from trio_draftws.drafts import draft_named

framing_mode: ContextVar[str] = ContextVar("framing_mode", default="old")
"""The name of a draft, `"old"` (hixie-76) by default.

It is read once, when a connection opens, and stays with the connection: by `open_websocket`
where no `draft=` says more, and by a server for the requests that look the same in several drafts.
Where it was never set in this context, `get(None)` is None, since what `get` is given goes before
the default; then `open_websocket` tries other drafts when `"old"` is refused.
Like every context variable it is inherited by the tasks that a task spawns; a server's handlers
have it from where `serve_websocket` was called.
"""


@contextmanager
def use_framing_mode(mode: str) -> Iterator[None]:
    """Sets `framing_mode` for the block, and back after it.

    Args:
        mode: the name or alias of a draft, as `"old"` or `"new"`.

    Raises:
        ValueError: no draft has that name; the message lists those there are.
    """
    draft_named(mode)
    token = framing_mode.set(mode)
    try:
        yield
    finally:
        framing_mode.reset(token)
