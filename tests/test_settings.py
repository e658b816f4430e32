"""Keyword arguments that several public functions share."""

from __future__ import annotations

import inspect
import typing
from typing import Any

import pytest
import trio
import trio.testing

import trio_draftws
from trio_draftws import (
    AcceptSettings,
    ClientSettings,
    DialSettings,
    ListenSettings,
    ReconnectSettings,
    accept,
    open_gateway,
    open_websocket,
    reconnecting,
    serve_websocket,
)
from trio_draftws.testing import connected_pair, served, served_on_port

URL = "ws://127.0.0.1:9/"
# Each function, and the settings that it takes
TAKEN = [
    (open_websocket, ClientSettings),
    (reconnecting, ReconnectSettings),
    (open_gateway, DialSettings),
    (accept, AcceptSettings),
    (serve_websocket, ListenSettings),
]
KINDS = [getattr(trio_draftws, name) for name in trio_draftws.__all__ if name.endswith("Settings")]


@pytest.mark.parametrize(("function", "kind"), TAKEN, ids=lambda value: value.__name__)
def test_help_shows_each_of_them(function: Any, kind: type) -> None:
    parameters = inspect.signature(function).parameters
    assert set(kind.__annotations__) <= set(parameters)
    assert all(
        parameters[name].kind is parameters[name].KEYWORD_ONLY for name in kind.__annotations__
    )
    assert parameters["close_timeout"].default == 5
    assert parameters["close_timeout"].annotation == "float"
    assert "Default" not in str(inspect.signature(function))
    assert not any(parameter.kind is parameter.VAR_KEYWORD for parameter in parameters.values())


async def test_one_that_there_is_not_is_named_with_the_function() -> None:
    wrong: Any = {"time_out": 5}
    said = r"{}\(\) got an unexpected keyword argument 'time_out'"
    for function in (open_websocket, reconnecting, open_gateway):
        with pytest.raises(TypeError, match=said.format(function.__name__)):
            async with function(URL, **wrong):
                pass
    client, server = trio.testing.memory_stream_pair()
    with pytest.raises(TypeError, match=said.format("accept")):
        async with accept(server, **wrong):
            pass
    assert await client.receive_some() == b"", "the stream was left open"

    async def handler(connection: object, state: object) -> None:
        """Is never run."""

    with pytest.raises(TypeError, match=said.format("serve_websocket")):
        await serve_websocket(handler, 0, **wrong)


async def test_a_stream_is_closed_where_a_setting_is_not_there() -> None:
    client, server = trio.testing.memory_stream_pair()
    wrong: Any = {"time_out": 5}
    with pytest.raises(TypeError, match="time_out"):
        async with open_websocket(URL, stream=client, **wrong):
            pass
    assert await server.receive_some() == b""


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.__name__)
def test_each_is_described(kind: type) -> None:
    """Right below its type, where editors look for it."""
    lines = inspect.getsource(kind).splitlines()
    hints = typing.get_type_hints(kind)
    own = [name for name in hints if any(line.startswith(f"    {name}: ") for line in lines)]
    assert own
    text = "\n".join(lines)
    for name in own:
        _, _, behind = text.partition(f"\n    {name}: Annotated[")
        assert '"""' in behind.partition('\n    """')[1], name


@pytest.mark.parametrize("function", [served, served_on_port, connected_pair])
async def test_the_testing_kit_names_its_own_functions(function: Any) -> None:
    message = rf"^{function.__name__}\(\) got an unexpected keyword argument 'ping_intervall'$"
    with pytest.raises(TypeError, match=message):
        async with function(ping_intervall=1):
            raise AssertionError
    assert inspect.signature(function).parameters["ping_interval"].default == 20


def test_a_gateway_shows_its_own_defaults() -> None:
    parameters = inspect.signature(open_gateway).parameters
    assert parameters["draft"].default == "rfc6455"
    assert parameters["handshake_timeout"].default == 5
