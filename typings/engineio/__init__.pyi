"""What this server uses of python-engineio 4.15.1, which ships no types."""

from engineio.async_server import AsyncServer as AsyncServer
