"""Fixtures that several test modules use."""

from __future__ import annotations

import ssl
from collections.abc import Iterator
from importlib.util import find_spec

import pytest
import trustme
from hypothesis import HealthCheck, settings

from trio_draftws import DRAFTS, Draft

from .pairs import TRANSPORTS
from .peers.chromium import Browser, chromium
from .platforms.chosen import FOR_POSIX

if find_spec("fcntl") is None:
    collect_ignore = [f"{name}.py" for name in FOR_POSIX.split()]
pytest_plugins = ["tests.peers.table", "tests.attacks.table"]

# Nothing that looks at a clock. "quick" is for runs beside a usual one, "thorough" for long ones:
# pytest --hypothesis-profile thorough tests/drafts
CLOCKLESS = settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.register_profile("usual", CLOCKLESS, max_examples=40)
settings.register_profile("quick", CLOCKLESS, max_examples=20)
settings.register_profile("thorough", CLOCKLESS, max_examples=1000)
settings.load_profile("usual")


@pytest.fixture(params=DRAFTS, ids=lambda draft: draft.name)
def draft(request: pytest.FixtureRequest) -> Draft:
    """Each draft in turn."""
    assert isinstance(request.param, Draft)
    return request.param


@pytest.fixture(params=TRANSPORTS)
def transport(request: pytest.FixtureRequest) -> str:
    """The name of each kind of stream in turn."""
    assert isinstance(request.param, str)
    return request.param


@pytest.fixture(scope="session")
def authority() -> trustme.CA:
    """A certificate authority that nobody but these tests trusts."""
    return trustme.CA()


@pytest.fixture
def server_ssl(authority: trustme.CA) -> ssl.SSLContext:
    """A server's context, with a certificate for `localhost` and 127.0.0.1."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("localhost", "127.0.0.1").configure_cert(context)
    return context


@pytest.fixture
def client_ssl(authority: trustme.CA) -> ssl.SSLContext:
    """A client's context, which trusts the authority and nobody else."""
    return ssl.create_default_context(cadata=authority.cert_pem.bytes().decode())


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """A real browser; where there is none, the test is skipped."""
    with chromium() as browser:
        yield browser
