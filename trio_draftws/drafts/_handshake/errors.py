"""The errors of an opening handshake, on either side."""

from __future__ import annotations

from trio_draftws.drafts._http.escaping import escaped
from trio_draftws.drafts._http.headers import HeaderFields, Headers
from trio_draftws.drafts._http.response import checked_answer


class HandshakeError(Exception):
    """The opening handshake failed: there is no connection.

    `advice` says what to do about it, if that can be guessed. The text ends with it.
    """

    advice: str = ""

    def __str__(self) -> str:
        text = self._describe()
        return f"{text} ({self.advice})" if self.advice else text

    def add_advice(self, advice: str) -> None:
        """Sets `advice`, unless it was already set."""
        self.advice = self.advice or advice

    def _describe(self) -> str:
        return super().__str__()


class InvalidAnswer(HandshakeError):
    """The server answered 101, but not as the draft demands.

    `expected` and `received` are the two values that differ.
    """

    def __init__(self, what: str, expected: object, received: object) -> None:
        super().__init__(what, expected, received)
        self.what = what
        self.expected = expected
        self.received = received

    def _describe(self) -> str:
        return f"{self.what}: expected {self.expected!r}, received {self.received!r}"


class Reject(Exception):
    """Raise it in `conn_headers` to refuse a request with a plain HTTP answer.

    Args:
        status: the HTTP status code, 400 to 599.
        headers: further fields of the answer.
        body: an explanation for the client; a str is sent as UTF-8.

    Raises:
        ValueError: the status or a header field cannot be sent.
        TypeError: an argument has the wrong type.
    """

    def __init__(self, status: int, headers: HeaderFields = (), body: bytes | str = b"") -> None:
        self.headers: Headers
        self.body: bytes
        self.headers, self.body = checked_answer(status, headers, body)
        if not 400 <= status <= 599:
            raise ValueError(f"a refusal's status is 400 to 599, not {status}")
        self.status = status
        super().__init__(status, self.headers, self.body)

    def __str__(self) -> str:
        text = escaped(self.body.decode("utf-8", "replace").strip())
        return f"{self.status}: {text}" if text else str(self.status)
