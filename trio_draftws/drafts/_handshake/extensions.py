"""Sec-WebSocket-Extensions: offers, and the answer to them.

The grammar is that of RFC 6455 section 9.1. permessage-deflate and its parameters are those of
RFC 7692 section 7.1; x-webkit-deflate-frame is an older draft's, as Safari 6 to 14 spoke it.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from typing import TypeAlias

from trio_draftws.drafts._framing.compression import Backend, Compression, Deflate, Window

EXTENSIONS_FIELD = "Sec-WebSocket-Extensions"
PER_MESSAGE = "permessage-deflate"
# Clients use either name; the answer repeats it.
PER_FRAME = ("x-webkit-deflate-frame", "deflate-frame")

Parameters: TypeAlias = dict[str, str | None]
"""By name; None for a parameter without a value."""
Extension: TypeAlias = tuple[str, Parameters | None]
"""Its name, and its parameters; None if they are contradictory."""

# RFC 9110 section 5.6.2
_TOKEN = r"[!#$%&'*+\-.^_`|~0-9A-Za-z]+"
_NAME = re.compile(_TOKEN)
_PARAMETER = re.compile(
    rf'[ \t]*;[ \t]*({_TOKEN})(?:[ \t]*=[ \t]*(?:({_TOKEN})|"((?:[^"\\]|\\.)*)"))?'
)
_BETWEEN = re.compile(r"[ \t]*(?:,|$)")
# RFC 7692 section 7.1.2.1: no leading zeros
_BITS = re.compile(r"[89]|1[0-5]")

# The window if neither side asks for another
MOST_BITS = 15
# The window that a server asks of clients by default
ASKED_BITS = 12
# A server's own by default: isal takes the same memory for every window.
OWN_BITS: dict[Backend, int] = {"zlib": 13, "isal": MOST_BITS}


def parse(value: str) -> list[Extension]:
    """Parses the value of one field.

    Raises:
        ValueError: it breaks the grammar.
    """
    found: list[Extension] = []
    position = 0
    while position < len(value):
        # RFC 9110 section 5.6.1: a list may have empty members
        if value[position] in ", \t":
            position += 1
            continue
        name = _NAME.match(value, position)
        if name is None:
            raise ValueError(f"no name of an extension stands at character {position}")
        position = name.end()
        pairs: list[tuple[str, str | None]] = []
        while parameter := _PARAMETER.match(value, position):
            key, token, quoted = parameter.groups()
            pairs.append((key, token if quoted is None else re.sub(r"\\(.)", r"\1", quoted)))
            position = parameter.end()
        end = _BETWEEN.match(value, position)
        if end is None:
            raise ValueError(f"neither a parameter nor an end stands at character {position}")
        position = end.end()
        parameters = dict(pairs)
        # RFC 6455 section 9.1: a quoted value has to be a token without its quotes
        sound = all(text is None or _NAME.fullmatch(text) for text in parameters.values())
        found.append(
            (name[0].lower(), parameters if sound and len(parameters) == len(pairs) else None)
        )
    return found


def _write(name: str, parameters: Parameters) -> str:
    return "; ".join(
        (name, *(key if value is None else f"{key}={value}" for key, value in parameters.items()))
    )


def _window(parameters: Parameters, bits: str, no_takeover: str) -> Window:
    """Returns the window that two parameters, `bits` and `no_takeover`, describe.

    Raises:
        ValueError: one of them has an invalid value.
    """
    if parameters.get(no_takeover) is not None:
        raise ValueError(f"{no_takeover} has no value")
    size = parameters.get(bits, str(MOST_BITS))
    if size is None or not _BITS.fullmatch(size):
        raise ValueError(f"{bits} is 8 to 15")
    return Window(int(size), no_takeover not in parameters)


# The client's side


def write_offers(wanted: Compression) -> str:
    """Returns a client's offers."""
    parameters: Parameters = {}
    if wanted.server_no_context_takeover:
        parameters["server_no_context_takeover"] = None
    if wanted.client_no_context_takeover:
        parameters["client_no_context_takeover"] = None
    if wanted.server_max_window_bits is not None:
        parameters["server_max_window_bits"] = str(wanted.server_max_window_bits)
    bits = wanted.client_max_window_bits
    parameters["client_max_window_bits"] = None if bits is None else str(bits)
    offered = _write(PER_MESSAGE, parameters)
    if not wanted.webkit:
        return offered
    parameters = {}
    # In this extension each side says what the other has to do.
    if wanted.server_max_window_bits is not None:
        parameters["max_window_bits"] = str(wanted.server_max_window_bits)
    if wanted.server_no_context_takeover:
        parameters["no_context_takeover"] = None
    return f"{offered}, {_write(PER_FRAME[0], parameters)}"


