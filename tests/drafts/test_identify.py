"""Which draft a request speaks, and what is answered where it is none of ours."""

from __future__ import annotations

import ast
import copy
import pickle
from pathlib import Path
from typing import Any

import attrs
import pytest

import trio_draftws.drafts
from trio_draftws.drafts import (
    DRAFTS,
    Draft,
    Headers,
    Reject,
    Request,
    allowed_drafts,
    auto_drafts,
    draft_named,
)

from .helpers import KEYS, UPGRADE, get, head, identify, in_turn

UNPROVEN = draft_named("hixie-75")
OLD = draft_named("old")
NEW = draft_named("new")
# Those whose requests are of two kinds only.
EARLY = (UNPROVEN, OLD, NEW)
HYBI_01 = draft_named("hybi-01")
HYBI_02 = draft_named("hybi-02")
EIGHT = draft_named("hybi-08")
EIGHT_TOO = draft_named("hybi-11")
RFC = draft_named("rfc6455")
OWN = attrs.evolve(RFC, name="test-99", aliases=(), version=99, announced_by=("version 99",))
KEY = "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ=="


def refusal(request: Request, drafts: tuple[Draft, ...] = EARLY, mode: Draft = OLD) -> Reject:
    """What `identify` refuses a request with."""
    with pytest.raises(Reject) as caught:
        identify(request, mode, drafts)
    return caught.value


# Requests that are told apart


@in_turn("mode", DRAFTS)
def test_upgrade_alone(mode: Draft) -> None:
    """Upgrade and Connection with neither key nor version are hixie-75, in every mode."""
    assert UNPROVEN is identify(get(*UPGRADE), mode, DRAFTS)


@pytest.mark.parametrize(
    "fields",
    [
        ("UPGRADE: websocket", "CONNECTION: keep-alive, upgrade"),
        ("Upgrade: foo, WEBSOCKET", "Connection: Keep-Alive", "Connection: Upgrade"),
    ],
)
def test_upgrade_without_regard_to_case(fields: tuple[str, ...]) -> None:
    """Both fields are lists of tokens that have no case."""
    assert UNPROVEN is identify(get(*fields), OLD, DRAFTS)


@in_turn(
    ("mode", "expected"),
    [(OLD, OLD), (NEW, NEW), (HYBI_01, HYBI_01), (UNPROVEN, OLD), (HYBI_02, OLD), (RFC, OLD)],
)
def test_keys(mode: Draft, expected: Draft) -> None:
    """The mode decides between the drafts with two keys; a mode without keys leaves the oldest."""
    assert expected is identify(get(*UPGRADE, *KEYS), mode, DRAFTS)


@in_turn("mode", DRAFTS)
@in_turn("number", ["0", "00", " 0 "])
def test_draft_0(mode: Draft, number: str) -> None:
    """`Sec-WebSocket-Draft: 0` is hixie-76, whatever the mode."""
    request = get(*UPGRADE, *KEYS, f"Sec-WebSocket-Draft: {number}")
    assert OLD is identify(request, mode, DRAFTS)


@in_turn("mode", DRAFTS)
@in_turn("number", ["1", "2", "3", "76"])
def test_draft_1_and_more(number: str, mode: Draft) -> None:
    """It is hybi-02, whatever the mode; where that is switched off, no earlier draft."""
    request = get(*UPGRADE, *KEYS, f"Sec-WebSocket-Draft: {number}")
    assert HYBI_02 is identify(request, mode, DRAFTS)
    others = tuple(draft for draft in DRAFTS if draft is not HYBI_02)
    assert refusal(request, others, mode).status == 426


@in_turn("value", ["x", "", "-1", "1.0", "+0", "0x0", "\u00b2", "1" * 10])
def test_draft_that_is_no_number(value: str) -> None:
    """It is refused with 400."""
    request = get(*UPGRADE, *KEYS, f"Sec-WebSocket-Draft: {value}")
    assert (
        refusal(request).status,
        refusal(request).body,
    ) == (400, b"Expected one number in Sec-WebSocket-Draft.\n")


def test_repeated_draft() -> None:
    """Two numbers are not one."""
    request = get(*UPGRADE, *KEYS, "Sec-WebSocket-Draft: 0", "Sec-WebSocket-Draft: 2")
    assert refusal(request).status == 400


