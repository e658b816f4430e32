"""Published examples, and conversations recorded from Racket's net/websocket."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path
from types import ModuleType
from typing import Any, TypeAlias

import attrs
import pytest

from trio_draftws.drafts import (
    DRAFTS,
    Close,
    Draft,
    Event,
    HandshakeRequest,
    Headers,
    InvalidAnswer,
    Reject,
    Request,
    Response,
    Role,
    WebSocketURL,
    draft_named,
    find_head_end,
)

from . import test_compressor, test_deflate, test_frame_codec, test_opening_hybi
from .helpers import (
    KEYS,
    ROLES,
    UPGRADE,
    Outcome,
    decoded,
    encoded,
    get,
    identify,
    in_turn,
    naming,
    pairs,
    with_fields,
)
from .test_split import TEXT_ONLY

Vector: TypeAlias = dict[str, Any]

DATA = Path(__file__).parent.parent / "vectors"
VECTORS: dict[str, list[Vector]] = json.loads((DATA / "drafts.json").read_text("utf-8"))
RECORDINGS: list[Vector] = [
    json.loads(line)
    for line in (DATA / "racket-net-websocket.jsonl").read_text("utf-8").splitlines()
]

# Every row, with the name that it is found by. One alias stands for a row of its own: clients of
# hybi-03 announce themselves by another number.
ROWS: dict[Draft, str] = {}
for _row in DRAFTS:
    for _name in (_row.name, *_row.aliases):
        ROWS.setdefault(draft_named(_name), _name)
# The others' vectors are in `test_opening_hybi`, `test_frame_codec` and `test_deflate`.
OPENED_HERE = [row for row in ROWS if row.version is None]
FRAMED_HERE = [row for row in ROWS if row in TEXT_ONLY]
KEY_FIELDS = ("Sec-WebSocket-Key1", "Sec-WebSocket-Key2")
HIXIE_76 = draft_named("hixie-76")
# What the file says of itself
NO_VECTORS = ("meta",)
# Read, but never written like this.
NOT_WRITTEN = {"sentinel-bad-utf8", "sentinel-close-with-padded-zero-length"}


def speaks(draft: Draft, label: str) -> bool:
    """Whether a vector's label, as `hixie-75 and earlier`, names this row's wire."""
    label = label.lower().replace("rfc ", "rfc")
    first, dots, last = label.partition("..")
    for name in (draft.name, *draft.aliases):
        if label.startswith(name):
            return True
        series, _, month = name.partition("-")
        if dots and series == "whatwg" and label.startswith(series):
            return first.partition("-")[2][: len(month)] <= month <= last[: len(month)]
    return False


def speakers(vector: Vector) -> list[Draft]:
    """The rows that a vector is about, of those that are looked at here."""
    rows = OPENED_HERE if "handshake" in vector else FRAMED_HERE
    return [draft for draft in rows if any(speaks(draft, label) for label in vector["versions"])]


def each_row(vectors: Iterable[Vector]) -> list[Any]:
    """A parameter set for each vector and each row that it is about."""
    return [
        pytest.param(vector, draft, id=f"{vector['id']}-{ROWS[draft]}")
        for vector in vectors
        for draft in speakers(vector)
    ]


def with_heads(vectors: Iterable[Vector]) -> list[Vector]:
    return [vector for vector in vectors if vector.get("request_hex")]


def with_keys(vectors: Iterable[Vector]) -> list[Vector]:
    return [vector for vector in vectors if "key1" in (vector["challenge"] or {})]


def split_head(data_hex: str) -> tuple[bytes, bytes]:
    """A head, and the bytes of the handshake behind it."""
    data = bytes.fromhex(data_hex)
    end = find_head_end(bytearray(data), 0)
    return data[:end], data[end:]


def wish(request: Request) -> HandshakeRequest:
    """What a client asks for that sends `request`."""
    return HandshakeRequest(
        url=WebSocketURL.parse(f"ws://{request.host}{request.target}"),
        origin=request.origin,
        subprotocols=request.subprotocols,
    )


def client_like(request: Request, body: bytes) -> Any:
    """The client that sends exactly this request."""
    draft = request.draft
    assert draft is not None
    client: Any = draft.opening.ask(wish(request), draft.subprotocols)
    if draft.opening.request_body:
        key1, key2 = (request.headers.get_raw(name)[0] for name in KEY_FIELDS)
        return attrs.evolve(client, key1=key1, key2=key2, key3=body)
    return client


HANDSHAKES = VECTORS["handshakes"]
FRAMES = VECTORS["frames"]
SPOKEN_HANDSHAKES = [vector for vector in HANDSHAKES if speakers(vector)]


def claimed_by(module: ModuleType) -> set[str]:
    """The vectors that the tests of a module are parametrized with."""

    def ids_in(value: object) -> Iterator[str]:
        if isinstance(value, dict):
            yield value.get("id", "")
        elif isinstance(value, tuple):  # pytest.param is one too
            for part in value:
                yield from ids_in(part)

    marks = [mark for test in vars(module).values() for mark in getattr(test, "pytestmark", ())]
    rows = [row for mark in marks if mark.name == "parametrize" for row in mark.args[1]]
    return {vector_id for row in rows for vector_id in ids_in(row)}


def test_every_vector_is_claimed() -> None:
    """Each is a test's parameter, here or where its draft is looked at."""
    kinds = [VECTORS[kind] for kind in VECTORS if kind not in NO_VECTORS]
    vectors = [vector["id"] for kind in kinds for vector in kind]
    assert len(vectors) == len(set(vectors))
    modules = (
        sys.modules[__name__],
        test_compressor,
        test_deflate,
        test_frame_codec,
        test_opening_hybi,
    )
    assert set(vectors) - set().union(*map(claimed_by, modules)) == set()


