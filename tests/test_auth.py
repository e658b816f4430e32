"""Who is asking: basic authentication and cookies, on both sides."""

from __future__ import annotations

import base64
import hmac
import logging
from collections.abc import Mapping
from typing import Any

import pytest
import trio

from trio_draftws import (
    Connection,
    Draft,
    HeaderFields,
    Reject,
    Rejected,
    Request,
    basic_auth,
    open_websocket,
    use_framing_mode,
)
from trio_draftws.drafts import Headers, Response, write_cookies

from .rows import drafts_that_differ_most, each_row, in_turn
from .wire import dial, read_to_end, request, serving

draft = drafts_that_differ_most()

USERS = {"ann": "s3cret", "bob": "pässwörd: with colon", "empty": ""}


async def tell_user(connection: Connection, state: Any) -> None:
    await connection.send(str(state))


def field(user: str, password: str, encoding: str = "utf-8") -> str:
    return "Basic " + base64.b64encode(f"{user}:{password}".encode(encoding)).decode()


def asking(*fields: str) -> Request:
    """A request with those `Authorization` fields."""
    lines = [b"GET / HTTP/1.1", *(f"Authorization: {value}".encode() for value in fields)]
    return Request.parse(b"\r\n".join([*lines, b"", b""]))


# Between the two


@in_turn(user=list(USERS))
async def test_in_every_draft(draft: Draft, user: str) -> None:
    """In the argument or in the URL; the state is the user's name."""
    with use_framing_mode(draft.name):
        async with serving(tell_user, conn_headers=basic_auth("test", USERS)) as server:
            url = f"ws://127.0.0.1:{server.port}/"
            async with open_websocket(url, draft=draft, auth=(user, USERS[user])) as client:
                assert await client.receive() == user
            escaped = USERS[user].replace(":", "%3A").replace(" ", "%20")
            url = url.replace("//", f"//{user}:{escaped}@")
            async with open_websocket(url, draft=draft) as client:
                assert await client.receive() == user


@in_turn(auth=[("ann", "wrong"), ("ann", ""), ("nobody", "s3cret"), ("nobody", ""), None])
async def test_refused(
    draft: Draft, auth: tuple[str, str] | None, caplog: pytest.LogCaptureFixture
) -> None:
    """401 says of what kind; nothing says which password was given."""
    caplog.set_level(logging.DEBUG)
    with use_framing_mode(draft.name):
        async with serving(tell_user, conn_headers=basic_auth('a "b" \\', USERS)) as server:
            url = f"ws://127.0.0.1:{server.port}/"
            with pytest.raises(Rejected) as caught:
                async with open_websocket(url, draft=draft, auth=auth):
                    raise AssertionError("there is no connection")
    error = caught.value
    assert error.status == 401
    assert error.headers["WWW-Authenticate"] == 'Basic realm="a \\"b\\" \\\\", charset="UTF-8"'
    assert error.advice == ""
    told = f"{error}{error!r}{caplog.text}"
    assert "wrong" not in told
    assert field(*(auth or ("", "")))[6:] not in told


async def test_within_a_conn_headers_of_ones_own() -> None:
    """A check of one's own, which may wait."""
    checked: list[tuple[str, str]] = []

    async def check(user: str, password: str) -> bool:
        await trio.lowlevel.checkpoint()
        checked.append((user, password))
        return hmac.compare_digest(password, user[::-1])

    authenticate = basic_auth("test", check)

    async def conn_headers(request: Request) -> tuple[HeaderFields, Any]:
        if request.path == "/open":
            return (), "anybody"
        _, user = await authenticate(request)
        return {"X-User": user}, user.upper()

    async with serving(tell_user, conn_headers=conn_headers) as server:
        url = f"ws://127.0.0.1:{server.port}"
        async with open_websocket(f"{url}/open") as client:
            assert await client.receive() == "anybody"
        async with open_websocket(url, auth=("ann", "nna")) as client:
            assert client.headers["X-User"] == "ann"
            assert await client.receive() == "ANN"
        with pytest.raises(Rejected, match="401"):
            async with open_websocket(url, auth=("ann", "ann")):
                raise AssertionError("there is no connection")
    assert checked == [("ann", "nna"), ("ann", "ann")]


# The server's side


@each_row(
    "fields",
    [
        (),
        ("",),
        ("Basic",),
        ("Basic ",),
        ("Bearer abc",),
        ("Basic !!!!",),
        ("Basic YW5u",),  # no colon
        (field("ann", "s3cret")[:-3],),
        (field("ann", "s3cret") + " x",),
        (field("\xe4nn", "s3cret", "latin-1"),),
        (field("ann", "s3cret"), field("ann", "s3cret")),
    ],
)
async def test_what_is_no_user(fields: tuple[str, ...]) -> None:
    with pytest.raises(Reject) as caught:
        await basic_auth("test", USERS)(asking(*fields))
    assert caught.value.status == 401