def test_draft_without_keys() -> None:
    """Without keys the field means nothing."""
    assert UNPROVEN is identify(get(*UPGRADE, "Sec-WebSocket-Draft: x"), OLD, DRAFTS)


@pytest.mark.parametrize("key", KEYS)
def test_one_key_alone(key: str) -> None:
    """The two keys belong together, so one of them is refused with 400."""
    refused = refusal(get(*UPGRADE, key))
    assert (refused.status, refused.body[-23:-2]) == (400, b"only one of them came")


@in_turn("fields", [(), KEYS, (KEY,), (KEYS[0],)])
def test_version(fields: tuple[str, ...]) -> None:
    """The version decides before anything else does."""
    request = get(*UPGRADE, *fields, "Sec-WebSocket-Version: 13")
    assert RFC is identify(request, OLD, DRAFTS)


@in_turn("mode", DRAFTS)
@pytest.mark.parametrize(
    ("number", "name"),
    [(4, "hybi-04"), (5, "hybi-05"), (6, "hybi-06"), (7, "hybi-07"), (13, "rfc6455")],
)
def test_each_version(number: int, name: str, mode: Draft) -> None:
    """The number names its draft, whatever the mode and whichever field names the origin."""
    for origin in ((), ("Origin: http://o",), ("Sec-WebSocket-Origin: http://o",)):
        request = get(*UPGRADE, KEY, f"Sec-WebSocket-Version: {number}", *origin)
        assert draft_named(name) is identify(request, mode, DRAFTS)


@in_turn("mode", DRAFTS)
def test_version_8(mode: Draft) -> None:
    """Two drafts have it; the field of the origin tells them apart, and where none does, the mode.

    A server that speaks only one of them takes either for that one.
    """
    eight = (*UPGRADE, KEY, "Sec-WebSocket-Version: 8")
    old_field, new_field = "Sec-WebSocket-Origin: http://o", "Origin: http://o"
    assert EIGHT is identify(get(*eight, old_field), mode, DRAFTS)
    assert EIGHT_TOO is identify(get(*eight, new_field), mode, DRAFTS)
    undecided = mode if mode in (EIGHT, EIGHT_TOO) else EIGHT
    for fields in ((), (old_field, new_field)):
        assert undecided is identify(get(*eight, *fields), mode, DRAFTS)
    for only in (EIGHT, EIGHT_TOO):
        for field in (old_field, new_field):
            assert only is identify(get(*eight, field), mode, (OLD, only, RFC))


@in_turn("number", ["0", "3", "9", "12", "14", "255", "999999999"])
def test_version_without_row(number: str) -> None:
    """A version that no draft has is refused with 426, as is one that is switched off."""
    request = get(*UPGRADE, KEY, f"Sec-WebSocket-Version: {number}")
    refused = refusal(request, DRAFTS)
    assert refused.status == 426
    assert refused.headers["Sec-WebSocket-Version"] == "13, 8, 7, 6, 5, 4"
    assert refusal(get(*UPGRADE, KEY, "Sec-WebSocket-Version: 13")).status == 426


@in_turn(
    "value",
    ["", "x", "13, 8", "13, 13", "13;", "-13", "+13", "1.3", "013", "00", "\u00b9", "1" * 10],
)
def test_version_that_is_no_number(value: str) -> None:
    """It is refused with 400."""
    refused = refusal(get(*UPGRADE, f"Sec-WebSocket-Version: {value}"), (*EARLY, RFC))
    assert (
        refused.status,
        refused.body,
    ) == (400, b"Expected one number in Sec-WebSocket-Version.\n")


def test_different_versions() -> None:
    """A request of two versions is refused with 400, also where they are the same one."""
    thirteen, eight = (f"Sec-WebSocket-Version: {number}" for number in (13, 8))
    for other in (thirteen, eight):
        assert refusal(get(*UPGRADE, thirteen, other), (RFC, EIGHT)).status == 400


# Requests that are checked as HTTP is today, and those that are not