@pytest.mark.parametrize("draft", OPENED_HERE, ids=lambda draft: ROWS[draft])
def test_every_opening_has_vectors(draft: Draft) -> None:
    """No row goes without an example of its opening."""
    assert [vector for vector in HANDSHAKES if draft in speakers(vector)]


@pytest.mark.parametrize("draft", FRAMED_HERE, ids=lambda draft: ROWS[draft])
def test_every_framing_has_vectors(draft: Draft) -> None:
    """No row goes without an example of its frames."""
    assert [vector for vector in FRAMES if draft in speakers(vector)]


# Handshakes


def challenged(challenge: dict[str, str]) -> Any:
    """The server's side, which was asked with these keys."""
    keys = [challenge["key1"].encode(), challenge["key2"].encode()]
    request = with_fields(get(*UPGRADE), *zip(KEY_FIELDS, keys, strict=True))
    return HIXIE_76.opening.answer(request)


@pytest.mark.parametrize(
    "vector", with_keys(SPOKEN_HANDSHAKES), ids=lambda vector: str(vector["id"])
)
def test_challenge_is_answered(vector: Vector) -> None:
    """Keys and the eight bytes give the 16 bytes of the answer."""
    challenge = vector["challenge"]
    key3 = bytes.fromhex(challenge["key3_hex"])
    assert bytes.fromhex(challenge["response_hex"]) == challenged(challenge).prove(key3)


@pytest.mark.parametrize(
    "vector",
    [vector for vector in with_keys(SPOKEN_HANDSHAKES) if "number1" in vector["challenge"]],
    ids=lambda vector: str(vector["id"]),
)
def test_numbers_in_keys(vector: Vector) -> None:
    """Each key hides the number that the draft says."""
    challenge = vector["challenge"]
    server = challenged(challenge)
    assert (challenge["number1"], challenge["number2"]) == (server.number1, server.number2)


@pytest.mark.parametrize("vector", VECTORS["handshake_negatives"], ids=lambda v: str(v["id"]))
def test_key_that_hides_no_number(vector: Vector) -> None:
    """The server answers 400 and says which key it means."""
    request = get(*UPGRADE, f"Sec-WebSocket-Key1: {vector['key']}", KEYS[1])
    with pytest.raises(Reject, match=r"Sec-WebSocket-Key1 `[0-9 ]+`: ") as caught:
        HIXIE_76.opening.answer(request)
    assert caught.value.status == 400


