"""The fields of a head: read as a mapping, and checked before they are written."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from functools import lru_cache
from typing import TypeAlias

from .escaping import shown

HeaderFields: TypeAlias = Mapping[str, str] | Iterable[tuple[str | bytes, str | bytes]]
"""Header fields as a caller gives them: a mapping, or pairs of name and value."""

# RFC 9110 section 5.6.2
TOKEN = re.compile(rb"[!#$%&'*+\-.^_`|~0-9A-Za-z]+")
# RFC 9110 section 5.5: what no value may hold; tabs and bytes from 0x80 are legal
NOT_IN_VALUE = re.compile(rb"[\x00-\x08\x0a-\x1f\x7f]")


class Headers(Mapping[str, str]):
    """The fields of a head. Names are compared without regard to case.

    `headers["Name"]` is the value without white space around it. If the field came several times,
    the values are joined by `", "`. Bytes are decoded as Latin-1, so nothing is lost. `raw` holds
    the pairs as they came.

    Args:
        raw: name and value of each field, as bytes.

    Raises:
        TypeError: one of them is a str.
    """

    __slots__ = ("_values", "raw")

    def __init__(
        self,
        raw: Iterable[tuple[bytes, bytes]] = (),
        _values: dict[str, list[bytes]] | None = None,
    ) -> None:
        #: Name and value of each field, in order. Only the one space after the colon is removed
        #: (hixie-76 section 4.1: all others belong to the value).
        self.raw: tuple[tuple[bytes, bytes], ...] = tuple(raw)
        if _values is None:
            _values = {}
            for name, value in self.raw:
                if {type(name), type(value)} != {bytes}:
                    raise TypeError(f"Headers has pairs of bytes, not {(name, value)!r}")
                _values.setdefault(name.decode("latin-1").lower(), []).append(value)
        # By name, in lower case
        self._values = _values

    def __getitem__(self, name: str) -> str:
        return ", ".join(self.get_all(name)) if name in self else self._missing(name)

    def _missing(self, name: str) -> str:
        raise KeyError(name)

    def __contains__(self, name: object) -> bool:
        return isinstance(name, str) and name.lower() in self._values

    def __iter__(self) -> Iterator[str]:
        return iter(self._values)

    def __len__(self) -> int:
        return len(self._values)

    def __repr__(self) -> str:
        return f"Headers({list(self.raw)!r})"

    def get_all(self, name: str) -> list[str]:
        """Every value of the field, in order; an empty list if there is none."""
        values = self._values.get(name.lower(), ())
        return [value.strip(b" \t").decode("latin-1") for value in values]

    def get_raw(self, name: str) -> list[bytes]:
        """Every value of the field as it came, spaces included."""
        return list(self._values.get(name.lower(), ()))

    def has_token(self, name: str, token: str) -> bool:
        """Whether the field's comma-separated list holds `token`, without regard to case."""
        items = ",".join(self.get_all(name)).split(",")
        return token.lower() in (item.strip(" \t").lower() for item in items)


def checked_fields(fields: HeaderFields, *, forbidden: Iterable[str] = ()) -> Headers:
    """Checks a caller's fields and returns them as they are sent.

    Raises:
        TypeError: they are not header fields. The message shows no value: it may be a password.
        ValueError: a name is not a token, a value holds a control character, or a field is one
            of `forbidden`, which the handshake writes itself.
    """
    if isinstance(fields, Headers):
        fields = fields.raw
    banned = _in_lower_case(tuple(forbidden))
    checked: list[tuple[bytes, bytes]] = []
    for name, value in _pairs_of(fields):
        raw_name = name if isinstance(name, bytes) else _latin1(name, "name")
        raw_value = value if isinstance(value, bytes) else _latin1(value, "value")
        if not TOKEN.fullmatch(raw_name):
            raise ValueError(f"a header field's name must be a token, got {shown(raw_name)}")
        if bad := NOT_IN_VALUE.search(raw_value):
            # Not the value, which may be a password with the line end of its file
            raise ValueError(
                f"the header field {raw_name.decode()} has a control character in its value: "
                f"{shown(bad[0])} at {bad.start()}"
            )
        if raw_name.decode().lower() in banned:
            raise ValueError(f"the header field {raw_name.decode()} is written by the handshake")
        checked.append((raw_name, raw_value))
    return Headers(checked)


@lru_cache
def _in_lower_case(names: tuple[str, ...]) -> frozenset[str]:
    # There are few such lists, and no peer makes them.
    return frozenset(name.lower() for name in names)


def _pairs_of(fields: object) -> Iterator[tuple[str | bytes, str | bytes]]:
    """Yields name and value of each of a caller's fields.

    Raises:
        TypeError: they are not header fields. The message shows no value.
    """
    if isinstance(fields, (str, bytes)) or not isinstance(fields, Iterable):
        raise TypeError(
            "headers is a mapping from names to values, or a list of pairs of name and value, "
            f"not {kind_of(fields)}"
        )
    for pair in fields.items() if isinstance(fields, Mapping) else fields:
        if not isinstance(pair, (tuple, list)) or len(pair) != 2:
            raise TypeError(
                "headers is a list of pairs of name and value, as [('X-Name', 'value')], "
                f"and {kind_of(pair)} in it is none"
            )
        name, value = pair
        if not isinstance(name, (str, bytes)):
            raise TypeError(f"a header field's name is a str or bytes, not {kind_of(name)}")
        if not isinstance(value, (str, bytes)):
            raise TypeError(
                f"the value of the header field {name!r} is a str or bytes, not {kind_of(value)}"
            )
        yield name, value


def kind_of(given: object) -> str:
    """Returns the type of a wrong argument for a message, without its value."""
    return "None" if given is None else f"one {type(given).__name__}"


def _latin1(text: str, what: str) -> bytes:
    try:
        return text.encode("latin-1")
    except UnicodeEncodeError as error:
        raise ValueError(
            f"a header field's {what} given as str must be Latin-1 (give bytes for others), "
            f"got {text[error.start]!r} at {error.start}"
        ) from None
