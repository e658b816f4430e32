"""Makes the Python 2 source of websocket-client 0.4.1 run on Python 3, in place.

Only what the language took away is changed. Its byte strings stay strings, one character for
each byte, and become bytes where they meet the socket and the hash.
"""

from __future__ import annotations

import sys
from pathlib import Path

# (old, new, how often it stands there)
CHANGES = (
    ("from urlparse import urlparse", "from urllib.parse import urlparse", 1),
    ("import md5\n", "import hashlib\n", 1),
    (
        "md5.md5(challenge).digest()",
        'hashlib.md5(challenge.encode("latin-1")).digest().decode("latin-1")',
        1,
    ),
    ("range(0x21, 0x2f + 1) + range(", "list(range(0x21, 0x2f + 1)) + list(range(", 1),
    ("range(0x3a, 0x7e + 1)", "range(0x3a, 0x7e + 1))", 1),
    ("_MAX_INTEGER / spaces_n", "_MAX_INTEGER // spaces_n", 1),
    ('struct.pack("!I", number_1)', 'struct.pack("!I", number_1).decode("latin-1")', 1),
    ('struct.pack("!I", number_2)', 'struct.pack("!I", number_2).decode("latin-1")', 1),
    (".iteritems()", ".items()", 1),
    ("isinstance(payload, unicode)", "isinstance(payload, str)", 1),
    ('payload.encode("utf-8")', 'payload.encode("utf-8").decode("latin-1")', 1),
    # Python 2 had the kernel take all of a blocking send, in practice; sendall says so.
    ("sock.send(header_str)", 'sock.sendall(header_str.encode("latin-1"))', 1),
    ("io_sock.send(data)", 'io_sock.sendall(data.encode("latin-1"))', 1),
    ('io_sock.send("\\xff\\x00")', 'io_sock.sendall(b"\\xff\\x00")', 1),
    ("self.io_sock.recv(bufsize)", 'self.io_sock.recv(bufsize).decode("latin-1")', 1),
    ("except Exception, e:", "except Exception as e:", 2),
)


def main(path: Path) -> None:
    # The example at the end is written with print statements.
    source = path.read_text("utf-8").partition("if __name__ ==")[0]
    for old, new, count in CHANGES:
        if source.count(old) != count:
            sys.exit(f"{path.name}: expected {count} of {old!r}, found {source.count(old)}")
        source = source.replace(old, new)
    compile(source, path.name, "exec")
    path.write_text(source, "utf-8")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