@in_turn("mode", DRAFTS)
@pytest.mark.parametrize(
    "vector", with_heads(SPOKEN_HANDSHAKES), ids=lambda vector: str(vector["id"])
)
def test_identified_in_each_mode(vector: Vector, mode: Draft) -> None:
    """The mode decides where the request doesn't; without it, the oldest that it may be."""
    request = Request.parse(split_head(vector["request_hex"])[0])
    announced_by = set(speakers(vector)[0].announced_by)
    alike = [draft for draft in DRAFTS if announced_by & set(draft.announced_by)]
    assert (mode if mode in alike else alike[0]) is identify(request, mode, DRAFTS)


def announces_itself(vector: Vector, draft: Draft) -> bool:
    """Whether a client of this row says the number that is in the vector, or none like it."""
    request = Request.parse(split_head(vector["request_hex"])[0])
    number = getattr(draft.opening, "draft_number", None)
    return bool(number == request.headers.get("Sec-WebSocket-Draft"))


@pytest.mark.parametrize(
    ("vector", "draft"),
    [row for row in each_row(with_heads(HANDSHAKES)) if announces_itself(*row.values)],
)
def test_client_writes_the_request(vector: Vector, draft: Draft) -> None:
    """Our client, asking for the same with the same keys, sends the same fields and body."""
    raw_head, body = split_head(vector["request_hex"])
    request = attrs.evolve(Request.parse(raw_head), draft=draft)
    written = client_like(request, body).request()
    if vector["field_order_fixed"]:
        assert bytes.fromhex(vector["request_hex"]) == written
    our_head, our_body = split_head(written.hex())
    ours = Request.parse(our_head)
    expected = (request.line, pairs(request.headers), body)
    assert expected == (ours.line, pairs(ours.headers), our_body)


def our_answer(request: Request, body: bytes, subprotocol: str | None) -> tuple[Response, bytes]:
    """What our server answers."""
    assert request.draft is not None
    server = request.draft.opening.answer(request)
    assert len(body) == server.request_body
    answer, rest = split_head((server.accept(Headers(), subprotocol)[0] + server.prove(body)).hex())
    return Response.parse(answer), rest


@pytest.mark.parametrize(("vector", "draft"), each_row(with_heads(HANDSHAKES)))
def test_server_writes_the_answer(vector: Vector, draft: Draft) -> None:
    """Our server answers with the same status line, fields and 16 bytes."""
    raw_head, body = split_head(vector["request_hex"])
    request = attrs.evolve(Request.parse(raw_head), draft=draft)
    raw_answer, proof = split_head(vector["response_hex"])
    answer = Response.parse(raw_answer)
    agreed = answer.headers.get(draft.subprotocol_field)
    ours, our_proof = our_answer(request, body, agreed)
    expected = (answer.line, pairs(answer.headers), proof)
    assert expected == (ours.line, pairs(ours.headers), our_proof)


@pytest.mark.parametrize("vector", with_keys(SPOKEN_HANDSHAKES), ids=lambda v: str(v["id"]))
def test_server_answers_the_challenge(vector: Vector) -> None:
    """Keys that came in a head, spaces at their ends and all, get their 16 bytes."""
    challenge = vector["challenge"]
    keys = [f"{field}: {challenge[f'key{n}']}" for n, field in enumerate(KEY_FIELDS, 1)]
    for draft in speakers(vector):
        request = get(*UPGRADE, *keys, draft=draft)
        _, proof = our_answer(request, bytes.fromhex(challenge["key3_hex"]), None)
        assert bytes.fromhex(challenge["response_hex"]) == proof


@pytest.mark.parametrize(("vector", "draft"), each_row(with_heads(HANDSHAKES)))
def test_client_verifies_the_answer(vector: Vector, draft: Draft) -> None:
    """Our client takes the answer, and the subprotocol in it."""
    raw_head, body = split_head(vector["request_hex"])
    request = attrs.evolve(Request.parse(raw_head), draft=draft)
    raw_answer, proof = split_head(vector["response_hex"])
    answer = Response.parse(raw_answer)
    client = client_like(request, body)
    assert client.response_body == len(proof)
    agreed = answer.headers.get(draft.subprotocol_field)
    assert agreed == client.verify(answer, proof).subprotocol


