"""What Sec-WebSocket-Extensions says, and what both sides make of it."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import attrs
import pytest
from hypothesis import given
from hypothesis import strategies as st

from trio_draftws.drafts import (
    Compression,
    Deflate,
    Headers,
    InvalidAnswer,
    Request,
    Response,
    Window,
)

from .helpers import get, in_turn
from .test_opening_hybi import ANSWER, ASKING, OF_13, answer, client

WEBKIT = Compression(webkit=True)
FIELD = "Sec-WebSocket-Extensions"


def in_fields(values: Iterable[str]) -> list[tuple[bytes, bytes]]:
    """A field for each value, whatever it is: nobody parses a head."""
    return [(FIELD.encode(), value.encode("latin-1")) for value in values]


def accept_offer(offers: Iterable[str], wanted: Compression) -> Deflate | None:
    """What a server makes of these offers, and says in its answer."""
    request = get(*ASKING)
    headers = Headers([*request.headers.raw, *in_fields(offers)])
    opening = OF_13.answer(attrs.evolve(request, headers=headers))
    head, negotiated = opening.accept(Headers(), None, wanted)
    deflate: Deflate | None = negotiated.deflate
    assert Response.parse(head).headers.get(FIELD) == (deflate and deflate.field)
    return deflate


def write_offers(wanted: Compression) -> str:
    """What a client offers."""
    return Request.parse(client(OF_13, compression=wanted).request()).headers[FIELD]


def settle_answer(values: Iterable[str], wanted: Compression | None) -> Deflate | None:
    """What a client makes of an answer with these fields.

    Raises:
        InvalidAnswer: it was not offered, or contradicts itself.
    """
    response = answer(*ANSWER)
    headers = Headers([*response.headers.raw, *in_fields(values)])
    opening = client(OF_13, compression=wanted)
    deflate: Deflate | None = opening.verify(attrs.evolve(response, headers=headers), b"").deflate
    return deflate


# Grammar


@pytest.mark.parametrize(
    ("value", "server"),
    [
        ("", None),
        (" , ,\t,", None),
        ("a", None),
        ("permessage-deflate", (13, True)),
        ("A, b,PerMessage-Deflate", (13, True)),
        ("permessage-deflate;server_no_context_takeover;server_max_window_bits=9", (9, False)),
        (' permessage-deflate ; server_max_window_bits = "9" ,c', (9, True)),
        (r'permessage-deflate; server_max_window_bits="\1\0"', (10, True)),
        (r'a; b="\", permessage-deflate"; c', None),
        ("a; b; b, permessage-deflate", (13, True)),
        ('a; b="1 0", permessage-deflate', (13, True)),
        ('permessage-deflate; server_max_window_bits="1 0"', None),
        ('permessage-deflate; server_max_window_bits="", permessage-deflate', (13, True)),
        ('permessage-deflate; server_no_context_takeover=""', None),
        ("permessage-deflate; server_max_window_bits=9;server_max_window_bits=9", None),
    ],
)
def test_offers_are_read(value: str, server: tuple[int, bool] | None) -> None:
    """Names in any case, empty places, values in quotes; what contradicts itself is no offer."""
    deflate = accept_offer([value], Compression())
    assert (deflate and attrs.astuple(deflate.server)) == server


@in_turn(
    "value",
    [
        "=",
        ";",
        "a;",
        "a b",
        "a; b=",
        'a; b="',
        'a; b="\\',
        "a; =1",
        "a;;b",
        "a=1",
        "é",
        '"a"',
        "a;b c",
    ],
)
def test_what_cannot_be_parsed(value: str) -> None:
    """A server has no use for it, nor for what stands before; a client says where it ends."""
    assert accept_offer([f"permessage-deflate, {value}"], Compression()) is None
    with pytest.raises(InvalidAnswer, match=r"at character \d+"):
        settle_answer([value], Compression())


@given(st.text(st.sampled_from('ab;,=" \\\t1é'), max_size=40))
def test_any_text(value: str) -> None:
    """It is parsed, or it is an answer that cannot be."""
    accepted = accept_offer([value], WEBKIT)
    try:
        settle_answer([value], WEBKIT)
    except InvalidAnswer:
        assert accepted is None


@in_turn("run", [" ", ";", 'a;b="', "a; ", "\\", ",", '"\\"'])
def test_long_runs_take_linear_time(run: str) -> None:
    """A head may have 16 KiB of them; the limit of the test's own time is the judge."""
    for value in (run * 20_000, "a" + run * 20_000, "a;b=" + run * 20_000 + "!"):
        assert accept_offer([value], WEBKIT) is None