WITH_A_NUMBER = [draft for draft in DRAFTS if draft.version is not None]
BEFORE = [draft for draft in DRAFTS if draft.version is None]
NO_PATH = b"Expected a path that begins with a slash."
NO_URL = b"Expected a path, or a URL of http, https, ws or wss."
NOT_ESCAPED = b"Expected a path with spaces and all beyond ASCII escaped."
NO_HOST = b"Expected one host, perhaps with a port."
BAD_TARGETS = [
    (b"/a b", NOT_ESCAPED),
    (b"/a ", NOT_ESCAPED),
    (b"/a  b", NOT_ESCAPED),
    (b"/\xc3\xa9", NOT_ESCAPED),
    (b"/?\xff", NOT_ESCAPED),
    (b"http://a/\xc3\xa9", NOT_ESCAPED),
    (b" /", NO_PATH),
    (b"*", NO_PATH),
    (b"a", NO_PATH),
    (b"?a", NO_PATH),
    (b"example.com:80", NO_PATH),
    (b"http:/a", NO_PATH),
    (b"mailto:a@example.com", NO_PATH),
    (b"ftp://example.com/", NO_URL),
    (b"xhttp://example.com/", NO_URL),
    (b"://example.com/", NO_URL),
    (b"*?://example.com/", NO_URL),
    (b"http:///a", NO_URL),
    (b"http://?a", NO_URL),
    (b"http://", NO_HOST),
    (b"http://a@example.com/", NO_HOST),
    (b"http://a, b/", NOT_ESCAPED),
    (b"http://a,b/", NO_HOST),
    (b"http://a:b/", NO_HOST),
    (b"http://:80/", NO_HOST),
    (b"http://[::1/", NO_HOST),
]
BAD_HOSTS = ["", "a, b", "a,b", "a b", "a/b", "a@b", "http://a", ":80", "a:b", "a:80:80", "\xe9"]
BAD_HOSTS += ["::1", "[::1", "[]", "[a]b", "a:123456", '"a"', "a?", "a#", "a\\b"]


def asks(draft: Draft, target: bytes, *hosts: str) -> Request:
    """A request of that draft, for this target at these hosts."""
    number = {"draft 0": "0", "draft 1+": "2"}.get(draft.announced_by[-1])
    fields = [f"Sec-WebSocket-Draft: {number}"] * (number is not None)
    if draft.version is not None:
        fields = [KEY, f"Sec-WebSocket-Version: {draft.version}", f"{draft.origin_fields[0]}: o"]
    elif "upgrade" not in draft.announced_by:
        fields += KEYS
    named = [f"Host: {host}" for host in hosts]
    return Request.parse(head(b"GET %b HTTP/1.1" % target, *UPGRADE[:2], *named, *fields))


@pytest.mark.parametrize("draft", WITH_A_NUMBER, ids=repr)
@in_turn(("target", "why"), BAD_TARGETS)
def test_a_target_that_none_is(draft: Draft, target: bytes, why: bytes) -> None:
    """From hybi-04 on it is refused with 400, as h11 and others do."""
    refused = refusal(asks(draft, target, "example.com"), DRAFTS, draft)
    assert (refused.status, refused.body) == (400, why + b"\n")


@pytest.mark.parametrize("draft", WITH_A_NUMBER, ids=repr)
@in_turn("host", BAD_HOSTS)
def test_a_host_that_none_is(draft: Draft, host: str) -> None:
    refused = refusal(asks(draft, b"/", host), DRAFTS, draft)
    assert (refused.status, refused.body) == (400, NO_HOST + b"\n")


@pytest.mark.parametrize("draft", WITH_A_NUMBER, ids=repr)
@in_turn("target", [b"/", b"http://example.com/"])
@in_turn("hosts", [(), ("a", "a"), ("a", "b"), ("", "")])
def test_several_hosts_or_none(draft: Draft, target: bytes, hosts: tuple[str, ...]) -> None:
    """RFC 9112 section 3.2 wants one field, whatever the target says."""
    refused = refusal(asks(draft, target, *hosts), DRAFTS, draft)
    assert (refused.status, refused.body) == (400, b"Expected one Host field.\n")


@pytest.mark.parametrize("draft", BEFORE, ids=repr)
def test_before_there_were_numbers(draft: Draft) -> None:
    """Clients of 2010 escape nothing, and their requests are taken as they come."""
    for target in (target for target, _ in BAD_TARGETS):
        assert draft is identify(asks(draft, target, "example.com"), draft, DRAFTS)
    for host in BAD_HOSTS:
        assert draft is identify(asks(draft, b"/", host), draft, DRAFTS)
    request = asks(draft, b"/a b/\xc3\xa9", "example.com")
    draft.opening.answer(attrs.evolve(request, draft=draft))


