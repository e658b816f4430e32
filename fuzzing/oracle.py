"""What all targets share: how an input is read, how it is cut, and what a finding is."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import pairwise
from typing import TypeVar

import attrs

Option = TypeVar("Option")


class Finding(AssertionError):
    """The library did what it must not."""


def expect(condition: object, what: str, *seen: object) -> None:
    """Raises a `Finding` unless `condition` holds.

    Raises:
        Finding: it does not; the message says what was expected, and what was seen.
    """
    if not condition:
        raise Finding(": ".join([what, *(repr(each) for each in seen)]))


class Choices:
    """An input: first bytes that choose, one choice each, and the rest, which is what is tried.

    A byte that is not there chooses the first option.
    """

    def __init__(self, data: bytes) -> None:
        self.data = data
        self._position = 0

    def pick(self, options: Sequence[Option]) -> Option:
        """One of `options`, as the next byte says."""
        return options[self.byte() % len(options)]

    def byte(self) -> int:
        return next(iter(self.take(1)), 0)

    def take(self, size: int) -> bytes:
        """The next `size` bytes, or all there are."""
        taken = self.data[self._position : self._position + size]
        self._position += len(taken)
        return taken

    @property
    def rest(self) -> bytes:
        """What has not been read."""
        return self.data[self._position :]


@attrs.frozen
class Target:
    """One thing to fuzz."""

    name: str
    about: str
    """What it tries, in a line."""
    check: Callable[[bytes], None]
    """Tries one input; whatever it raises is a finding."""
    seeds: Callable[[], Iterable[bytes]]
    """Inputs to begin with."""
    words: tuple[bytes, ...] = ()
    """What means something there, to be put into inputs."""
    max_size: int = 1024
    """Of an input, in bytes."""


# Cuts


def pieces(data: bytes, cuts: Iterable[int]) -> list[bytes]:
    """`data`, cut at these places."""
    edges = [0, *sorted(cuts), len(data)]
    return [data[begin:end] for begin, end in pairwise(edges)]


def bytewise(data: bytes) -> list[bytes]:
    return pieces(data, range(1, len(data)))


def at_random(data: bytes, seed: int) -> list[bytes]:
    """`data`, cut in a few places."""
    luck = random.Random(seed)
    return pieces(data, [luck.randint(0, len(data)) for _ in range(luck.randint(1, 8))])


def splits(data: bytes, seed: int) -> Iterator[list[bytes]]:
    """`data` in one piece, byte by byte, and cut in a few places."""
    yield [data]
    yield bytewise(data)
    yield at_random(data, seed)
