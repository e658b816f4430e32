"""The proxy that the environment names, and the servers that go without."""

from __future__ import annotations

import os
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest
import trio

from trio_draftws import DialFailed, ProxyFailed, use_framing_mode

from .peers.forward_proxies import tinyproxy
from .test_proxy import USER, NoNames, echo_once
from .wire import serving

Named = Callable[[str], Awaitable["str | None"]]


@pytest.fixture
def named(monkeypatch: pytest.MonkeyPatch) -> Named:
    """Which proxy is dialled for a URL, as the environment names it."""
    for name in list(os.environ):
        if name.lower().endswith("_proxy"):
            monkeypatch.delenv(name)

    def nobody(*_: object, **__: object) -> None:
        raise OSError("nobody is dialled")

    async def ask(url: str) -> str | None:
        with pytest.MonkeyPatch.context() as dialling:
            # By its name, or by its address
            dialling.setattr(trio, "open_tcp_stream", nobody)
            dialling.setattr(trio.socket, "socket", nobody)
            with pytest.raises(DialFailed, match="nobody is dialled") as caught:
                await echo_once(url, proxy="environment")
        if not isinstance(caught.value, ProxyFailed):
            return None
        return str(caught.value).removeprefix("the proxy ").partition(" ")[0]

    return ask


async def test_the_variables(named: Named, monkeypatch: pytest.MonkeyPatch) -> None:
    async def both() -> tuple[str | None, str | None]:
        return await named("ws://h/"), await named("wss://h/")

    assert await both() == (None, None)
    monkeypatch.setenv("all_proxy", "socks5://a:1")
    assert await both() == ("socks5://a:1", "socks5://a:1")
    monkeypatch.setenv("https_proxy", "http://b:2")
    assert await both() == ("socks5://a:1", "http://b:2")
    monkeypatch.setenv("http_proxy", "c:3")
    assert await both() == ("http://c:3", "http://b:2")
    monkeypatch.setenv("no_proxy", "h,.example.com,[::1]")
    for host in ("h", "a.example.com", "[::1]"):
        assert await named(f"ws://{host}/") is None
    assert await named("ws://i/") == "http://c:3"
    monkeypatch.setenv("no_proxy", "")
    assert await named("ws://h/") == "http://c:3"


ADDRESSES = [
    # An address in any spelling, alone or with its port
    ("::1", "ws://[::1]:8080/"),
    ("localhost,127.0.0.1,::1", "ws://[::1]/"),
    ("2001:db8::7", "ws://[2001:DB8:0::7]/"),
    ("2001:DB8:0:0:0:0:0:7", "wss://[2001:db8::7]/"),
    ("[::1]", "ws://[::1]:8080/"),
    ("[0::1]:8080", "ws://[::1]:8080/"),
    ("[::1]:80", "ws://[::1]/"),
    ("127.0.0.1", "ws://127.1/"),
    ("127.1", "ws://127.0.0.1:9/"),
    ("0x7f000001", "ws://127.0.0.1/"),
    ("127.0.0.1:443", "wss://127.0.0.1/"),
    ("127.0.0.1.", "ws://127.0.0.1/"),
    ("127.0.0.1", "ws://127.0.0.1./"),
    ("127.0.0.1", "ws://[::ffff:127.0.0.1]/"),
    ("::ffff:7f00:1", "ws://127.0.0.1/"),
    ("[::ffff:127.0.0.1]", "ws://127.0.0.1/"),
    # A network
    ("10.0.0.0/8", "ws://10.1.2.3/"),
    ("10.9.9.9/8", "ws://10.1.2.3/"),
    ("10.0.0.0/255.0.0.0", "ws://10.1.2.3/"),
    ("0.0.0.0/0", "ws://10.1.2.3/"),
    ("10.1.2.3/32", "ws://10.1.2.3/"),
    ("10.0.0.0/8", "ws://[::ffff:10.1.2.3]/"),
    ("fd00::/8", "ws://[fd00::1]/"),
    ("::/0", "ws://[fd00::1]/"),
]
NAMES = [
    ("a.example.", "ws://a.example/"),
    ("a.example", "ws://a.example./"),
    ("a.example.", "ws://a.example./"),
    ("example.", "ws://a.example/"),
    (".example.", "ws://a.example./"),
    ("example", "ws://a.b.example/"),
    (".a.example", "ws://a.example/"),
    ("*.example", "ws://a.example/"),
    ("A.Example", "ws://a.example/"),
    ("a.example:80", "ws://a.example/"),
    ("a.example:443", "wss://a.example/"),
    ("a.example.:8080", "ws://a.example:8080/"),
    (".example:8080", "ws://a.example:8080/"),
    ("fa\u00df.example", "ws://xn--fa-hia.example/"),
    ("xn--fa-hia.example", "ws://fa\u00df.example/"),
    ("my_service", "ws://my_service/"),
    # A list
    ("b.example, a.example", "ws://a.example/"),
    ("b.example a.example", "ws://a.example/"),
    (",, a.example ,", "ws://a.example/"),
    ("*", "ws://a.example/"),
    ("b.example,*", "ws://[::1]/"),
]


