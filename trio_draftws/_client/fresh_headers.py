"""Header fields that a function of the caller's returns, anew for each attempt to connect."""

from __future__ import annotations

import inspect
from collections.abc import Collection

import trio

from trio_draftws._exceptions import HandshakeTimeout
from trio_draftws.drafts import HeaderFields, Headers, checked_fields

from .settings import HeadersFunction


async def call_headers(headers: HeadersFunction, timeout: float) -> HeaderFields:
    """Returns what the function returns, which need not be header fields.

    Args:
        headers: the function, synchronous or async.
        timeout: how many seconds an async one may take.

    Raises:
        HandshakeTimeout: it took longer.
        Exception: whatever it raises.
    """
    try:
        with trio.move_on_after(timeout):
            returned = headers()
            return await returned if inspect.isawaitable(returned) else returned
    except StopAsyncIteration as error:
        # It would end the loop over `reconnecting` as if that were over.
        raise RuntimeError("headers raised StopAsyncIteration") from error
    raise HandshakeTimeout(f"headers returned nothing within {timeout} s")


def joined_fields(returned: HeaderFields, others: Headers, written: Collection[str]) -> Headers:
    """Returns all fields of a request.

    Args:
        returned: what the function returned.
        others: the fields that were made of other settings.
        written: the fields that the handshake writes.

    Raises:
        TypeError: they are not header fields. The message shows no value: it may be a token.
        ValueError: a field cannot be sent, is one that the handshake writes, or is one of `others`.
    """
    fields = checked_fields(returned, forbidden=written)
    for name, _ in others.raw:
        if name.decode() in fields:
            raise ValueError(f"the header field {name.decode()} is given twice")
    return Headers([*fields.raw, *others.raw])