@pytest.mark.parametrize("draft", WITH_A_NUMBER, ids=repr)
@in_turn(
    ("target", "host", "asked", "location"),
    [
        (b"/", "example.com", "example.com", "ws://example.com/"),
        (b"//a", "a_b.example:81", "a_b.example:81", "ws://a_b.example:81//a"),
        (b"/http://a/?b://c", "[::1]:80", "[::1]:80", "ws://[::1]:80/http://a/?b://c"),
        (b"/%20%C3%A9", "a.", "a.", "ws://a./%20%C3%A9"),
        (b"http://a/b?c", "not a host", "a", "ws://a/b?c"),
        (b"https://a:443", "b", "a:443", "ws://a:443/"),
        (b"WS://[::1]/", "", "[::1]", "ws://[::1]/"),
        (b"wss://a?b/c://d", "b, c", "a", "ws://a/?b/c://d"),
    ],
)
def test_what_is_taken(draft: Draft, target: bytes, host: str, asked: str, location: str) -> None:
    """Of a whole URL its host counts, and Host is ignored (RFC 9112 section 3.2.2)."""
    request = asks(draft, target, host)
    assert draft is identify(request, draft, DRAFTS)
    assert (request.host, request.location) == (asked, location)


@pytest.mark.parametrize("draft", WITH_A_NUMBER, ids=repr)
def test_several_origins(draft: Draft) -> None:
    """RFC 6454 section 7.3: a client names one."""
    request = asks(draft, b"/", "a")
    field = draft.origin_fields[0]
    twice = Request(request.line, Headers([*request.headers.raw, (field.encode(), b"o")]))
    refused = refusal(twice, DRAFTS, draft)
    assert (refused.status, refused.body) == (400, f"Expected one {field} field.\n".encode())


# Requests that are none of ours


@in_turn(
    "fields",
    [
        (),
        ("Host: example.com",),
        ("Upgrade: WebSocket",),
        ("Connection: Upgrade",),
        ("Upgrade: h2c", "Connection: Upgrade"),
        ("Upgrade: WebSocket", "Connection: close"),
        (*UPGRADE, KEY),
    ],
)
def test_426(fields: tuple[str, ...]) -> None:
    """A plain GET, and a key without version, are told what is spoken here."""
    refused = refusal(get(*fields))
    assert refused.status == 426
    assert refused.headers["Upgrade"] == "websocket"
    names = ", ".join(draft.name for draft in EARLY)
    expected = f"This is no WebSocket request; the drafts spoken here are: {names}.\n"
    assert expected == refused.body.decode()


def test_426_lists_only_what_this_server_speaks() -> None:
    """A draft that is switched off is not offered."""
    refused = refusal(get(*UPGRADE), (OLD,))
    expected = "That draft is not spoken here; the drafts spoken here are: hixie-76.\n"
    assert expected == refused.body.decode()


def test_426_without_versions() -> None:
    """Where no row has a number, none is told."""
    assert "Sec-WebSocket-Version" not in refusal(get()).headers


def test_426_with_versions() -> None:
    """The numbers that the rows have are told, each once, highest first."""
    for drafts, versions in (
        (DRAFTS, "13, 8, 7, 6, 5, 4"),
        ((*EARLY, EIGHT, EIGHT_TOO, RFC), "13, 8"),
        ((RFC,), "13"),
    ):
        assert versions == refusal(get(), drafts).headers["Sec-WebSocket-Version"]


@pytest.mark.parametrize(
    ("fields", "drafts"),
    [
        (UPGRADE, (OLD, NEW)),
        ((*UPGRADE, *KEYS), (UNPROVEN,)),
        ((*UPGRADE, *KEYS, "Sec-WebSocket-Draft: 0"), (UNPROVEN, NEW)),
        ((*UPGRADE, "Sec-WebSocket-Version: 13"), (EIGHT,)),
    ],
)
def test_drafts_that_are_switched_off(fields: tuple[str, ...], drafts: tuple[Draft, ...]) -> None:
    """A request of a draft that this server doesn't speak is not taken for another."""
    assert refusal(get(*fields), drafts).status == 426


