"""Heads of opening requests as clients of today send them."""

from __future__ import annotations

KEY = "dGhlIHNhbXBsZSBub25jZQ=="


def head(*lines: str) -> bytes:
    """A whole head of these lines."""
    return "".join(f"{line}\r\n" for line in (*lines, "")).encode("latin-1")


CHROME = head(
    "GET /chat?room=1 HTTP/1.1",
    "Host: localhost:8080",
    "Connection: Upgrade",
    "Pragma: no-cache",
    "Cache-Control: no-cache",
    "User-Agent: Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) "
    "Chrome/140.0.0.0 Safari/537.36",
    "Upgrade: websocket",
    "Origin: http://localhost:8080",
    "Sec-WebSocket-Version: 13",
    "Accept-Encoding: gzip, deflate, br, zstd",
    "Accept-Language: en-US,en;q=0.9,de;q=0.8",
    "Cookie: session=abcdef0123456789; theme=dark",
    f"Sec-WebSocket-Key: {KEY}",
    "Sec-WebSocket-Extensions: permessage-deflate; client_max_window_bits",
    "Sec-WebSocket-Protocol: chat, superchat",
)
FIREFOX = head(
    "GET / HTTP/1.1",
    "Host: example.com",
    "User-Agent: Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0",
    "Accept: */*",
    "Accept-Language: de,en-US;q=0.7,en;q=0.3",
    "Accept-Encoding: gzip, deflate, br, zstd",
    "Sec-WebSocket-Version: 13",
    "Origin: https://example.com",
    "Sec-WebSocket-Extensions: permessage-deflate",
    f"Sec-WebSocket-Key: {KEY}",
    "DNT: 1",
    "Connection: keep-alive, Upgrade",
    "Sec-Fetch-Dest: empty",
    "Sec-Fetch-Mode: websocket",
    "Sec-Fetch-Site: same-origin",
    "Pragma: no-cache",
    "Cache-Control: no-cache",
    "Upgrade: websocket",
)
SAFARI = head(
    "GET /socket HTTP/1.1",
    "Upgrade: websocket",
    "Sec-Fetch-Dest: websocket",
    "Cache-Control: no-cache",
    "Accept-Encoding: gzip, deflate",
    "Sec-Fetch-Mode: websocket",
    "Pragma: no-cache",
    "Accept: */*",
    "Sec-Fetch-Site: same-site",
    "Origin: null",
    "Host: [::1]:8080",
    f"Sec-WebSocket-Key: {KEY}",
    "Sec-WebSocket-Version: 13",
    "Sec-WebSocket-Extensions: permessage-deflate",
    "Accept-Language: en-GB,en;q=0.9",
    "User-Agent: Mozilla/5.0 (Macintosh) AppleWebKit/605.1.15 Version/18.5 Safari/605.1.15",
    "Connection: Upgrade",
)
WEBSOCKETS = head(
    "GET / HTTP/1.1",
    "Host: 127.0.0.1:8765",
    "Upgrade: websocket",
    "Connection: Upgrade",
    f"Sec-WebSocket-Key: {KEY}",
    "Sec-WebSocket-Version: 13",
    "Sec-WebSocket-Extensions: permessage-deflate; client_max_window_bits",
    "User-Agent: Python/3.13 websockets/15.0",
)
WS = head(
    "GET / HTTP/1.1",
    "Sec-WebSocket-Version: 13",
    f"Sec-WebSocket-Key: {KEY}",
    "Connection: Upgrade",
    "Upgrade: websocket",
    "Sec-WebSocket-Extensions: permessage-deflate; client_max_window_bits",
    "Host: localhost:8080",
)
AIOHTTP = head(
    "GET /ws HTTP/1.1",
    "Host: localhost:8080",
    "upgrade: websocket",
    "connection: Upgrade",
    "sec-websocket-version: 13",
    f"sec-websocket-key: {KEY}",
    "sec-websocket-extensions: permessage-deflate; client_max_window_bits=15",
    "Accept: */*",
    "Accept-Encoding: gzip, deflate",
    "User-Agent: Python/3.13 aiohttp/3.12",
)
# As nginx passes on what a browser sent
PROXIED = head(
    "GET /live HTTP/1.1",
    "Upgrade: websocket",
    "Connection: upgrade",
    "Host: app.example.com",
    "X-Forwarded-For: 192.0.2.7",
    "X-Forwarded-Proto: https",
    "X-Real-IP: 192.0.2.7",
    "Origin: https://app.example.com",
    "Sec-WebSocket-Version: 13",
    f"Sec-WebSocket-Key: {KEY}",
    "Cookie: a=1",
    "Cookie: b=2",
)
PLAIN = head(
    "GET / HTTP/1.1",
    "Host: localhost:80",
    "Upgrade: websocket",
    "Connection: Upgrade",
    f"Sec-WebSocket-Key: {KEY}",
    "Sec-WebSocket-Version: 13",
)

TODAYS = {
    "Chrome": CHROME,
    "Firefox": FIREFOX,
    "Safari": SAFARI,
    "websockets": WEBSOCKETS,
    "ws": WS,
    "aiohttp": AIOHTTP,
    "behind a proxy": PROXIED,
    "nothing more": PLAIN,
}