# The client asks


@pytest.mark.parametrize(
    ("wanted", "offered"),
    [
        (Compression(), "permessage-deflate; client_max_window_bits"),
        (
            Compression(
                server_no_context_takeover=True,
                client_no_context_takeover=True,
                server_max_window_bits=8,
                client_max_window_bits=15,
            ),
            (
                "permessage-deflate; server_no_context_takeover; client_no_context_takeover; "
                "server_max_window_bits=8; client_max_window_bits=15"
            ),
        ),
        (WEBKIT, "permessage-deflate; client_max_window_bits, x-webkit-deflate-frame"),
        (
            Compression(webkit=True, server_max_window_bits=9, server_no_context_takeover=True),
            (
                "permessage-deflate; server_no_context_takeover; server_max_window_bits=9; "
                "client_max_window_bits, x-webkit-deflate-frame; max_window_bits=9; "
                "no_context_takeover"
            ),
        ),
    ],
)
def test_offers(wanted: Compression, offered: str) -> None:
    assert write_offers(wanted) == offered


@in_turn(
    ("settings", "error", "why"),
    [
        ({"server_max_window_bits": 7}, ValueError, "server_max_window_bits must be 8 to 15"),
        ({"client_max_window_bits": 16}, ValueError, "client_max_window_bits must be 8 to 15"),
        ({"level": -1}, ValueError, "level must be 0 to 9"),
        ({"mem_level": 0}, ValueError, "mem_level must be 1 to 9"),
        ({"threshold": -1}, ValueError, "threshold must be 0 to"),
        ({"level": "9"}, TypeError, "level must be an int, not str"),
        ({"mem_level": True}, TypeError, "mem_level must be an int, not bool"),
        ({"level": "6"}, TypeError, "level must be an int, not str"),
    ],
)
def test_settings_out_of_range(settings: dict[str, Any], error: type[Exception], why: str) -> None:
    with pytest.raises(error, match=why):
        Compression(**settings)


# The server answers

TAKEN = [
    # (settings, offer, answer, server's window, client's window)
    ({}, "permessage-deflate", "", (13, True), (15, True)),
    (
        {},
        "permessage-deflate; client_max_window_bits",
        "; client_max_window_bits=12",
        (13, True),
        (12, True),
    ),
    (
        {},
        "permessage-deflate; client_max_window_bits=15; server_max_window_bits=15",
        "; server_max_window_bits=15; client_max_window_bits=12",
        (13, True),
        (12, True),
    ),
    (
        {},
        "permessage-deflate; server_max_window_bits=13",
        "; server_max_window_bits=13",
        (13, True),
        (15, True),
    ),
    (
        {"server_max_window_bits": 12},
        "permessage-deflate",
        "; server_max_window_bits=12",
        (12, True),
        (15, True),
    ),
    (
        {"server_max_window_bits": 15, "client_max_window_bits": 15},
        "permessage-deflate; client_max_window_bits",
        "",
        (15, True),
        (15, True),
    ),
    (
        {"server_max_window_bits": 15},
        'permessage-deflate; server_max_window_bits="15"',
        "; server_max_window_bits=15",
        (15, True),
        (15, True),
    ),
    (
        {},
        "permessage-deflate; server_max_window_bits=8; client_max_window_bits=9",
        "; server_max_window_bits=8; client_max_window_bits=9",
        (8, True),
        (9, True),
    ),
    (
        {"server_max_window_bits": 10},
        "permessage-deflate; server_no_context_takeover; client_no_context_takeover",
        "; server_no_context_takeover; client_no_context_takeover; server_max_window_bits=10",
        (10, False),
        (15, False),
    ),
    (
        {
            "server_no_context_takeover": True,
            "client_no_context_takeover": True,
            "server_max_window_bits": 15,
        },
        "permessage-deflate",
        "; server_no_context_takeover; client_no_context_takeover",
        (15, False),
        (15, False),
    ),
]


@pytest.mark.parametrize(("settings", "offer", "answer", "server", "client"), TAKEN)
def test_an_offer_that_is_taken(
    settings: dict[str, Any],
    offer: str,
    answer: str,
    server: tuple[int, bool],
    client: tuple[int, bool],
) -> None:
    wanted = Compression(**settings)
    deflate = accept_offer([offer], wanted)
    assert deflate is not None
    assert deflate.field == "permessage-deflate" + answer
    assert (deflate.server, deflate.client) == (Window(*server), Window(*client))
    assert deflate.settings == wanted
    assert not deflate.per_frame


