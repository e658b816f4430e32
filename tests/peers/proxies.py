"""nginx and HAProxy, with the configuration that the documentation shows."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import attrs
import trio

from .catalogue import START_DEADLINE, TIED, Peer, kill, require, shown_stderr

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Generator, Mapping

SHOWN = Path(__file__).parents[2] / "docs/deployment"
CERTIFICATE = "/etc/ssl/private/example.com.pem"
STREAM_MODULE = Path("/usr/lib/nginx/modules/ngx_stream_module.so")


def _system(name: str) -> Peer:
    # Debian has them where only root looks.
    command = shutil.which(name, path=f"{os.environ['PATH']}:/usr/sbin") or name
    return Peer(name=name, drafts=(), command=(command,), needs=(command, "-v"))


NGINX = _system("nginx")
NGINX_STREAM = attrs.evolve(NGINX, name="nginx's stream module", needs=STREAM_MODULE)
HAPROXY = _system("haproxy")


@attrs.frozen(kw_only=True)
class Proxy:
    """One of the files of the documentation, and who reads it."""

    file: str
    needs: tuple[Peer, ...]
    listens: str
    """How it says where it listens, up to the port."""
    backend: str
    """Where it expects a server of ours."""

    @property
    def ends_tls(self) -> bool:
        """Whether it speaks HTTP, so that TLS ends there; it passes bytes on if not."""
        return CERTIFICATE in self.text

    @property
    def text(self) -> str:
        return (SHOWN / self.file).read_text(encoding="utf-8")


PROXIES = (
    Proxy(file="nginx.conf", needs=(NGINX,), listens="listen ", backend="127.0.0.1:8080"),
    Proxy(
        file="nginx-stream.conf",
        needs=(NGINX, NGINX_STREAM),
        listens="listen ",
        backend="127.0.0.1:8443",
    ),
    Proxy(file="haproxy.cfg", needs=(HAPROXY,), listens="bind :", backend="127.0.0.1:8080"),
    Proxy(file="haproxy-tcp.cfg", needs=(HAPROXY,), listens="bind :", backend="127.0.0.1:8443"),
)


@asynccontextmanager
async def running(
    proxy: Proxy, folder: Path, backend: int | str, certificate: bytes, changes: Mapping[str, str]
) -> AsyncGenerator[int]:
    """A proxy before a server on port `backend`, or at that address; gives the proxy's port.

    Ports and the certificate's file are put in place of those that the documentation names, and
    `changes` are made; nothing else differs.
    """
    for peer in proxy.needs:
        require(peer)
    pem = folder / "example.pem"
    pem.write_bytes(certificate)
    with reserved_port() as port, shown_stderr() as stderr:
        listens = f"{proxy.listens.rstrip(':')}127.0.0.1:{port}"
        text = replaced(proxy.text, {f"{proxy.listens}443": listens})
        address = backend if isinstance(backend, str) else f"127.0.0.1:{backend}"
        text = replaced(text, {proxy.backend: address, **changes})
        text = text.replace(CERTIFICATE, str(pem))
        process = await trio.lowlevel.open_process(
            [*TIED, *command(proxy, folder, text)],
            stdin=subprocess.DEVNULL,
            stdout=stderr,
            stderr=stderr,
            start_new_session=True,
        )
        try:
            await until_it_listens(process, port)
            yield port
            assert process.poll() is None
        finally:
            kill(process)
            with trio.CancelScope(shield=True):
                await process.wait()


def replaced(text: str, changes: Mapping[str, str]) -> str:
    """`text` with each of the changes, none of which is in vain."""
    for old, new in changes.items():
        assert old in text, old
        text = text.replace(old, new)
    return text


def command(proxy: Proxy, folder: Path, text: str) -> tuple[str, ...]:
    """What starts it in the foreground, with no rights but ours and no file outside `folder`."""
    file = folder / proxy.file
    if HAPROXY in proxy.needs:
        file.write_text(text, encoding="utf-8")
        return (*HAPROXY.command, "-db", "-f", str(file))
    lines = ["daemon off;", "master_process off;", f"pid {folder}/nginx.pid;", "error_log stderr;"]
    if NGINX_STREAM in proxy.needs:
        lines.insert(0, f"load_module {STREAM_MODULE};")
    lines.append("events {}")
    if proxy.ends_tls:
        kinds = ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
        own = " ".join(f"{kind}_temp_path {folder}/{kind};" for kind in kinds)
        text = f"http {{ access_log off; {own}\n{text}\n}}"
    file.write_text("\n".join([*lines, text, ""]), encoding="utf-8")
    return (*NGINX.command, "-p", str(folder), "-e", "stderr", "-c", str(file))


@contextmanager
def reserved_port() -> Generator[int]:
    """A port that nobody else is given meanwhile, but on which the proxy may listen."""
    with socket.socket() as holder:
        # Linux lets another socket that says the same listen there, as long as this one does not.
        holder.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        holder.bind(("127.0.0.1", 0))
        yield holder.getsockname()[1]


async def until_it_listens(process: trio.Process | subprocess.Popen[bytes], port: int) -> None:
    with trio.fail_after(START_DEADLINE):
        while True:
            assert process.poll() is None, f"it ended with status {process.returncode}"
            try:
                stream = await trio.open_tcp_stream("127.0.0.1", port)
            except OSError:
                await trio.sleep(0.01)
            else:
                await stream.aclose()
                return
