"""What goes to an index, as far as it can be seen without building it: scripts/packages builds."""

from __future__ import annotations

import re
import subprocess
import sys
from importlib.machinery import EXTENSION_SUFFIXES
from pathlib import Path

import pytest

import trio_draftws

from .drafts.masks import needs_c

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

ROOT = Path(__file__).parent.parent
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
LINK = re.compile(r"\]\(([^)\s]+)\)")


def readme_of_the_index() -> str:
    """As hatch-fancy-pypi-readme makes it; scripts/packages looks at what that really made."""
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    rules = PROJECT["tool"]["hatch"]["metadata"]["hooks"]["fancy-pypi-readme"]["substitutions"]
    for rule in rules:
        text = re.sub(rule["pattern"], rule["replacement"], text)
    return text


def test_each_link_of_the_readme_leads_somewhere_from_an_index() -> None:
    links = LINK.findall(readme_of_the_index())
    assert len(links) > 20
    assert [link for link in links if not link.startswith("https://")] == []
    homes = tuple(PROJECT["project"]["urls"][name] for name in ("Documentation", "Source"))
    for link in links:
        if link.startswith(homes[0]):
            page = link.removeprefix(homes[0] + "en/stable/").partition("#")[0]
            assert (ROOT / "docs" / page.replace(".html", ".rst")).is_file(), link
        elif link.startswith(homes[1] + "/blob/main/"):
            assert (ROOT / link.removeprefix(homes[1] + "/blob/main/")).is_file(), link


def test_of_the_readme_only_links_change() -> None:
    before = (ROOT / "README.md").read_text(encoding="utf-8")
    assert LINK.sub("]()", readme_of_the_index()) == LINK.sub("]()", before)


IN_ANOTHER_INTERPRETER = """
from importlib.util import module_from_spec, spec_from_file_location
found = []
for path in {paths}:
    spec = spec_from_file_location("speedups", path)
    module = module_from_spec(spec)
    spec.loader.exec_module(module)
    found.append(module)
framing, http = found
payload = framing.Payload(True, False)
assert payload.add("ä".encode()) and payload.finish() == "ä"
assert framing.apply_mask(b"abc", b"1234") == bytes(a ^ b for a, b in zip(b"abc", b"1234"))
assert framing.utf8_of("abc").tobytes() == b"abc"
assert http.split_request(b"GET / HTTP/1.1\\r\\nHost: a\\r\\n\\r\\n")[0] == b"GET / HTTP/1.1"
"""

RUN = """
import sys
if sys.version_info >= (3, 13):
    import _interpreters as interpreters
    run, create = interpreters.exec, lambda: interpreters.create("isolated")
else:
    import _xxsubinterpreters as interpreters
    run, create = interpreters.run_string, interpreters.create
code = sys.stdin.read()
exec(code)
for _ in range(2):
    other = create()
    failed = run(other, code)
    interpreters.destroy(other)
    assert failed is None, failed
exec(code)
print("as in the first")
"""


@needs_c
def test_the_code_in_c_loads_in_other_interpreters() -> None:
    """From Python 3.12 on, each of them with a lock of its own."""
    drafts = Path(trio_draftws.__file__).parent / "drafts"
    paths = [
        str(next(path for s in EXTENSION_SUFFIXES if (path := folder / f"speedups{s}").exists()))
        for folder in (drafts / "_framing", drafts / "_http")
    ]
    ended = subprocess.run(
        [sys.executable, "-c", RUN],
        input=IN_ANOTHER_INTERPRETER.format(paths=paths),
        capture_output=True,
        encoding="utf-8",
        timeout=60,
    )
    assert ended.stdout == "as in the first\n", ended.stderr


@pytest.mark.parametrize("module", ["_framing", "_http"])
def test_what_is_written_in_c_shares_nothing_that_changes(module: str) -> None:
    """Static variables are constants, or what Python's lists of methods and slots are made of."""
    folder = Path(trio_draftws.__file__).parent / "drafts" / module
    sources = [*folder.glob("*.c"), *folder.glob("*.h")]
    if not sources:
        pytest.skip("this is installed from a wheel, which has no sources")
    variable = re.compile(
        r"^static (?!const |inline )(?:struct )?((?:\w+ )*\w+) \**\w+(?:\[\w*\])?(?: = |;)",
        re.MULTILINE,
    )
    for source in sources:
        kinds = set(variable.findall(source.read_text(encoding="utf-8")))
        assert kinds <= {
            "PyMethodDef",
            "PyModuleDef",
            "PyModuleDef_Slot",
            "PyType_Slot",
            "PyType_Spec",
        }
