"""The text of each page of a PDF that Chromium printed: enough of the format for that, without a library."""

import re
import zlib


def read_pages(content: bytes) -> list[str]:
    """The text of each page, blanks as the writer left them."""
    objects = {
        int(number): body
        for number, body in re.findall(rb"(?:^|[\r\n])(\d+) 0 obj\b(.*?)\bendobj", content, flags=re.DOTALL)
    }
    return [_read_page(objects, body) for body in objects.values() if re.search(rb"/Type\s*/Page\b", body)]


def _read_page(objects: dict[int, bytes], body: bytes) -> str:
    named = re.search(rb"/Font\s*<<(.*?)>>", body, re.DOTALL)
    fonts = {}
    for name, number in re.findall(rb"/(\w+)\s+(\d+) 0 R", named[1] if named else b""):
        unicode = _follow(objects, objects[int(number)], rb"ToUnicode")
        fonts[name] = _read_map(_inflate(unicode)) if unicode else {}
    contents = _follow(objects, body, rb"Contents")
    return _read_text(_inflate(contents), fonts) if contents else ""


def _follow(objects: dict[int, bytes], body: bytes, key: bytes) -> bytes | None:
    found = re.search(rb"/" + key + rb"\s+(\d+) 0 R", body)
    return objects[int(found[1])] if found else None


def _inflate(body: bytes) -> bytes:
    stream = re.search(rb"stream\r?\n(.*?)\r?\n?endstream", body, re.DOTALL)[1]
    return zlib.decompressobj().decompress(stream) if b"/FlateDecode" in body else stream


def _read_map(text: bytes) -> dict[int, str]:
    """Glyph to text, from a font's ToUnicode."""

    def decode(digits: bytes) -> str:
        return bytes.fromhex(digits.decode()).decode("utf-16-be")

    found = {}
    for part in re.findall(rb"beginbfchar(.*?)endbfchar", text, re.DOTALL):
        found |= {int(glyph, 16): decode(char) for glyph, char in re.findall(rb"<(\w+)>\s*<(\w+)>", part)}
    for part in re.findall(rb"beginbfrange(.*?)endbfrange", text, re.DOTALL):
        for first, last, char in re.findall(rb"<(\w+)>\s*<(\w+)>\s*<(\w+)>", part):
            start = ord(decode(char))
            found |= {int(first, 16) + step: chr(start + step) for step in range(int(last, 16) - int(first, 16) + 1)}
    return found


def _read_text(content: bytes, fonts: dict[bytes, dict[int, str]]) -> str:
    text, font = "", {}
    for name, glyphs in re.findall(rb"/(\w+) [\d.]+ Tf|<([0-9A-Fa-f]+)>", content):
        if name:
            font = fonts.get(name, {})
            continue
        codes = [int(glyphs[place : place + 4], 16) for place in range(0, len(glyphs), 4)]
        text += "".join(font.get(code, "") for code in codes)
    return text
