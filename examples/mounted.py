"""Meetings inside an aiohttp application of one's own: python examples/mounted.py [PORT]."""

import sys

from aiohttp import web

from neuron_meet.mounting import SERVER, mount


async def about(request: web.Request) -> web.Response:
    """A route of one's own; the server's parts are at hand in it."""
    return web.Response(text=f"{request.app[SERVER].sockets.connection_count} people are connected.\n")


app = web.Application()
app.router.add_get("/about", about)
mount(app)

if __name__ == "__main__":
    web.run_app(app, host="127.0.0.1", port=int(sys.argv[1]) if len(sys.argv) > 1 else 8080)
