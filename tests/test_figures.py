"""The drawn figures show what is true, and are up to date."""

from __future__ import annotations

import json
import re
import xml.etree.ElementTree as ET
from datetime import date

import pytest

from benchmarks.summary import Summary
from docs.figures.benchmarks import TITLES
from docs.figures.connection import PING_INTERVAL, PING_TIMEOUT
from docs.figures.draw import DATA, DOCS, figures
from docs.figures.frames import FRAMES, VECTORS, closings
from docs.figures.rooms import rooms
from docs.figures.timeline import FIRST, LANES, LAST, published, stagger
from trio_draftws import DRAFTS

from .test_layers import ROOMS

DRAWN = figures()
HISTORY = json.loads(DATA.read_text(encoding="utf-8"))["history"]


@pytest.mark.parametrize("name", DRAWN)
def test_they_are_as_committed(name: str) -> None:
    """`python -m docs.figures.draw` draws them anew."""
    assert (DOCS / "_static" / name).read_text(encoding="utf-8") == DRAWN[name]


@pytest.mark.parametrize("name", DRAWN)
def test_nothing_is_cut_off(name: str) -> None:
    """They are XML, say what they show, and every box lies within."""
    root = ET.fromstring(DRAWN[name])
    namespace = {"svg": "http://www.w3.org/2000/svg"}
    assert root.findtext("svg:title", namespaces=namespace)
    _, _, width, height = map(float, root.attrib["viewBox"].split())
    boxes = root.findall("svg:rect", namespace)
    assert boxes
    for box in boxes:
        x, y, wide, high = (float(box.attrib[key]) for key in ("x", "y", "width", "height"))
        assert 0 <= x <= x + wide <= width
        assert 0 <= y <= y + high <= height


def test_every_row_has_its_day() -> None:
    """The history has each row, on the day that the row itself tells."""
    days = {entry["draft"]: entry["on"] for entry in HISTORY}
    for draft in DRAFTS:
        on = days[draft.name]
        whole = len(on) == 10
        day = date.fromisoformat(on if whole else f"{on}-01")
        assert draft.published == (f"{day.day} {day:%B %Y}" if whole else f"{day:%B %Y}")
    assert list(days.values()) == sorted(days.values())


def test_each_entry_is_of_its_row() -> None:
    """A name of the history is a row's, or another name for it; each row's framing has a lane."""
    for draft in published(HISTORY):
        if draft.name != "hixie-68":
            assert draft.name in (draft.row.name, *draft.row.aliases)
        assert draft.lane in LANES
        assert FIRST <= draft.day <= LAST
    assert {draft.row for draft in published(HISTORY)} == set(DRAFTS)


def test_no_name_is_on_another() -> None:
    """Of two names on one level the first ends before the second begins."""
    for lane in LANES:
        those = [draft for draft in published(HISTORY) if draft.lane == lane]
        placed = list(zip(those, stagger(those), strict=True))
        for number, (draft, level) in enumerate(placed):
            for later, other_level in placed[number + 1 :]:
                assert later.x > draft.x + 7 * len(draft.name) or other_level < level


def test_frames_say_hello() -> None:
    """Every framing of the rows is among the frames, as its codec writes it on a server."""
    vectors = {one["id"]: one for one in json.loads(VECTORS.read_text(encoding="utf-8"))["frames"]}
    drawn = {bytes.fromhex(vectors[frame.vector]["hex"]) for frame in FRAMES}
    for draft in DRAFTS:
        assert b"".join(draft.codec("server", 1024).encode("Hello")) in drawn


def test_each_draft_closes_in_one_way() -> None:
    """Their frames are those that the drafts print."""
    assert [wire.hex() for _, wire in closings()] == [
        "",
        "ff00",
        "00" * 9,
        "0100",
        "8100",
        "810153",
        "810203e8",
        "880203e8",
    ]


@pytest.mark.parametrize("name", ["send.svg", "parts.svg", "pings.svg", "closing-sequence.svg"])
def test_pictures_of_a_connection(name: str) -> None:
    """They are small, are on a page, and say in words what they show."""
    assert len(DRAWN[name].encode()) < 12 * 1024
    described = ET.fromstring(DRAWN[name]).findtext("{http://www.w3.org/2000/svg}desc")
    assert described is not None
    assert len(described) > 100
    pages = "".join(page.read_text(encoding="utf-8") for page in DOCS.glob("*.rst"))
    assert f".. drawing:: {name.removesuffix('.svg')}\n" in pages


def test_the_rooms_are_those_of_the_map() -> None:
    """The picture reads the map as the test of the layers does, and leaves nothing out."""
    drawn = list(rooms())
    assert [room.path for room in drawn] == ROOMS
    texts = [element.text for element in ET.fromstring(DRAWN["rooms.svg"]).iter() if element.text]
    for room in drawn:
        assert room.name in texts
        assert room.about in texts
    page = (DOCS / "design.rst").read_text(encoding="utf-8")
    assert ".. drawing:: rooms\n" in page


def test_the_design_names_files_that_exist() -> None:
    root = DOCS.parent
    page = (DOCS / "design.rst").read_text(encoding="utf-8")
    named = re.findall(r"``(\w+/[\w/]+\.\w+)``", page)
    assert len(named) > 10
    for name in named:
        assert (root / name).is_file() or (root / "trio_draftws" / name).is_file(), name


def test_a_benchmark_is_a_bar() -> None:
    """Each peer that was measured has one, and the figure stays small."""
    assert len(DRAWN["benchmarks.svg"].encode()) < 30 * 1024
    boxes = ET.fromstring(DRAWN["benchmarks.svg"]).findall("{http://www.w3.org/2000/svg}rect")
    tables = [table for table in Summary.read().tables if table.workload.name in TITLES]
    assert len(tables) == len(TITLES)
    assert len(boxes) == sum(row.cost is not None for table in tables for row in table.rows)


def test_the_timeline_has_the_default_times() -> None:
    """Those that the page with the picture gives."""
    page = (DOCS / "keepalive.rst").read_text(encoding="utf-8")
    for setting, seconds in ("ping_interval", PING_INTERVAL), ("ping_timeout", PING_TIMEOUT):
        assert f"* - ``{setting}``\n     - {seconds} s\n" in page