@given(
    st.fixed_dictionaries(
        {},
        optional={
            "server_no_context_takeover": st.none(),
            "client_no_context_takeover": st.none(),
            "server_max_window_bits": st.integers(8, 15),
            "client_max_window_bits": st.none() | st.integers(8, 15),
        },
    )
)
def test_the_answer_names_nothing_that_was_not_offered(offered: dict[str, int | None]) -> None:
    """nhooyr.io/websocket 1.8 and Netty 4.1.48 refuse one that does. What the client asks the
    server to do comes back as it was asked, which Netty insists on.
    """
    wanted = {key: value if value is None else str(value) for key, value in offered.items()}
    offer = "; ".join(
        ["permessage-deflate", *(k if v is None else f"{k}={v}" for k, v in wanted.items())]
    )
    deflate = accept_offer([offer], Compression())
    assert deflate is not None
    name, *parameters = deflate.field.split("; ")
    assert name == "permessage-deflate"
    pairs = [parameter.partition("=") for parameter in parameters]
    answer = {key: value if equals else None for key, equals, value in pairs}
    assert len(answer) == len(parameters)
    assert answer.keys() <= offered.keys()
    for name in ("server_no_context_takeover", "server_max_window_bits"):
        assert (name in answer, answer.get(name)) == (name in wanted, wanted.get(name))
    assert deflate.server.bits <= 13


BROKEN = [
    "permessage-deflate; server_max_window_bits",
    "permessage-deflate; server_max_window_bits=7",
    "permessage-deflate; server_max_window_bits=16",
    "permessage-deflate; server_max_window_bits=08",
    "permessage-deflate; server_max_window_bits=10; server_max_window_bits=10",
    "permessage-deflate; client_max_window_bits=7",
    "permessage-deflate; client_max_window_bits=x",
    "permessage-deflate; server_no_context_takeover=1",
    "permessage-deflate; client_no_context_takeover=true",
    "permessage-deflate; unknown",
    "permessage-deflate; unknown=1",
    "permessage-deflate; no_context_takeover",
]


@in_turn("offer", BROKEN)
def test_an_offer_that_is_declined(offer: str) -> None:
    """The next one has its turn."""
    assert accept_offer([offer], Compression()) is None
    deflate = accept_offer([f"{offer}, permessage-deflate"], Compression())
    assert deflate is not None
    deflate = accept_offer([offer, "permessage-deflate; server_max_window_bits=9"], Compression())
    assert deflate is not None
    assert deflate.server.bits == 9


@in_turn(
    "offers",
    [
        [],
        [""],
        ["deflate-stream"],
        ["x-webkit-deflate-frame"],
        ["permessage-deflate;"],
        ["bogus;;"],
    ],
)
def test_nothing_that_is_known(offers: list[str]) -> None:
    assert accept_offer(offers, Compression()) is None


def test_a_field_that_is_broken_spoils_no_other() -> None:
    assert accept_offer(["permessage-deflate;;", "permessage-deflate"], Compression()) is not None


@pytest.mark.parametrize("name", ["x-webkit-deflate-frame", "deflate-frame"])
def test_webkit(name: str) -> None:
    """A request's parameters are about what the server sends, an answer's about the client."""
    offer = f"{name}; max_window_bits=9; no_context_takeover; whatever"
    wanted = Compression(webkit=True, client_max_window_bits=10, client_no_context_takeover=True)
    deflate = accept_offer([offer], wanted)
    assert deflate is not None
    assert deflate.field == f"{name}; max_window_bits=10; no_context_takeover"
    assert deflate.per_frame
    assert (deflate.server, deflate.client) == (Window(9, False), Window(10, False))
    plain = accept_offer([name], WEBKIT)
    assert plain is not None
    assert plain.field == name
    assert (plain.server, plain.client) == (Window(13, True), Window(15, True))
    assert accept_offer([f"{name}; max_window_bits=99"], WEBKIT) is None


# The client reads the answer