PROVEN = [vector for vector in with_heads(HANDSHAKES) if len(split_head(vector["response_hex"])[1])]


@in_turn("position", range(16))
@pytest.mark.parametrize(("vector", "draft"), each_row(PROVEN))
def test_client_refuses_a_wrong_byte(vector: Vector, draft: Draft, position: int) -> None:
    """Each of the 16 bytes counts."""
    raw_head, body = split_head(vector["request_hex"])
    request = attrs.evolve(Request.parse(raw_head), draft=draft)
    raw_answer, proof = split_head(vector["response_hex"])
    wrong = bytearray(proof)
    wrong[position] ^= 0x01
    client = client_like(request, body)
    with pytest.raises(InvalidAnswer) as caught:
        client.verify(Response.parse(raw_answer), bytes(wrong))
    assert (proof, bytes(wrong)) == (caught.value.expected, caught.value.received)


# Frames


def wire(vector: Vector) -> bytes:
    """A frame's bytes; those that were left out stand as letters."""
    shown = bytes.fromhex(vector["hex"])
    return shown.ljust(vector.get("total_length", 0), b"x")


def events_of(vector: Vector) -> list[Event]:
    """What a vector says that its bytes mean."""
    meaning = vector["decoded"]
    if "sequence" in meaning:
        return [event for item in meaning["sequence"] for event in sequence_item(item)]
    if meaning["type"] == "text":
        return [meaning["text"] if "text" in meaning else "x" * meaning["length"]]
    return sequence_item(meaning["type"])


def sequence_item(item: str) -> list[Event]:
    """The events behind one word of a vector's sequence."""
    kind, _, text = item.partition(":")
    meanings: dict[str, list[Event]] = {"text": [text], "discard": [], "close": [Close()]}
    return meanings[kind]


@in_turn("role", ROLES)
@pytest.mark.parametrize(("vector", "draft"), each_row(FRAMES))
def test_frame_is_decoded(vector: Vector, draft: Draft, role: Role) -> None:
    """The bytes mean what the vector says."""
    assert Outcome(events_of(vector)) == decoded(draft, role, wire(vector))


def written(vectors: Iterable[Vector]) -> list[Vector]:
    """The vectors of single frames that we would write like this."""
    return [
        vector
        for vector in vectors
        if vector["decoded"].get("type", "discard") != "discard" and vector["id"] not in NOT_WRITTEN
    ]


@in_turn("role", ROLES)
@pytest.mark.parametrize(("vector", "draft"), each_row(written(FRAMES)))
def test_frame_is_encoded(vector: Vector, draft: Draft, role: Role) -> None:
    """What a row can say, it says with the vector's bytes."""
    assert wire(vector) == encoded(draft.codec(role, 0), *events_of(vector))


# Racket

HELLO = "h\u00e9llo \u65e5\u672c \U0001f600"
ECHOED: dict[str, list[Event]] = {
    "empty": [""],
    "ascii": ["hello"],
    "utf8": [HELLO],
    "len200": ["x" * 200],
    "len70000": ["x" * 70000],
    "two-messages": ["a", "b"],
    "sync-evt": ["hi"],
    "path-query-frag": ["hello"],
    "origin-headers": ["hello"],
}
SAID: dict[tuple[str, str], list[Event]] = {
    **{("c2s", case): [*messages, Close()] for case, messages in ECHOED.items()},
    **{("s2c", case): messages for case, messages in ECHOED.items()},
    ("c2s", "client-close"): [Close()],
    ("s2c", "client-close"): [],
    ("c2s", "server-close"): ["__close", "after-eof", "after-eof2"],
    ("s2c", "server-close"): [Close()],
    ("c2s", "server-handler-returns"): ["__return", Close()],
    ("s2c", "server-handler-returns"): [],
    ("c2s", "server-handler-raises"): ["__raise", Close()],
    ("s2c", "server-handler-raises"): [],
    ("c2s", "client-exit-no-close"): ["hello"],
    ("s2c", "client-exit-no-close"): ["hello"],
}