@pytest.mark.parametrize(("mode", "only"), [(OLD, NEW), (NEW, OLD)], ids=repr)
def test_a_mode_that_is_switched_off(mode: Draft, only: Draft) -> None:
    """Where the mode's draft is not spoken, the other one with two keys is."""
    assert only is identify(get(*UPGRADE, *KEYS), mode, (UNPROVEN, only))


@pytest.mark.parametrize("method", ["POST", "HEAD", "OPTIONS", "get"])
def test_other_methods(method: str) -> None:
    """A WebSocket request with another method is refused with 405."""
    refused = refusal(Request.parse(head(f"{method} / HTTP/1.1", *UPGRADE)))
    assert (refused.status, refused.headers["Allow"]) == (405, "GET")


def test_other_methods_that_ask_for_nothing() -> None:
    """Any other POST is first of all no WebSocket request."""
    assert refusal(Request.parse(head("POST / HTTP/1.1", "Host: h"))).status == 426


@pytest.mark.parametrize("draft", [UNPROVEN, OLD, NEW], ids=repr)
def test_content_length(draft: Draft) -> None:
    """None, 0, and the draft's own body may be announced, and nothing else."""
    keys = KEYS if draft.opening.request_body else ()
    own = str(draft.opening.request_body)
    for lengths in ([], ["0"], [own], [own, own], ["0", own]):
        fields = [f"Content-Length: {length}" for length in lengths]
        assert draft is identify(get(*UPGRADE, *keys, *fields), draft, DRAFTS)
    other = "8" if own == "0" else "16"
    for length in (other, "5", "-0", "00", "", "0, 0", "+8", "8 8", "x"):
        refused = refusal(get(*UPGRADE, *keys, f"Content-Length: {length}"), mode=draft)
        assert (refused.status, refused.body) == (400, b"A WebSocket request has no body.\n")
    refused = refusal(get(*UPGRADE, *keys, "Content-Length: 0", "Content-Length: 5"), mode=draft)
    assert refused.status == 400


@in_turn("number", [4, 5, 6, 7, 8, 13])
def test_content_length_of_a_version(number: int) -> None:
    """Nothing follows these requests, and nothing else may be announced."""
    fields = (*UPGRADE, KEY, f"Sec-WebSocket-Version: {number}")
    for lengths in ((), ("Content-Length: 0",)):
        assert identify(get(*fields, *lengths), OLD, DRAFTS).version == number
    for length in ("8", "5", "00"):
        refused = refusal(get(*fields, f"Content-Length: {length}"), DRAFTS)
        assert (refused.status, refused.body) == (400, b"A WebSocket request has no body.\n")


@in_turn("coding", ["chunked", "identity", ""])
@in_turn("keys", [(), KEYS])
def test_transfer_encoding(keys: tuple[str, ...], coding: str) -> None:
    """It is refused with 400, so that no body is ever taken for another request."""
    request = get(*UPGRADE, *keys, f"Transfer-Encoding: {coding}")
    assert refusal(request).status == 400


# Names


@pytest.mark.parametrize("draft", DRAFTS, ids=lambda draft: draft.name)
def test_draft_named(draft: Draft) -> None:
    """A row is found by its name and by each alias, and stands for itself."""
    assert draft is draft_named(draft)
    assert draft is draft_named(draft.name)
    for name in draft.aliases:
        assert same_wire(draft, draft_named(name))


def same_wire(one: Draft, other: Draft) -> bool:
    """Whether two rows differ in nothing but in how a client announces itself."""
    return one is other or attrs.asdict(one, recurse=False) == attrs.asdict(
        attrs.evolve(other, opening=one.opening), recurse=False
    )


def test_hybi_03() -> None:
    """The one alias that says more than the row: its clients announce themselves as 3."""
    aliases = [(draft, name) for draft in DRAFTS for name in draft.aliases]
    (only,) = (name for draft, name in aliases if draft is not draft_named(name))
    assert only == "hybi-03"
    two: Any = draft_named("hybi-02").opening
    assert two.draft_number == "2"
    assert attrs.evolve(two, draft_number="3") == draft_named("hybi-03").opening


@in_turn("name", ["", "hixie", "HIXIE-76", "Old", "hybi-99"])
def test_a_name_that_no_row_has(name: str) -> None:
    """The error lists every row, with its other names."""
    with pytest.raises(ValueError, match="no draft is named") as caught:
        draft_named(name)
    assert repr(name) in str(caught.value)
    for draft in DRAFTS:
        assert " = ".join((draft.name, *draft.aliases)) in str(caught.value)