WITH_A_PROXY = [
    ("::1", "ws://[::2]/"),
    ("[::1]:81", "ws://[::1]/"),
    ("127.0.0.1:80", "wss://127.0.0.1/"),
    ("127.0.0.1", "ws://127.0.0.11/"),
    ("::127.0.0.1", "ws://127.0.0.1/"),
    # The end of an address is no domain.
    ("0.0.1", "ws://127.0.0.1/"),
    (".0.0.1", "ws://127.0.0.1/"),
    ("1", "ws://127.0.0.1/"),
    ("10.0.0.0/8", "ws://11.1.2.3/"),
    ("10.0.0.0/8", "ws://a.example/"),
    ("0.0.0.0/0", "ws://[::1]/"),
    ("::/0", "ws://127.0.0.1/"),
    ("fd00::/8", "ws://[fe00::1]/"),
    ("::1", "ws://a.example/"),
    ("a.example:81", "ws://a.example/"),
    ("a.example:80", "wss://a.example/"),
    ("a.example", "ws://ba.example/"),
    ("a.example", "ws://example/"),
    ("b.a.example", "ws://a.example/"),
    ("fass.example", "ws://fa\u00df.example/"),
    # What names nothing
    ("", "ws://a.example/"),
    (".", "ws://a.example/"),
    ("*.", "ws://a.example/"),
    (":80", "ws://a.example/"),
    ("a.example:x", "ws://a.example/"),
    ("http://a.example", "ws://a.example/"),
    ("10.0.0.0/99", "ws://10.1.2.3/"),
    ("a..example", "ws://a.example/"),
    ("\u200d", "ws://a.example/"),
]


@pytest.mark.parametrize(
    ("table", "proxy"),
    [(ADDRESSES, None), (NAMES, None), (WITH_A_PROXY, "http://proxy.example:3128")],
    ids=["addresses", "names", "with a proxy"],
)
async def test_who_goes_without(
    table: list[tuple[str, str]], proxy: str | None, named: Named, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("http_proxy", "https_proxy"):
        monkeypatch.setenv(name, "http://proxy.example:3128")
    for no_proxy, url in table:
        monkeypatch.setenv("no_proxy", no_proxy)
        assert (no_proxy, url, await named(url)) == (no_proxy, url, proxy)


async def test_the_environment(
    named: Named, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """It is asked only when told to, and for each place of its own."""
    with use_framing_mode("rfc6455"):
        async with serving() as server, tinyproxy(tmp_path, user=USER) as port:
            url = f"ws://localhost:{server.port}/"
            monkeypatch.setenv("http_proxy", f"{':'.join(USER)}@127.0.0.1:{port}")
            trio.socket.set_custom_hostname_resolver(NoNames())
            await echo_once(url, proxy="environment")
            monkeypatch.setenv("http_proxy", "http://127.0.0.1:1")
            with pytest.raises(ProxyFailed, match=r"the proxy http://127\.0\.0\.1:1 cannot"):
                await echo_once(url, proxy="environment")
            monkeypatch.setenv("no_proxy", "localhost")
            with pytest.raises(AssertionError, match="somebody asks for"):
                await echo_once(url, proxy="environment")
            trio.socket.set_custom_hostname_resolver(None)
            await echo_once(url, proxy="environment")
            await echo_once(url)