def said(row: Vector) -> list[Event]:
    """The events that one side's recorded frames mean."""
    events = SAID[row["direction"], row["case"]]
    # In this one conversation the client's close went out; in the old mode the stream was gone.
    late = (row["mode"], row["direction"], row["case"]) == ("new", "c2s", "server-close")
    return [*events, Close()] if late else events


each_mode = pytest.mark.parametrize("mode", sorted({row["mode"] for row in RECORDINGS}))


def recordings(mode: str, part: str, direction: str | None = None) -> list[Vector]:
    rows = [row for row in RECORDINGS if (row["mode"], row["part"]) == (mode, part)]
    return [row for row in rows if direction in (None, row["direction"])]


def other_side(row: Vector) -> Vector:
    """The server's half of a recorded opening, for the client's."""
    matching = {"direction": "s2c", "part": "handshake", "mode": row["mode"], "case": row["case"]}
    (found,) = (other for other in RECORDINGS if matching.items() <= other.items())
    return found


def whole(row: Vector) -> bytes:
    """Recorded bytes; a long run of `x` was left out of some."""
    if "hex" in row:
        return bytes.fromhex(row["hex"])
    begin, end = (bytes.fromhex(row[field]) for field in ("hex_prefix", "hex_suffix"))
    left_out = int(row["hex_length"]) - len(begin) - len(end)
    return begin + b"x" * left_out + end


def test_every_recording_is_expected() -> None:
    """The table above leaves out no recording."""
    assert set(SAID) == {(row["direction"], row["case"]) for row in RECORDINGS}


@each_mode
def test_racket_request_is_identified(mode: str) -> None:
    """In its mode, the request of Racket's client is of the draft that the mode names."""
    for row in recordings(mode, "handshake", "c2s"):
        with naming(case=row["case"]):
            request = Request.parse(split_head(row["hex"])[0])
            draft = draft_named(mode)
            assert draft is identify(request, draft, DRAFTS)


@each_mode
def test_racket_client_gets_its_answer(mode: str) -> None:
    """Our server answers as Racket's did; further fields of ours do no harm."""
    for row in recordings(mode, "handshake", "c2s"):
        with naming(case=row["case"]):
            raw_head, body = split_head(row["hex"])
            request = attrs.evolve(Request.parse(raw_head), draft=draft_named(mode))
            raw_answer, proof = split_head(other_side(row)["hex"])
            theirs = Response.parse(raw_answer)
            ours, our_proof = our_answer(request, body, None)
            assert (theirs.line, proof) == (ours.line, our_proof)
            assert set(pairs(theirs.headers)) <= set(pairs(ours.headers))


@each_mode
def test_racket_server_is_verified(mode: str) -> None:
    """Our client, had it sent that request, takes the answer of Racket's server."""
    for row in recordings(mode, "handshake", "c2s"):
        with naming(case=row["case"]):
            raw_head, body = split_head(row["hex"])
            request = attrs.evolve(Request.parse(raw_head), draft=draft_named(mode))
            raw_answer, proof = split_head(other_side(row)["hex"])
            asked_nothing = attrs.evolve(
                client_like(request, body), wanted=HandshakeRequest(wish(request).url)
            )
            assert asked_nothing.verify(Response.parse(raw_answer), proof).subprotocol is None


@each_mode
def test_racket_frames_are_decoded(mode: str) -> None:
    """Racket's messages arrive, whichever side sent them."""
    for row in recordings(mode, "frames"):
        with naming(case=row["case"], direction=row["direction"]):
            reader: Role = "server" if row["direction"] == "c2s" else "client"
            expected = Outcome(said(row))
            assert expected == decoded(draft_named(mode), reader, whole(row))


@each_mode
def test_racket_frames_are_encoded(mode: str) -> None:
    """We write the same messages with the same bytes."""
    for row in recordings(mode, "frames"):
        with naming(case=row["case"], direction=row["direction"]):
            writer: Role = "client" if row["direction"] == "c2s" else "server"
            codec = draft_named(mode).codec(writer, 0)
            assert whole(row) == encoded(codec, *said(row))
