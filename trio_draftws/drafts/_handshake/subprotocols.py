"""How the drafts write the list of subprotocols that a client asks for."""

from __future__ import annotations

import string
from collections.abc import Callable, Sequence

import attrs

from .errors import InvalidAnswer


@attrs.frozen
class SubprotocolSyntax:
    """How a draft writes the subprotocols that a client asks for."""

    description: str
    split: Callable[[str], Sequence[str]]
    separator: str | None
    """None if a client can ask for one only."""
    allowed: str
    """The characters that a name may have."""
    must_be_answered: bool
    """Whether a server must choose one if the client asks for any."""

    def asked(self, values: Sequence[str]) -> tuple[str, ...]:
        """Returns the names in a request's fields, each once, in order."""
        names = [name for value in values for name in self.split(value)]
        return tuple(dict.fromkeys(filter(None, names)))

    def write(self, subprotocols: Sequence[str]) -> str:
        """Returns the field's value.

        Raises:
            ValueError: the draft does not allow a name, or so many of them.
        """
        for name in subprotocols:
            # The spaces around a name would be lost on the way.
            if not name or name != name.strip(" ") or not set(name) <= set(self.allowed):
                raise ValueError(f"{name!r} is no subprotocol in this draft: {self.description}")
        if self.separator is None:
            if len(subprotocols) > 1:
                raise ValueError(f"asked for {list(subprotocols)}: {self.description}")
            return subprotocols[0]
        return self.separator.join(subprotocols)

    def verify(self, asked: Sequence[str], received: Sequence[str]) -> str | None:
        """Returns the subprotocol agreed on, from the values of the answer's field.

        Raises:
            InvalidAnswer: the server named another one, several, or none although it must.
        """
        if not asked:
            # hixie-76 section 4.1: the field is ignored if the client asked for none
            return None
        if not received and not self.must_be_answered:
            return None
        if len(received) != 1 or received[0] not in asked:
            raise InvalidAnswer("the subprotocol", " or ".join(asked), ", ".join(received) or None)
        return received[0]


_PRINTABLE = "".join(map(chr, range(0x20, 0x7F)))


def _one_string(value: str) -> list[str]:
    # Clients of the time disagreed on lists: so the whole string comes first, then its parts.
    parts = [*value.split(" "), *(item.strip(" ") for item in value.split(","))]
    return [value, *parts]


ONE_SUBPROTOCOL = SubprotocolSyntax(
    description="it can ask for one, of the characters U+0020 to U+007E",  # hixie-76 section 4.1
    split=_one_string,
    separator=None,
    allowed=_PRINTABLE,
    must_be_answered=True,
)
SPACE_SEPARATED = SubprotocolSyntax(
    description="names are separated by spaces, of the characters U+0021 to U+007E",  # r5173
    split=lambda value: value.split(" "),
    separator=" ",
    allowed=_PRINTABLE.replace(" ", ""),
    must_be_answered=False,
)
COMMA_SEPARATED = SubprotocolSyntax(
    description="names are separated by commas, and tokens",  # RFC 6455 section 4.1
    split=lambda value: [item.strip(" \t") for item in value.split(",")],
    separator=", ",
    # RFC 9110 section 5.6.2
    allowed="!#$%&'*+-.^_`|~" + string.digits + string.ascii_letters,
    must_be_answered=False,
)