@in_turn("name", [None, 76, True, [], {}])
def test_what_is_no_name(name: Any) -> None:
    with pytest.raises(TypeError) as caught:
        draft_named(name)
    assert str(caught.value) == f"draft is a name or a Draft, not {name!r}"


def test_names_are_unique() -> None:
    """No two rows have a name in common."""
    names = [name for draft in DRAFTS for name in (draft.name, *draft.aliases)]
    assert len(names) == len(set(names))


def test_repr() -> None:
    """A row is shown by its name."""
    assert repr(OLD) == "<Draft hixie-76>"


def test_all_drafts_are_allowed_by_default() -> None:
    """None stands for every row."""
    assert allowed_drafts(None) is DRAFTS


@pytest.mark.parametrize(
    ("names", "expected"),
    [
        (["new", "old"], (OLD, NEW)),
        (["hixie-76", "old", OLD], (OLD,)),
        ((NEW, "hixie-75"), (UNPROVEN, NEW)),
        (iter(["hybi-00"]), (OLD,)),
        ([RFC, NEW], (NEW, RFC)),
        ([OWN, RFC], (RFC, OWN)),
        (["hybi-10", "hybi-12", "hybi-17"], (EIGHT, EIGHT_TOO, RFC)),
    ],
)
def test_allowed_drafts(names: list[str | Draft], expected: tuple[Draft, ...]) -> None:
    """Each row once, in the order of the table; rows of one's own come last."""
    assert expected == allowed_drafts(names)


def test_no_drafts_at_all() -> None:
    """A server that speaks nothing is a mistake."""
    with pytest.raises(ValueError, match="must speak one draft at least"):
        allowed_drafts([])


def test_allowed_drafts_with_an_unknown_name() -> None:
    """It is told like everywhere."""
    with pytest.raises(ValueError, match="no draft is named 'hybi-99'"):
        allowed_drafts(["old", "hybi-99"])


def test_ladder() -> None:
    """Of drafts that a server cannot tell apart, the one that it takes them for."""
    rungs = auto_drafts()
    assert len(set(rungs)) == len(rungs)
    assert {NEW, HYBI_01, EIGHT_TOO} == set(DRAFTS) - set(rungs)


@in_turn("mode", range(len(DRAFTS)))
@in_turn("fields", [UPGRADE, (*UPGRADE, *KEYS)])
def test_names_decide_nothing(fields: tuple[str, ...], mode: int) -> None:
    """Rows under other names are identified as the rows themselves are."""
    renamed = tuple(attrs.evolve(draft, name="x", aliases=()) for draft in DRAFTS)
    request = get(*fields)
    expected = DRAFTS.index(identify(request, DRAFTS[mode], DRAFTS))
    assert renamed[expected] is identify(request, renamed[mode], renamed)


@in_turn("path", sorted(Path(trio_draftws.drafts.__file__).parent.glob("*.py")))
def test_no_comparison_with_a_name(path: Path) -> None:
    """No code asks what a draft is called, or imports trio."""
    for node in ast.walk(ast.parse(path.read_text("utf-8"))):
        if isinstance(node, ast.Compare):
            for side in (node.left, *node.comparators):
                assert not (isinstance(side, ast.Attribute) and side.attr in ("name", "aliases"))
        if isinstance(node, ast.Match):
            raise AssertionError("a match statement may be a comparison with a name")
        imported = {alias.name for alias in node.names} if isinstance(node, ast.Import) else set()
        assert "trio" not in imported
        if isinstance(node, ast.ImportFrom):
            assert node.level < 2
            assert (node.module or "").partition(".")[0] not in ("trio", "trio_draftws")


# A draft as a value


@in_turn("draft", DRAFTS)
def test_a_copy_is_the_draft_itself(draft: Draft) -> None:
    assert copy.deepcopy(draft) is draft
    assert pickle.loads(pickle.dumps(draft)) is draft


# Fields that are made by hand


@in_turn("field", [("a", "b"), ("a", b"b"), (b"a", "b")])
def test_fields_are_bytes(field: Any) -> None:
    with pytest.raises(TypeError, match=r"Headers has pairs of bytes, not \("):
        Headers([field])
