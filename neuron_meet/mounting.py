"""The server inside an aiohttp application of one's own, in the same process and on the same port.

app = web.Application()
app.router.add_get("/about", about)
mount(app)
web.run_app(app)
"""

from __future__ import annotations

from collections.abc import AsyncGenerator

from aiohttp import web

from neuron_meet.app import Server, assembled
from neuron_meet.jwt_secret import with_secret
from neuron_meet.ops.drain import drain
from neuron_meet.settings import Settings
from neuron_meet.store.provision import provide

SERVER = web.AppKey("neuron_meet", Server)
"""Where a started application has its server: `app[SERVER]`."""


def mount(app: web.Application, settings: Settings | None = None) -> None:
    """Have `app` serve meetings too: REST, Socket.IO and the page, on all paths that its own routes leave free.

    `settings` are those of the environment and `.env` unless given; `HOST` and `PORT` do not matter. The server starts
    with the application, its database and migrations included, and stops with it: sockets are told and closed spread
    over `DRAIN_SECONDS` at its shutdown, the rest ends at its cleanup. `app`'s middlewares are around the server's
    answers, and its `client_max_size` bounds what REST reads.

    Call it once, before `app` starts; `app` must be the one that runs, not a subapplication. A start that fails raises
    what `neuron-meet serve` says in a sentence: a :class:`~neuron_meet.failure.ForeseenFailure`.
    """
    settings = settings or Settings()  # pyright: ignore[reportCallIssue] - read from the environment

    async def lifetime(app: web.Application) -> AsyncGenerator[None]:
        signing = with_secret(settings)
        database = await provide(signing)
        try:
            async with assembled(signing, database.url) as server:
                app[SERVER] = server
                # Routes may be added until the start is over; this one comes after all of the application's own.
                app.router.add_route("*", "/{path:.*}", forward)
                yield
        finally:
            await database.stop()

    async def close_sockets(app: web.Application) -> None:
        # Before the cleanup: aiohttp waits for handlers first, and a websocket's would wait for its client.
        server = app[SERVER]
        await drain(server.health, server.sockets, settings.drain_seconds)

    async def forward(request: web.Request) -> web.StreamResponse:
        # aiohttp has no public way to hand a request to an application that is made after the start began.
        return await app[SERVER].runner.app._handle(request)  # pyright: ignore[reportPrivateUsage]

    app.cleanup_ctx.append(lifetime)
    app.on_shutdown.append(close_sockets)
