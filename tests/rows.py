"""Tests of many values that are few cases.

A case costs a few milliseconds before its test has begun, and a line in each list. So the rows of a
table which show one thing are one case (`each_row`); and of two things that have little to do with
each other, as a draft and a transport, not every pair is one (`in_turn`).
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterable, Sequence
from functools import wraps
from itertools import product
from typing import Any

import pytest

from trio_draftws import DRAFTS, Draft
from trio_draftws.drafts import draft_named

FAILURES = (Exception, pytest.fail.Exception)


def each_row(names: str, rows: Iterable[Any]) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Gives a test each row in turn, as `parametrize` does, but in one case.

    All of them are tried, and those that fail are named. What fixtures give is the same for all.
    """
    parameters = [name.strip() for name in names.split(",")]
    table = [row if len(parameters) > 1 else (row,) for row in rows]
    assert table

    def decorate(test: Callable[..., Any]) -> Callable[..., Any]:
        def report(failed: list[tuple[Any, BaseException]]) -> None:
            if failed:
                said = "".join(f"\n  {row!r}:\n    {error!r:.1000}" for row, error in failed)
                text = f"{len(failed)} of {len(table)} rows failed:{said}"
                raise AssertionError(text) from failed[0][1]

        if inspect.iscoroutinefunction(test):

            @wraps(test)
            async def run(*own: Any, **fixtures: Any) -> None:
                failed: list[tuple[Any, BaseException]] = []
                for row in table:
                    try:
                        await test(*own, **fixtures, **dict(zip(parameters, row, strict=True)))
                    except FAILURES as error:
                        failed.append((row, error))
                report(failed)
        else:

            @wraps(test)
            def run(*own: Any, **fixtures: Any) -> None:
                failed: list[tuple[Any, BaseException]] = []
                for row in table:
                    try:
                        test(*own, **fixtures, **dict(zip(parameters, row, strict=True)))
                    except FAILURES as error:
                        failed.append((row, error))
                report(failed)

        signature = inspect.signature(test)
        left = [each for each in signature.parameters.values() if each.name not in parameters]
        run.__signature__ = signature.replace(parameters=left)  # type: ignore[attr-defined]
        return run

    return decorate


def in_turn(drafts: Sequence[Draft] = DRAFTS, **others: Sequence[Any]) -> pytest.MarkDecorator:
    """The newest of these drafts with every combination of the others, and each draft with one.

    So each value of the others meets a third of the drafts or so, and each draft is there.
    """
    *older, newest = drafts
    combinations = list(product(*others.values()))
    rows = [(draft, *combinations[at % len(combinations)]) for at, draft in enumerate(older)]
    rows += [(newest, *combination) for combination in combinations]
    return pytest.mark.parametrize(
        ("draft", *others),
        [pytest.param(*row, id="-".join(map(_name_of, row))) for row in rows],
    )


def drafts_that_differ_most() -> Any:
    """A fixture `draft` for a file of tests, in place of that of conftest.py, which has them all.

    These have between them each opening, each framing and each closing that there is; so what a
    server makes of its handlers and settings, which are the same for all, is seen in each of them.
    """
    names = ("hixie-75", "hixie-76", "hybi-02", "hybi-05", "rfc6455")

    @pytest.fixture(params=[draft_named(name) for name in names], ids=names)
    def draft(request: pytest.FixtureRequest) -> Any:
        return request.param

    return draft


def _name_of(value: object) -> str:
    for attribute in ("name", "__name__"):
        if isinstance(name := getattr(value, attribute, None), str):
            return name
    return value if isinstance(value, str) else repr(value)[:30]
