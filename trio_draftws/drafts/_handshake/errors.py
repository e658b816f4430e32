"""The errors of an opening handshake, on either side."""

from __future__ import annotations

from trio_draftws.drafts._http.escaping import escaped
from trio_draftws.drafts._http.headers import HeaderFields, Headers
from trio_draftws.drafts._http.response import checked_answer, redirect_fields


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
        status: the HTTP status code, 300 to 599, except 304.
        headers: further fields of the answer. A 301, 302, 303, 307 or 308 has a `Location`; see
            also `redirect`.
        body: an explanation for the client; a str is sent as UTF-8.

    Raises:
        ValueError: the status or a header field cannot be sent, or a redirect has no `Location`,
            several, or one that is no URL.
        TypeError: an argument has the wrong type.
    """

    @classmethod
    def redirect(
        cls,
        location: str,
        *,
        status: int = 307,
        headers: HeaderFields = (),
        body: bytes | str = b"",
    ) -> Reject:
        """Returns one that sends the client elsewhere: `raise Reject.redirect("/new")`.

        Not every client follows: RFC 6455 section 4.1 leaves that to it, and browsers do not.

        Args:
            location: the URL, which may be relative; ASCII, with escapes. `ws` and `wss`, or `http`
                and `https` in their place.
            status: 301 or 308 if clients are to go there from now on, or 302, 303 or 307.
            headers: further fields of the answer.
            body: an explanation for the client; a str is sent as UTF-8.

        Raises:
            ValueError: as above; or the status is none of these.
            TypeError: an argument has the wrong type.
        """
        return cls(status, redirect_fields(status, location, headers), body)

    def __init__(self, status: int, headers: HeaderFields = (), body: bytes | str = b"") -> None:
        self.headers: Headers
        self.body: bytes
        self.headers, self.body = checked_answer(status, headers, body)
        # RFC 9110 section 15.4.5: a 304 answers a client that has the page already.
        if not 300 <= status <= 599 or status == 304:
            raise ValueError(f"a refusal's status is 300 to 599, except 304, not {status}")
        self.status = status
        super().__init__(status, self.headers, self.body)

    def __str__(self) -> str:
        text = escaped(refusal_text(self))
        return f"{self.status}: {text}" if text else str(self.status)


def refusal_text(reject: Reject) -> str:
    """Returns what a refusal says to the client: the text of its body, or where it sends it."""
    text = reject.body.decode("utf-8", "replace").strip()
    if not text and "Location" in reject.headers:
        text = f"see {reject.headers['Location']}"
    return text
