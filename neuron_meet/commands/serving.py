"""A server that runs, told what to do at its admin address."""

from __future__ import annotations

from typing import Any

from neuron_meet.failure import ForeseenFailure
from neuron_meet.listening import url_of
from neuron_meet.settings import Settings

ANSWER_SECONDS = 10


async def told_a_server(settings: Settings, path: str, what: str) -> bool:
    """Have the server at the admin address of the settings do `POST path`.

    False where there is no such address, or none answers there. Raises ForeseenFailure where it does not do it; `what`
    is what it does not do, in a sentence.
    """
    if not settings.admin_port or settings.admin_token is None:
        return False
    from aiohttp import ClientConnectionError, ClientSession, ClientTimeout  # noqa: PLC0415

    headers = {"Authorization": f"Bearer {settings.admin_token.get_secret_value()}"}
    try:
        async with (
            ClientSession(headers=headers, timeout=ClientTimeout(ANSWER_SECONDS)) as session,
            session.post(url_of(settings.admin_host, settings.admin_port) + path) as response,
        ):
            answer: Any = await response.json()
    except (ClientConnectionError, TimeoutError):
        return False
    if not response.ok:
        raise ForeseenFailure(f"The server does not {what}: {answer.get('message')}.")
    return True
