"""A test that goes through several values says at which of them it failed."""

from __future__ import annotations

import inspect

import pytest

from .helpers import in_turn, naming


def test_every_combination_in_turn() -> None:
    seen: list[tuple[str, int, str]] = []

    @in_turn("letter", "ab")
    @in_turn(("number", "name"), [(1, "one"), (2, "two")])
    def test(given: str, letter: str, number: int, name: str) -> None:
        assert given == "by pytest"
        seen.append((letter, number, name))

    assert [*inspect.signature(test).parameters] == ["given"]
    test(given="by pytest")
    assert seen == [("a", 1, "one"), ("a", 2, "two"), ("b", 1, "one"), ("b", 2, "two")]


@pytest.mark.parametrize("error", [AssertionError, KeyboardInterrupt])
def test_an_error_says_what_it_came_up_with(error: type[BaseException]) -> None:
    @in_turn("letter", "ab")
    def test(letter: str) -> None:
        with naming(number=1, long="x" * 1000):
            if letter == "b":
                raise error

    with pytest.raises(error) as caught:
        test()
    inner, outer = caught.value.__dict__["__notes__"]
    assert inner == f"with number = 1, long = '{'x' * 199}"
    assert outer == "with letter = 'b'"