def settle_answer(answer: Sequence[str], wanted: Compression | None) -> Deflate | None:
    """Returns what a server's answer to our offers settles; None if it accepts none.

    Raises:
        ValueError: the answer names what we did not offer, or breaks the extension's rules.
    """
    named = [extension for value in answer for extension in parse(value)]
    if not named:
        return None
    name, parameters = named[0]
    if len(named) > 1 or wanted is None:
        raise ValueError("it names what was not offered")
    if parameters is None:
        raise ValueError("its parameters contradict themselves")
    ours = Window(wanted.client_max_window_bits or MOST_BITS, not wanted.client_no_context_takeover)
    field = _write(name, parameters)
    if name == PER_MESSAGE:
        client = _window(parameters, "client_max_window_bits", "client_no_context_takeover")
        server = _window(parameters, "server_max_window_bits", "server_no_context_takeover")
        _check_known(parameters)
        # RFC 7692 sections 7.1.1.1 and 7.1.2.1: what was asked for has to be in the answer
        if server.takeover and wanted.server_no_context_takeover:
            raise ValueError("it leaves out server_no_context_takeover")
        if server.bits > (wanted.server_max_window_bits or MOST_BITS):
            raise ValueError("its server_max_window_bits is above what was asked for")
        return Deflate(field, _both(ours, client), server, wanted)
    if name == PER_FRAME[0] and wanted.webkit:
        client = _window(parameters, "max_window_bits", "no_context_takeover")
        server = Window(
            wanted.server_max_window_bits or MOST_BITS, not wanted.server_no_context_takeover
        )
        return Deflate(field, _both(ours, client), server, wanted, per_frame=True)
    raise ValueError("it names what was not offered")


def _both(one: Window, other: Window) -> Window:
    """Returns the largest window that both allow."""
    return Window(min(one.bits, other.bits), one.takeover and other.takeover)


def _check_known(parameters: Parameters) -> None:
    known = {
        f"{side}_{what}"
        for side in ("client", "server")
        for what in ("no_context_takeover", "max_window_bits")
    }
    if unknown := parameters.keys() - known:
        raise ValueError(f"it has no parameter {min(unknown)}")


# The server's side


def accept_offer(offered: Iterable[str], wanted: Compression) -> Deflate | None:
    """Accepts the first of a client's offers that can be accepted; returns None if none can.

    An offer that breaks the grammar or the extension's rules is declined, as RFC 7692 section 7.1
    says. So is one of an unknown extension.
    """
    for value in offered:
        try:
            extensions = parse(value)
        except ValueError:
            continue
        for name, parameters in extensions:
            if parameters is None:
                continue
            try:
                if name == PER_MESSAGE:
                    return _accept_per_message(parameters, wanted)
                if name in PER_FRAME and wanted.webkit:
                    return _accept_per_frame(name, parameters, wanted)
            except ValueError:
                continue
    return None


def _ours_on_a_server(wanted: Compression) -> Window:
    """Returns the window of a server's own compressor, which need not be in the answer."""
    return Window(
        wanted.server_max_window_bits or OWN_BITS[wanted.backend],
        not wanted.server_no_context_takeover,
    )


def _accept_per_message(parameters: Parameters, wanted: Compression) -> Deflate:
    _check_known(parameters)
    # RFC 7692 section 7.1.2.2: in an offer it may have no value
    may_ask = "client_max_window_bits" in parameters
    if may_ask and parameters["client_max_window_bits"] is None:
        parameters = {**parameters, "client_max_window_bits": str(MOST_BITS)}
    agreed = _both(
        Window(wanted.server_max_window_bits or MOST_BITS, not wanted.server_no_context_takeover),
        _window(parameters, "server_max_window_bits", "server_no_context_takeover"),
    )
    client = _window(parameters, "client_max_window_bits", "client_no_context_takeover")
    asked = Window(
        (wanted.client_max_window_bits or ASKED_BITS) if may_ask else MOST_BITS,
        not wanted.client_no_context_takeover,
    )
    client = _both(client, asked)
    # Some clients refuse an answer with parameters that they did not offer, although RFC 7692
    # section 7.1.2.1 allows them, or with a smaller window. So only settings lead to such answers.
    answer: Parameters = {}
    if not agreed.takeover:
        answer["server_no_context_takeover"] = None
    if not client.takeover:
        answer["client_no_context_takeover"] = None
    if agreed.bits < MOST_BITS or "server_max_window_bits" in parameters:
        answer["server_max_window_bits"] = str(agreed.bits)
    if may_ask and client.bits < MOST_BITS:
        answer["client_max_window_bits"] = str(client.bits)
    # Any inflater can read what was compressed with a smaller window than the one agreed on.
    server = _both(agreed, _ours_on_a_server(wanted))
    return Deflate(_write(PER_MESSAGE, answer), client, server, wanted)


def _accept_per_frame(name: str, parameters: Parameters, wanted: Compression) -> Deflate:
    # Unknown parameters are ignored. Those of a request are about what the server sends, those of
    # an answer about what the client sends.
    server = _both(
        _ours_on_a_server(wanted), _window(parameters, "max_window_bits", "no_context_takeover")
    )
    client = Window(
        wanted.client_max_window_bits or MOST_BITS, not wanted.client_no_context_takeover
    )
    answer: Parameters = {}
    if wanted.client_max_window_bits is not None:
        answer["max_window_bits"] = str(client.bits)
    if not client.takeover:
        answer["no_context_takeover"] = None
    return Deflate(_write(name, answer), client, server, wanted, per_frame=True)
