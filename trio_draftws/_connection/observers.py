"""What the sender and the receiver know of the connection that they are parts of."""

from __future__ import annotations

from typing import Protocol


class SenderObserver(Protocol):
    """Is told by a sender."""

    def on_waiting(self) -> None:
        """Bytes begin to wait until the peer takes some, or a sender does."""
        ...

    def on_cannot_write(self) -> None:
        """Nothing can be written any more."""
        ...


class ReceiverObserver(Protocol):
    """Is told by a receiver."""

    def on_end(self) -> None:
        """The input has ended."""
        ...

    def on_receiver_left(self) -> None:
        """Somebody has stopped receiving whom the scope knew to wait."""
        ...


class ConnectionInstruments(Protocol):
    """The instruments of a scope, as the connections below them know them."""

    @property
    def hears_frames(self) -> bool:
        """Whether any of them listens to messages, control frames or bytes."""
        ...

    def tell(self, name: str, /, *facts: object) -> None:
        """Calls the method of that name of each instrument that has one."""
        ...


class NobodyObserves:
    """In place of a connection that is over: else it and its parts would know each other, and what
    they hold would stay in memory until Python looks for such circles.
    """

    def on_waiting(self) -> None: ...
    def on_cannot_write(self) -> None: ...
    def on_end(self) -> None: ...
    def on_receiver_left(self) -> None: ...


NOBODY_OBSERVES = NobodyObserves()
