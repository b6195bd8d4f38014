"""WebSocket servers of this machine: one way to listen, and to say which port is taken."""

from __future__ import annotations

from typing import Any

from shadowbox.errors import UsageError, system_error


async def listen(client: Any, port: int, option: str, **settings: Any) -> Any:
    """WebSocket server of 127.0.0.1 that calls `client` with every connection.

    `option` of the command names another port, should this one be taken; `settings` are those of
    `websockets`.
    """
    from websockets.asyncio.server import serve

    try:
        return await serve(
            client, "127.0.0.1", port, compression=None, close_timeout=0.2, **settings
        )
    except OSError as error:
        raise UsageError(
            f"cannot listen on 127.0.0.1 port {port}: {system_error(error)}; "
            f"{option} 0 takes any free port"
        ) from error
