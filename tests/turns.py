"""Tests of running connections over several drafts and kinds of stream, with few cases.

`in_turn` runs a test for one value after the other in one case; `each_draft` does that for all
drafts. `over_streams` pairs drafts with kinds of stream instead of multiplying them.
"""

from __future__ import annotations

import inspect
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from functools import wraps
from typing import Any, TypeAlias
from zlib import crc32

import pytest

from trio_draftws import DRAFTS, Draft

from .drafts.helpers import naming

Test: TypeAlias = Callable[..., Awaitable[None]]
Rows: TypeAlias = Sequence[tuple[Any, ...]]

TRANSPORTS = ("memory", "lockstep", "tcp", "tls")


def in_turn(names: str | tuple[str, ...], values: Iterable[Any]) -> Callable[[Test], Test]:
    """Like `pytest.mark.parametrize`, for an async test, but all values, or rows of them, are one
    case. An error has a note that says with which of them it came up.
    """
    keys = (names,) if isinstance(names, str) else names
    rows = [(value,) if isinstance(names, str) else value for value in values]
    assert rows
    return rows_in_turn(keys, lambda given: rows)


def rows_in_turn(
    keys: tuple[str, ...], rows: Callable[[Mapping[str, Any]], Rows]
) -> Callable[[Test], Test]:
    """Like `in_turn`, for rows that depend on the test's other arguments."""

    def decorate(test: Test) -> Test:
        @wraps(test)
        async def each(*args: Any, **kwargs: Any) -> None:
            for row in rows(kwargs):
                given = dict(zip(keys, row, strict=True))
                with naming(**given):
                    await test(*args, **kwargs, **given)
                # What was logged is for one test to look at, as if it had run alone.
                if "caplog" in kwargs:
                    kwargs["caplog"].clear()

        signature = inspect.signature(test)
        asked = [each for each in signature.parameters.values() if each.name not in keys]
        each.__signature__ = signature.replace(parameters=asked)  # type: ignore[attr-defined]
        return each

    return decorate


each_draft = in_turn("draft", DRAFTS)


# The latest draft of each framing, for what has to do with nothing else of a draft
FRAMINGS = list({type(draft.codec("client", 0)): draft for draft in DRAFTS}.values())


def dealt(
    name: str, values: Sequence[Any], drafts: Sequence[Draft] = DRAFTS
) -> Callable[[Test], Test]:
    """One case for each value of an argument, each with its share of the drafts in turn.

    Neighbours in the list of drafts have mostly the same framing and are dealt to different values,
    so that each value has drafts of each framing.
    """

    def rows(given: Mapping[str, Any]) -> Rows:
        return [(draft,) for draft in drafts[values.index(given[name]) :: len(values)]]

    in_share = rows_in_turn(("draft",), rows)
    return lambda test: pytest.mark.parametrize(name, values)(in_share(test))


def over_streams(
    drafts: Sequence[Draft] = DRAFTS, transports: Sequence[str] = TRANSPORTS
) -> Callable[[Test], Test]:
    """One case for each kind of stream: all drafts in turn over memory streams, and a share of
    them, a third at most, over each other kind.

    Which ones differs from test to test, so that each draft meets each kind somewhere.
    """
    others = [transport for transport in transports if transport != "memory"]
    shares = max(3, len(others))

    def decorate(test: Test) -> Test:
        begin = crc32(test.__qualname__.encode())

        def rows(given: Mapping[str, Any]) -> Rows:
            if given["transport"] == "memory":
                return [(draft,) for draft in drafts]
            first = (others.index(given["transport"]) + begin) % shares
            return [(draft,) for draft in drafts[first::shares]]

        by_transport = pytest.mark.parametrize("transport", transports)
        return by_transport(rows_in_turn(("draft",), rows)(test))

    return decorate


def in_turn_over_streams(
    drafts: Sequence[Draft] = DRAFTS, transports: Sequence[str] = TRANSPORTS
) -> Callable[[Test], Test]:
    """As `over_streams`, but all in one case, for tests that are quick."""
    others = [transport for transport in transports if transport != "memory"]
    shares = max(3, len(others))

    def decorate(test: Test) -> Test:
        begin = crc32(test.__qualname__.encode())
        rows = [("memory", draft) for draft in drafts]
        for number, transport in enumerate(others, begin):
            rows += [(transport, draft) for draft in drafts[number % shares :: shares]]
        return in_turn(("transport", "draft"), rows)(test)

    return decorate
