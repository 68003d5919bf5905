"""Files of documents or queries: where each text lies is noted once, and texts are read when they are asked for."""

from __future__ import annotations

import html
import re
from collections.abc import Iterator
from pathlib import Path

from mechviz.corpora.lines import decode
from mechviz.errors import InputError, shown

#: What a file holds -> the tag around one of them, in TREC's format.
TAGS = {"docs": "doc", "queries": "top"}
_MARKUP = re.compile(r"<!--.*?-->|</?[A-Za-z][^<>]*>", re.S)
_DOC_ID = re.compile(r"<docno>(.*?)</docno>", re.I | re.S)
#: The parts of a TREC document that are its text; one without them is text as a whole.
_CONTENT = re.compile(r"<(title|headline|hl|head|ttl|text|leadpara)\b[^<>]*>(.*?)</\1\s*>", re.I | re.S)
#: The parts of a TREC topic; in the old ones they are not closed, and begin with a word.
_TOPIC = re.compile(r"<(num|title|desc)\b[^<>]*>\s*(?:(?:number|topic|description)\s*:)?([^<]*)", re.I)


class TextFile:
    """Documents or queries of a file, by their ids.

    The file is TREC's (``<DOC> <DOCNO>`` or ``<top> <num>``) or has an id, a tab and a text in each line. It is read through
    once, when the first text is asked for; only the ids and the places of the texts are held.

    Parameters
    ----------
    path : Path
    holds : ``"docs"`` or ``"queries"``
    encoding : str
    """

    def __init__(self, path: Path, holds: str, encoding: str = "utf-8") -> None:
        self.path = path
        self.tag = TAGS[holds]
        self.encoding = encoding
        self._places: dict[str, tuple[int, int, str]] = {}

    def get_many(self, ids: list[str]) -> dict[str, str]:
        """Return the texts of those ids that the file has.

        Raises
        ------
        InputError
            A part of the file that cannot be read, with its line number; an id that comes twice.
        """
        places = self._index()
        found = {}
        with self.path.open("rb") as file:
            for name in ids:
                if name in places:
                    offset, length, where = places[name]
                    file.seek(offset)
                    read, found[name] = self._parse(file.read(length), where)
                    if read != name:
                        raise InputError(f"{where}: here was {name}, and is {read} now; the file has changed, open it again")
        return found

    def read(self) -> dict[str, str]:
        """Return all texts by id, in the order of the file."""
        return self.get_many(list(self._index()))

    def _index(self) -> dict[str, tuple[int, int, str]]:
        if not self._places:
            places: dict[str, tuple[int, int, str]] = {}
            for offset, block, where in self._blocks():
                name, _ = self._parse(block, where)
                if name in places:
                    raise InputError(f"{where}: {shown(name)} comes twice, first in {places[name][2]}")
                places[name] = (offset, len(block), where)
            self._places = places
        return self._places

    def _blocks(self) -> Iterator[tuple[int, bytes, str]]:
        """Yield the place, the bytes and, for messages, the line of each text."""
        start, end = f"<{self.tag}>".encode(), f"</{self.tag}>".encode()
        markup: bool | None = None
        block, began, where, offset = b"", 0, "", 0
        with self.path.open("rb") as file:
            for number, line in enumerate(file, 1):
                here = f"{self.path}, line {number}"
                bare = line.removeprefix(b"\xef\xbb\xbf").strip().lower()
                if markup is None and bare:
                    markup = bare.startswith(b"<")
                if not markup and bare:
                    yield offset, line, here
                elif markup and (block or bare.startswith(start)):
                    if block and start in bare:
                        raise InputError(f"{here}: a <{self.tag}> begins before the one of {where} has ended")
                    if not block:
                        began, where = offset, here
                    block += line
                    if end in bare:
                        yield began, block, where
                        block = b""
                offset += len(line)
        if block:
            raise InputError(f"{where}: this <{self.tag}> has no </{self.tag}>")

    def _parse(self, block: bytes, where: str) -> tuple[str, str]:
        text = decode(block.removeprefix(b"\xef\xbb\xbf"), self.encoding, where).replace("\r\n", "\n")
        if text.lstrip().startswith("<"):
            return self._parse_doc(text, where) if self.tag == "doc" else self._parse_topic(text, where)
        name, tab, rest = text.rstrip("\r\n").partition("\t")
        if not tab or not name.strip() or "\t" in rest:
            raise InputError(f"{where}: not an id, a tab and a text: {shown(text)}")
        return name.strip(), rest

    def _parse_doc(self, text: str, where: str) -> tuple[str, str]:
        found = _DOC_ID.search(text)
        if not found or not found[1].strip():
            raise InputError(f"{where}: this <doc> has no <docno>")
        parts = [part for _, part in _CONTENT.findall(text)] or [text[: found.start()] + text[found.end() :]]
        return found[1].strip(), "\n".join(html.unescape(_MARKUP.sub("", part)).strip() for part in parts).strip()

    def _parse_topic(self, text: str, where: str) -> tuple[str, str]:
        parts = {name.lower(): html.unescape(part).strip() for name, part in _TOPIC.findall(text)}
        if not parts.get("num"):
            raise InputError(f"{where}: this <top> has no <num>")
        return parts["num"], parts.get("title") or parts.get("desc", "")
