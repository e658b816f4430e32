"""What runs several drafts in one case leaves none of them out."""

from __future__ import annotations

from collections import Counter
from typing import Any

import pytest

from trio_draftws import DRAFTS, Draft

from .turns import FRAMINGS, TRANSPORTS, Test, dealt, each_draft, in_turn, over_streams


def recording(ran: list[Any]) -> Test:
    async def test(**given: Any) -> None:
        ran.append(tuple(given.values()))

    return test


async def test_all_values_run_in_order() -> None:
    ran: list[Any] = []
    await in_turn("role", ["client", "server"])(in_turn(("a", "b"), [(1, 2)])(recording(ran)))()
    assert ran == [("client", 1, 2), ("server", 1, 2)]
    ran.clear()
    await each_draft(recording(ran))()
    assert ran == [(draft,) for draft in DRAFTS]


async def test_an_error_says_with_which_value() -> None:
    async def fail(draft: Draft) -> None:
        assert draft.version is None

    with pytest.raises(AssertionError) as caught:
        await each_draft(fail)()
    assert caught.value.__notes__ == ["with draft = <Draft hybi-04>"]


async def test_nothing_in_turn_is_a_mistake() -> None:
    with pytest.raises(AssertionError):
        in_turn("value", [])


async def test_each_draft_runs_in_memory_and_over_another_stream() -> None:
    ran: list[Any] = []
    test = over_streams()(recording(ran))
    for transport in TRANSPORTS:
        await test(transport=transport)
    assert [draft for transport, draft in ran if transport == "memory"] == list(DRAFTS)
    others = [(transport, draft) for transport, draft in ran if transport != "memory"]
    assert Counter(draft for _, draft in others) == Counter(DRAFTS)
    kinds = {type(draft.codec("client", 0)) for draft in FRAMINGS}
    for transport in TRANSPORTS[1:]:
        there = {type(draft.codec("client", 0)) for each, draft in others if each == transport}
        assert len(there) >= len(kinds) - 1


async def test_a_share_of_the_drafts_for_each_value() -> None:
    ran: list[Any] = []
    test = dealt("end", ["close", "reset"])(recording(ran))
    for end in ("close", "reset"):
        await test(end=end)
    assert Counter(draft for _, draft in ran) == Counter(DRAFTS)
