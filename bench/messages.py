"""The bytes that clients send: payloads of the usual size and shape."""

from __future__ import annotations

import functools
import json
import time

OFFER_BYTES = 2_400
"""A browser's offer with one audio and one video track, cut to the size that issue 5 names."""

_SDP_HEAD = (
    "v=0\r\no=- 4611731400430051336 2 IN IP4 127.0.0.1\r\ns=-\r\nt=0 0\r\na=group:BUNDLE 0 1\r\n"
    "a=extmap-allow-mixed\r\na=msid-semantic: WMS\r\nm=audio 9 UDP/TLS/RTP/SAVPF 111 63 9 0 8 13 110 126\r\n"
    "c=IN IP4 0.0.0.0\r\na=rtcp:9 IN IP4 0.0.0.0\r\na=ice-ufrag:EsAw\r\na=ice-pwd:P2uYro0UCOQ4zxjKXaWCBui1\r\n"
    "a=fingerprint:sha-256 75:74:5A:A6:A4:E5:52:F4:A7:67:4C:01:C7:EE:91:3F:"
    "21:3D:A2:E3:53:7B:6F:30:86:F2:30:AA:65:FB:04:24\r\n"
    "a=setup:actpass\r\na=mid:0\r\na=sendrecv\r\na=rtcp-mux\r\n"
)
_SDP_LINE = (
    "a=rtpmap:{0} VP8/90000\r\na=rtcp-fb:{0} goog-remb\r\na=rtcp-fb:{0} nack pli\r\na=fmtp:{0} apt={0}\r\n"
)


@functools.cache
def sdp(kind: str) -> dict[str, str]:
    """A session description whose JSON has `OFFER_BYTES` bytes."""
    text = _SDP_HEAD + "".join(_SDP_LINE.format(number) for number in range(96, 128))
    while len(json.dumps({"type": kind, "sdp": text})) > OFFER_BYTES:
        text = text[:-1]
    return {"type": kind, "sdp": text}


def event(name: str, payload: object, ack_id: int | None = None) -> bytes:
    """An event packet, as JavaScript's JSON would write it."""
    number = "" if ack_id is None else str(ack_id)
    return f"42{number}{json.dumps([name, payload], separators=(',', ':'))}".encode()


def description(kind: str, target: str) -> bytes:
    """An `offer` or `answer` for one peer."""
    return event(kind, {"targetId": target, "sdp": sdp(kind)})


_CANDIDATE = {
    "candidate": "candidate:842163049 1 udp 1677729535 203.0.113.7 46154 typ srflx raddr 10.0.1.17 rport 46154 "
    "generation 0 ufrag EsAw network-cost 999",
    "sdpMid": "0",
    "sdpMLineIndex": 0,
    "usernameFragment": "SENT",
}


def candidate(target: str) -> bytes:
    """An `ice-candidate` for one peer; `stamped` puts in when it was sent."""
    return event("ice-candidate", {"targetId": target, "candidate": _CANDIDATE})


def stamped(packet: bytes) -> bytes:
    """The candidate with the present moment in its opaque part."""
    return packet.replace(b"SENT", b"at:%.5f;" % time.perf_counter(), 1)


def age(packet: bytes) -> float:
    """Seconds since a stamped candidate was sent."""
    start = packet.index(b"at:") + 3
    return time.perf_counter() - float(packet[start : packet.index(b";", start)])