@pytest.mark.parametrize("scheme", ["Basic", "basic", "BASIC", "Basic  "])
async def test_the_scheme_in_any_case(scheme: str) -> None:
    value = field("ann", "s3cret").replace("Basic", scheme)
    assert await basic_auth("test", USERS)(asking(value)) == ((), "ann")


@pytest.mark.parametrize("user", ["ann", "nobody"])
async def test_in_constant_time(user: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """As much is compared for a user that there is as for one that there is not."""
    compared: list[tuple[bytes, bytes]] = []

    def noting(one: bytes, other: bytes) -> bool:
        compared.append((one, other))
        return one == other

    monkeypatch.setattr(hmac, "compare_digest", noting)
    with pytest.raises(Reject):
        await basic_auth("test", USERS)(asking(field(user, "a guess")))
    [(one, other)] = compared
    assert len(one) == len(other) == 32


def test_a_realm_that_cannot_be_sent() -> None:
    with pytest.raises(ValueError, match="control character"):
        basic_auth("a\r\nb", USERS)


async def test_a_browsers_refusal() -> None:
    """What a plain client sees."""
    async with serving(conn_headers=basic_auth("test", USERS)) as server:
        async with await dial(server) as stream:
            await stream.send_all(request())
            answer = await read_to_end(stream)
    assert answer.startswith(b"HTTP/1.1 401 Unauthorized\r\n")


# The client's side


@each_row(
    "settings, why",
    [
        ({"auth": ("a:b", "secret")}, "no colon"),
        ({"auth": ("a", "secret\n")}, "no control characters"),
        ({"auth": ("a", "secret"), "url": "ws://b:secret@h/"}, "not both"),
        ({"auth": ("a", "secret"), "headers": {"authorization": "secret"}}, "given twice"),
        ({"cookies": {"a": "secret"}, "headers": {"cookie": "secret"}}, "given twice"),
        ({"cookies": {"a": "secret;b=c"}}, "cannot be sent"),
        ({"cookies": {"a": "secret\r\nEvil: 1"}}, "cannot be sent"),
        ({"cookies": {"a": " secret"}}, "cannot be sent"),
        ({"cookies": {"a": "secret\u20ac"}}, "cannot be sent"),
        ({"cookies": {"": "secret"}}, "cookie's name"),
        ({"cookies": {"a=b": "secret"}}, "cookie's name"),
        ({"cookies": {"a b": "secret"}}, "cookie's name"),
        ({"cookies": {"\xe4": "secret"}}, "cookie's name"),
    ],
)
async def test_what_cannot_be_sent(settings: dict[str, Any], why: str) -> None:
    """Told before anything is dialled, and without the secret."""
    with pytest.raises(ValueError, match=why) as caught:
        async with open_websocket(**{"url": "ws://h/", **settings}):
            raise AssertionError("there is no connection")
    assert "secret" not in str(caught.value)


# Cookies


async def test_cookies_both_ways(draft: Draft) -> None:
    """What a server sets can be sent back as it came."""
    values = {"plain": "1", "json": '{"a": "b, c"}', "equals": "a=b==", "latin": "\xe9", "none": ""}
    seen: list[Mapping[str, str]] = []

    async def conn_headers(request: Request) -> tuple[HeaderFields, Any]:
        seen.append(request.cookies)
        fields = [("Set-Cookie", f"{name}={values[name]}; Path=/; HttpOnly") for name in values]
        return fields, None

    with use_framing_mode(draft.name):
        async with serving(conn_headers=conn_headers, origins=[None, "http://h"]) as server:
            url = f"ws://127.0.0.1:{server.port}/"
            async with open_websocket(url, draft=draft, origin="http://h") as client:
                assert client.response.cookies == values
            settings: dict[str, Any] = {"draft": draft, "origin": "http://h"}
            async with open_websocket(url, cookies=client.response.cookies, **settings):
                pass
    assert seen == [{}, values]


@pytest.mark.parametrize(
    ("fields", "cookies"),
    [
        ([], {}),
        ([b"a=1", b"b=2; Max-Age=3"], {"a": "1", "b": "2"}),
        ([b"a=1; Path=/x", b"a=2"], {"a": "2"}),
        ([b"  a = 1 ; Secure"], {"a": "1"}),
        ([b'a="1"'], {"a": '"1"'}),
        ([b"a=b=c"], {"a": "b=c"}),
        ([b"a", b"=1", b"", b";a=1"], {}),
        ([b"a=1, b=2"], {"a": "1, b=2"}),
    ],
)
def test_cookies_that_are_set(fields: list[bytes], cookies: dict[str, str]) -> None:
    response = Response(b"HTTP/1.1 101 X", Headers((b"Set-Cookie", value) for value in fields))
    assert response.cookies == cookies


def test_cookies_in_one_field() -> None:
    assert write_cookies({"a": "1", "b": '"2"'}) == 'a=1; b="2"'
