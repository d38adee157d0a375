"""What never reaches a log, at any level and in any format: passwords, tokens, chat, SDP, candidates."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.process.program import ALL_BY_THE_ENGINE, serving
from tests.process.visitor import visiting

PASSWORD = "pa55-Ka7zenbaum-w0rd"
CONTENT = "Zwiebelkuchen-im-Chat"
SDP = "o=Schmetterling 123 456 IN IP4 203.0.113.77"
CANDIDATE = "candidate:842163049 1 udp 1677729535 203.0.113.78 46154 typ srflx"
SECRET = "a-signing-key-that-nobody-may-read-anywhere"


@pytest.mark.parametrize("log_format", ["console", "json"])
async def test_nothing_secret_is_logged(used_folder: Path, log_format: str) -> None:
    environment = {"LOG_LEVEL": "debug", "LOG_FORMAT": log_format, "JWT_SECRET": SECRET, **ALL_BY_THE_ENGINE}
    async with serving(used_folder, **environment) as program, visiting(program.url, PASSWORD) as ada:
        await ada.register()
        tokens = [ada.token]
        await ada.log_in()
        tokens.append(ada.token)
        wrong = {"email": ada.email, "password": PASSWORD + "x"}
        assert (await ada.call("POST", "/api/auth/login", wrong))[0] == 401
        assert (await ada.call("POST", "/api/auth/register", {**wrong, "displayName": "A"}))[0] in (400, 409)
        room = await ada.room()
        host, guest = await ada.socket(), await ada.socket(guest=True)
        forged = await ada.session.ws_connect("/socket.io/?EIO=4&transport=websocket")
        await forged.receive_str()
        await forged.send_str("40" + json.dumps({"token": "forged." + ada.token}))
        await forged.receive_str()
        await forged.close()
        for socket in (host, guest):
            joined = await socket.ask("join-room", {"roomCode": room["code"], "displayName": "Somebody"})
            assert joined["success"]
        sdp = {"type": "offer", "sdp": SDP}
        for event, payload in (
            ("chat-message", {"roomId": room["id"], "content": CONTENT}),
            ("chat-message", {"roomId": room["id"], "content": CONTENT * 1000}),
            ("chat-message", {"roomId": "another", "content": CONTENT}),
            ("chat-message", {"roomId": room["id"], "content": CONTENT, "extra": CONTENT}),
            ("offer", {"targetId": host.sid, "sdp": sdp}),
            ("offer", {"targetId": "nobody", "sdp": sdp}),
            ("offer", {"target": "nobody", "sdp": sdp}),
            ("answer", {"targetId": host.sid, "sdp": sdp}),
            ("ice-candidate", {"targetId": host.sid, "candidate": {"candidate": CANDIDATE}}),
            (CONTENT, {"an": "unknown event"}),
        ):
            await guest.ask(event, payload)
        await host.next("ice-candidate")
        # Bytes that are no packet, and a database error with the message in it.
        await guest.send(f'42["chat-message",{{"content":"{CONTENT}"')
        assert (await ada.call("DELETE", f"/api/rooms/{room['id']}"))[0] == 200
        assert (await ada.call("GET", f"/api/rooms/{room['id']}/messages"))[0] == 200
        assert program.engines()
        for process in program.engines():
            command = " ".join(process.cmdline()) + str(process.environ())
            assert SECRET not in command
        assert await program.stop() == 0
        assert "listening" in program.output
        for secret in (PASSWORD, CONTENT, SDP, "Schmetterling", CANDIDATE, "203.0.113.78", SECRET, *tokens):
            assert secret not in program.output
        for token in tokens:
            assert token.rsplit(".", 1)[1] not in program.output
