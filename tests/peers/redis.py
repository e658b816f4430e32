"""A real Redis, with nothing in it."""

from __future__ import annotations

import subprocess
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

from .catalogue import TIED, Peer, kill, require, shown_stderr
from .proxies import reserved_port, until_it_listens

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator
    from pathlib import Path

REDIS = Peer(
    name="Redis", drafts=(), command=("redis-server",), needs=("redis-server", "--version")
)


@asynccontextmanager
async def redis(folder: Path) -> AsyncGenerator[str]:
    """Gives the URL of one that ends with the block; it writes to no file."""
    require(REDIS)
    with reserved_port() as port, shown_stderr() as stderr:
        settings = {"port": port, "bind": "127.0.0.1", "save": "", "dir": folder}
        options = [text for name, value in settings.items() for text in (f"--{name}", f"{value}")]
        # Not in a thread of Trio's: it would be tied to that, which ends after ten seconds.
        process = subprocess.Popen(  # noqa: ASYNC220
            [*TIED, *REDIS.command, *options],
            stdin=subprocess.DEVNULL,
            stdout=stderr,
            stderr=stderr,
            start_new_session=True,
        )
        try:
            await until_it_listens(process, port)
            yield f"redis://127.0.0.1:{port}"
        finally:
            kill(process)
            process.wait()