@pytest.mark.parametrize(
    ("settings", "answer", "server", "client"),
    [
        ({}, "permessage-deflate", (15, True), (15, True)),
        (
            {},
            (
                "permessage-deflate; server_no_context_takeover; client_no_context_takeover; "
                "server_max_window_bits=9; client_max_window_bits=10"
            ),
            (9, False),
            (10, False),
        ),
        ({"client_max_window_bits": 9}, "permessage-deflate", (15, True), (9, True)),
        (
            {"client_max_window_bits": 9},
            "permessage-deflate; client_max_window_bits=12",
            (15, True),
            (9, True),
        ),
        ({"client_no_context_takeover": True}, "permessage-deflate", (15, True), (15, False)),
        (
            {"server_max_window_bits": 12},
            "permessage-deflate; server_max_window_bits=11",
            (11, True),
            (15, True),
        ),
    ],
)
def test_an_answer(
    settings: dict[str, Any], answer: str, server: tuple[int, bool], client: tuple[int, bool]
) -> None:
    deflate = settle_answer([answer], Compression(**settings))
    assert deflate is not None
    assert deflate.field == answer
    assert (deflate.server, deflate.client) == (Window(*server), Window(*client))


@in_turn("answer", [[], [""], [" , "]])
def test_an_answer_that_takes_nothing(answer: list[str]) -> None:
    """Old libwebsockets sends the field with nothing in it."""
    assert settle_answer(answer, Compression()) is None
    assert settle_answer(answer, None) is None


@in_turn(
    ("settings", "answer", "why"),
    [
        ({}, "x-webkit-deflate-frame", "not offered"),
        ({}, "deflate-stream", "not offered"),
        ({}, "permessage-deflate, permessage-deflate", "not offered"),
        ({}, "permessage-deflate;;", "at character"),
        ({}, "permessage-deflate; client_max_window_bits", "client_max_window_bits is 8 to 15"),
        ({}, "permessage-deflate; unknown", "no parameter unknown"),
        (
            {},
            "permessage-deflate; server_no_context_takeover; server_no_context_takeover",
            "contradict themselves",
        ),
        ({"server_no_context_takeover": True}, "permessage-deflate", "leaves out"),
        ({"server_max_window_bits": 12}, "permessage-deflate", "above what was asked for"),
        (
            {"server_max_window_bits": 12},
            "permessage-deflate; server_max_window_bits=13",
            "above what was asked for",
        ),
        ({"webkit": True}, "deflate-frame", "not offered"),
        ({"webkit": True}, "x-webkit-deflate-frame; max_window_bits", "max_window_bits is 8 to 15"),
    ],
)
def test_an_answer_that_cannot_be(settings: dict[str, Any], answer: str, why: str) -> None:
    with pytest.raises(InvalidAnswer, match=why):
        settle_answer([answer], Compression(**settings))


@in_turn("broken", BROKEN)
def test_an_answer_is_held_to_the_same_rules(broken: str) -> None:
    with pytest.raises(InvalidAnswer, match=r"^the Sec-WebSocket-Extensions field: "):
        settle_answer([broken], Compression())


def test_the_answer_of_webkit() -> None:
    wanted = Compression(webkit=True, server_max_window_bits=9, server_no_context_takeover=True)
    answer = "x-webkit-deflate-frame; max_window_bits=10; no_context_takeover; whatever=1"
    deflate = settle_answer([answer], wanted)
    assert deflate is not None
    assert (deflate.server, deflate.client) == (Window(9, False), Window(10, False))
    assert deflate.per_frame


compressions = st.builds(
    Compression,
    server_no_context_takeover=st.booleans(),
    client_no_context_takeover=st.booleans(),
    server_max_window_bits=st.none() | st.integers(8, 15),
    client_max_window_bits=st.none() | st.integers(8, 15),
    webkit=st.booleans(),
)


@given(compressions, compressions, st.booleans())
def test_both_sides_settle_on_the_same(
    client: Compression, server: Compression, webkit_alone: bool
) -> None:
    """Or the receiver allows for more than the sender will use, never for less."""
    offered = write_offers(client)
    if webkit_alone and client.webkit:
        offered = offered.rpartition(", ")[2]
    ours = accept_offer([offered], server)
    if ours is None:
        assert webkit_alone
        assert not server.webkit
        return
    theirs = settle_answer([ours.field], client)
    assert theirs is not None
    assert theirs.per_frame is ours.per_frame
    for sender, receiver in ((theirs.client, ours.client), (ours.server, theirs.server)):
        assert sender.bits <= receiver.bits
        assert sender.takeover <= receiver.takeover
