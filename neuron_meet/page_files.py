"""The built-in page as it goes to browsers: hashed names, compressed once, one document that names them all."""

from __future__ import annotations

import base64
import gzip
import hashlib
import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from aiohttp import hdrs, web

from neuron_meet.failure import ForeseenFailure

IMMUTABLE = "public, max-age=31536000, immutable"
"""Cache-Control of a file whose name changes when its contents do (RFC 8246)."""
FRESH = "no-cache"
"""Cache-Control of what keeps its name: kept by browsers, and asked for each time (304 while it is the same)."""
ASSETS = "/assets/"
LARGEST_BYTES = 4_000_000
"""All files together, uncompressed: they are kept in memory, twice."""
START = "main.js"
"""The module that the document starts."""

_TYPES = {"html": "text/html", "js": "text/javascript", "css": "text/css", "svg": "image/svg+xml"}
_HASH_LETTERS = 12
_IMPORT = re.compile(r'^(?:import|export)\b[^"]*?"\./([^"]+)"', re.MULTILINE)
_ASSET = re.compile(r'(?<=")/assets/([^"]+)(?=")')
_STYLES = re.compile(r'(?:<link rel="stylesheet" href="/assets/[^"]+">\n)+')
_SCRIPT = '<script type="module"'


class PageTooLargeError(ForeseenFailure):
    """The page's files have more bytes than a server keeps in memory."""


@dataclass(frozen=True, slots=True)
class Content:
    """What is sent for one path. `compressed` is gzip, None where that makes it no smaller."""

    body: bytes
    compressed: bytes | None
    media_type: str
    tag: str

    @classmethod
    def of(cls, body: bytes, name: str) -> Content:
        """The contents `body` of a file called `name`."""
        media_type = _TYPES[name.rpartition(".")[2]]
        # Without a time in it: the same at every start, and on every node.
        compressed = gzip.compress(body, 9, mtime=0)
        smaller = compressed if len(compressed) < len(body) else None
        return cls(body, smaller, media_type, _digest(body).hex())

    @property
    def short_hash(self) -> str:
        """What makes its name its own."""
        return self.tag[:_HASH_LETTERS]

    def answer(self, request: web.Request, headers: Mapping[str, str]) -> web.Response:
        """This as the response to `request`: compressed for who takes that, 304 for who has it already."""
        zipped = self.compressed is not None and _takes_gzip(request.headers.getall(hdrs.ACCEPT_ENCODING, []))
        # Two representations, two tags (RFC 9110, §8.8.3.3).
        tag = f"{self.short_hash}-gzip" if zipped else self.short_hash
        sent = dict(headers) | {hdrs.ETAG: f'"{tag}"', hdrs.VARY: hdrs.ACCEPT_ENCODING}
        known = request.if_none_match
        if known is not None and any(each.value in (tag, "*") for each in known):
            return web.Response(status=304, headers=sent)
        if zipped:
            sent[hdrs.CONTENT_ENCODING] = "gzip"
        body = self.compressed if zipped else self.body
        return web.Response(body=body, headers=sent | {hdrs.CONTENT_TYPE: self.media_type})


class PageFiles:
    """The built-in page, read and compressed once, when the server starts.

    `document`: index.html with the hashed names, the import map that gives each module its hashed name, and
    `modulepreload` for all that `main.js` imports, so that they are fetched at once and not one after the other.
    Style sheets become one. `files`: by name, hashed and plain: the plain ones are for who copies them.
    """

    def __init__(self, files: Iterable[Path], index: Path) -> None:
        """Raises :class:`PageTooLargeError` above :data:`LARGEST_BYTES`, OSError where one cannot be read."""
        read = {file.name: file.read_bytes() for file in files}
        if sum(map(len, read.values())) > LARGEST_BYTES:
            raise PageTooLargeError(f"The meeting page has more than {LARGEST_BYTES} bytes.")
        html = index.read_text("utf-8")
        styles = [Path(name).name for name in re.findall(r'rel="stylesheet" href="([^"]+)"', html)]
        read["page.css"] = b"".join(read[name] for name in styles)
        html = _STYLES.sub('<link rel="stylesheet" href="/assets/page.css">\n', html)
        self.plain = {name: Content.of(body, name) for name, body in read.items()}
        hashed = {name: _hashed(name, content) for name, content in self.plain.items()}
        self.immutable = {hashed[name]: content for name, content in self.plain.items()}
        modules = sorted(name for name in read if name.endswith(".js"))
        imports = {"imports": {ASSETS + name: ASSETS + hashed[name] for name in modules}}
        import_map = json.dumps(imports, separators=(",", ":"))
        self.import_map_source = f"'sha256-{base64.b64encode(_digest(import_map.encode())).decode()}'"
        """What Content-Security-Policy allows the import map by: a script inside the page, and the only one."""
        ahead = "".join(
            f'<link rel="modulepreload" href="{ASSETS}{hashed[name]}">\n' for name in _imported(read, START)
        )
        html = _ASSET.sub(lambda match: ASSETS + hashed[match[1]], html)
        # An import map has to come before the first module, and before anything that fetches one.
        html = html.replace(_SCRIPT, f'<script type="importmap">{import_map}</script>\n{ahead}{_SCRIPT}', 1)
        self.document = Content.of(html.encode(), index.name)


def _imported(read: Mapping[str, bytes], start: str) -> list[str]:
    """What that module imports, and what those import, in the order in which they are met."""
    met = [start]
    for name in met:
        met += dict.fromkeys(
            found for found in _IMPORT.findall(read[name].decode()) if found in read and found not in met
        )
    return met[1:]


def _hashed(name: str, content: Content) -> str:
    """`signaling.js` → `signaling.<hash>.js`."""
    stem, dot, ending = name.rpartition(".")
    return f"{stem}.{content.short_hash}{dot}{ending}"


def _digest(body: bytes) -> bytes:
    return hashlib.sha256(body).digest()


def _takes_gzip(fields: Iterable[str]) -> bool:
    """Whether `Accept-Encoding` has gzip (RFC 9110, §12.5.3), not with a weight of zero."""
    weights: dict[str, float] = {}
    for part in ",".join(fields).split(","):
        coding, _, weight = part.partition(";")
        name, _, value = weight.strip().partition("=")
        try:
            weights[coding.strip().lower()] = float(value) if name.strip().lower() == "q" else 1.0
        except ValueError:
            weights[coding.strip().lower()] = 0.0
    return weights.get("gzip", weights.get("*", 0.0)) > 0
