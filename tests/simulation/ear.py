"""What a peer by hand makes of the bytes that come: `RawPeer` decodes them one by one, which takes
too long for hundreds of kilobytes.
"""

from __future__ import annotations

import math
from functools import partial

from trio_draftws import Close, Draft
from trio_draftws.drafts import Event, NegotiatedParameters, Role
from trio_draftws.testing import RawClient, RawServer

# More than any closing frame takes
_LAST = 200


class Ear:
    """Decodes for one side; what comes behind a Close too, which no codec does."""

    def __init__(self, draft: Draft, role: Role, agreement: NegotiatedParameters) -> None:
        self._begin = partial(draft.codec, role, math.inf, agreement)
        self._codec = self._begin()

    def hear(self, data: bytes | bytearray, *, maybe_close: bool) -> list[Event]:
        """What these bytes complete.

        Raises:
            RemoteProtocolError: the other side broke the draft.
        """
        if not maybe_close:
            return self._decode(data)
        # What comes last is taken byte by byte, so that it is known where a Close ends.
        start = max(0, len(data) - _LAST)
        events = self._decode(data[:start]) if start else []
        for position in range(start, len(data)):
            events += self._decode(data[position : position + 1])
        return events

    def _decode(self, data: bytes | bytearray) -> list[Event]:
        events = self._codec.decode(data)
        # A codec may keep something back until it is asked again.
        while more := self._codec.decode(b""):
            events += more
        if any(isinstance(event, Close) for event in events):
            self._codec = self._begin()
        return events


class Client(RawClient):
    """A client by hand that says what was agreed on."""

    agreement = NegotiatedParameters()

    def speak(self, draft: str | Draft, *, agreement: NegotiatedParameters | None = None) -> None:
        self.agreement = agreement or NegotiatedParameters()
        super().speak(draft, agreement=agreement)


class Server(RawServer):
    """A server by hand that says what was agreed on."""

    agreement = NegotiatedParameters()

    def speak(self, draft: str | Draft, *, agreement: NegotiatedParameters | None = None) -> None:
        self.agreement = agreement or NegotiatedParameters()
        super().speak(draft, agreement=agreement)
