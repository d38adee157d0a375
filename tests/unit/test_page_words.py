"""The built-in page's words: each language has every sentence, with the same {names} in it."""

from __future__ import annotations

import json
import re
from html.parser import HTMLParser
from pathlib import Path

import pytest

from neuron_meet.web_client import INDEX, PAGE

LANGUAGES = sorted(PAGE.glob("words-*.js"))
SOURCES = {path.name: path.read_text() for path in PAGE.glob("*.js") if not path.name.startswith("words-")}
LITERAL = re.compile(r'"((?:[^"\\]|\\.)*)"')
NOT_TRANSLATED = {"Neuron Meet", "abc-def-ghi", "Meeting Room", "Meeting"}
"""Names, and what a script overwrites before anybody sees it."""
COMPOSED = {
    "the microphone",
    "the camera",
    "the screen",
    "the camera and microphone",
    *(
        f"No {what} was found. Plug one in, then try again. You can also join without."
        for what in ("microphone", "camera", "screen", "camera or microphone")
    ),
    *(
        f"The {what} is gone. Plug it in again, or choose another under “Devices”."
        for what in ("microphone", "camera")
    ),
    *(f"Switch the {what} {state}" for what in ("microphone", "camera") for state in ("on", "off")),
}
"""Sentences that a script puts together, from parts that languages do not put together alike."""


class Document(HTMLParser):
    """The sentences of index.html: texts, and names of elements."""

    def __init__(self) -> None:
        super().__init__()
        self.sentences = set[str]()
        self._path: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self._path.append(tag)
        for name, value in attrs:
            if name in ("aria-label", "placeholder", "title") and value:
                self.sentences.add(value)

    def handle_endtag(self, tag: str) -> None:
        while self._path and self._path.pop() != tag:
            pass

    def handle_data(self, data: str) -> None:
        # Without scripts, nothing is translated.
        if "body" in self._path and "noscript" not in self._path and re.search(r"\w", data):
            self.sentences.add(" ".join(data.split()))


def sentences() -> set[str]:
    """Whatever the page may say, in English."""
    document = Document()
    document.feed(INDEX.read_text())
    found = document.sentences | COMPOSED
    for name, source in SOURCES.items():
        found |= {json.loads(f'"{text}"') for text in re.findall(r'\bt\("((?:[^"\\]|\\.)*)"', source)}
        for arguments in re.findall(r"\bt\(([^()]*)", source):  # t(a ? "one" : "other")
            found |= {text for text in LITERAL.findall(arguments) if re.match(r"[A-Z{]", text)}
        if name == "words.js":  # all but the contract's texts, which are keys
            found |= set(re.findall(r'"([A-Z][^"\n]*)"(?!:)', source)) - {"InsecureContext"}
    found |= {
        text for _, text in re.findall(r'^  \["(.)", .*, "([^"]+)"\],$', SOURCES["keys.js"], re.MULTILINE)
    }
    found |= {"Space", "Esc", "Hold to talk while muted", "Close what is open"}
    found |= set(re.findall(r'^  \w+: "(Enter [^"]+)",$', SOURCES["rest.js"], re.MULTILINE))
    found |= set(
        re.findall(r'"([A-Z{][^"]+)"', between(SOURCES["announce.js"], "#tell() {", "gathered.clear"))
    )
    found |= {"Microphone", "Camera", "Loudspeaker", "In use", "The browser's own", "None available"}
    for words in re.findall(r'button\("\w+", .*', SOURCES["controls.js"]):
        found |= set(re.findall(r'"([A-Z][^"]+)"', words))
    browsers = {"NotAllowedError", "SecurityError", "NotFoundError", "OverconstrainedError"}
    return found - NOT_TRANSLATED - browsers - {"NotReadableError", "AbortError"}


def between(text: str, start: str, end: str) -> str:
    begin = text.index(start)
    return text[begin : text.index(end, begin)]


def translations(source: str) -> dict[str, str]:
    """The object of a language's file, which is JSON but for the comment and the `export`."""
    found = json.loads(source[source.index("{") : source.rindex("}") + 1])
    assert isinstance(found, dict)
    return found


@pytest.mark.parametrize("path", LANGUAGES, ids=[path.stem for path in LANGUAGES])
def test_a_language_has_every_sentence(path: Path) -> None:
    words = translations(path.read_text())
    assert sorted(sentences() - words.keys()) == []
    assert sorted(words.keys() - sentences()) == []
    for sentence, translated in words.items():
        assert sorted(re.findall(r"\{\w+\}", sentence)) == sorted(re.findall(r"\{\w+\}", translated)), (
            sentence
        )
