#!/usr/bin/env python3
"""Fills in `wire` of every vector from its readable `headers`, and formats the files.

    python3 tests/vectors/encode.py           rewrites the files
    python3 tests/vectors/encode.py --check   fails if a file would change

It needs Python only. What a vector expects is edited by hand.
"""

import json
import struct
import sys
from pathlib import Path

HERE = Path(__file__).resolve().parent

# The layout of the fixed-size AMQP 0-9-1 values, by type.
FIXED = {
    "t": ">?", "b": ">b", "B": ">B", "U": ">h", "s": ">h", "u": ">H", "I": ">i", "i": ">I",
    "l": ">q", "L": ">q", "f": ">f", "d": ">d", "T": ">Q",
}  # fmt: skip


class Bytes:
    """Bytes as runs: a run of 100,000 zeros stays short."""

    def __init__(self, runs=()):
        self.runs = [(data, times) for data, times in runs if data and times]

    def __add__(self, other):
        return Bytes(self.runs + other.runs)

    def __len__(self):
        return sum(len(data) * times for data, times in self.runs)

    def times(self, times):
        if times == 1:
            return self
        if all(times == 1 for _, times in self.runs):
            return Bytes([(b"".join(data for data, _ in self.runs), times)])
        return Bytes(self.runs * times)

    def expand(self):
        return b"".join(data * times for data, times in self.runs)

    def to_json(self):
        pieces = []
        for data, times in self.runs:
            if times > 1:
                pieces.append({"repeat": data.hex(), "times": times})
            elif pieces and isinstance(pieces[-1], str):
                pieces[-1] += data.hex()
            else:
                pieces.append(data.hex())
        if not pieces:
            return ""
        return pieces[0] if len(pieces) == 1 and isinstance(pieces[0], str) else pieces


def raw(data):
    return Bytes([(data, 1)])


def pieces(value, decode):
    """Reads text or hexadecimal digits: a string, or a list of strings and repeated strings."""
    if isinstance(value, str):
        return raw(decode(value))
    runs = [(piece, 1) if isinstance(piece, str) else (piece["repeat"], piece["times"]) for piece in value]
    return Bytes([(decode(piece), times) for piece, times in runs])


def content(header, name):
    """The bytes of a key or value; `None` is null."""
    if name + "_hex" in header:
        return pieces(header[name + "_hex"], bytes.fromhex)
    value = header[name]
    return None if value is None else pieces(value, str.encode)


def amqp_value(value):
    kind = value["type"]
    letter = raw(kind.encode())
    if kind == "V":
        return letter
    if kind in FIXED:
        return letter + raw(struct.pack(FIXED[kind], value["value"]))
    if kind == "D":
        return letter + raw(struct.pack(">BI", value["value"]["scale"], value["value"]["value"]))
    if kind in ("S", "x"):
        inner = content(value, "value")
    elif kind == "A":
        inner = sum((amqp_value(item) for item in value["value"]), Bytes())
    elif kind == "F":
        inner = sum((amqp_header(item) for item in value["value"]), Bytes())
    else:
        raise ValueError(f"unknown AMQP type {kind!r}")
    encoded = letter + raw(struct.pack(">I", len(inner))) + inner
    # `depth` wraps the value again: each time as the only element of an array, or under the same key of a table.
    for _ in range(value.get("depth", 1) - 1):
        inner = encoded.expand()
        if kind == "F":
            key = value["value"][0]["key"].encode()
            inner = bytes([len(key)]) + key + inner
        encoded = letter + raw(struct.pack(">I", len(inner)) + inner)
    return encoded


def amqp_header(header):
    key = content(header, "key").expand()
    return (raw(bytes([len(key)]) + key) + amqp_value(header)).times(header.get("times", 1))


def amqp(headers):
    entries = sum((amqp_header(header) for header in headers), Bytes())
    return raw(struct.pack(">I", len(entries))) + entries


def varint(number):
    """A zig-zag varint, as in Kafka's record format v2."""
    number = (number << 1) ^ (number >> 31)
    encoded = bytearray()
    while number > 0x7F:
        encoded.append(number & 0x7F | 0x80)
        number >>= 7
    return bytes(encoded + bytes([number]))


def kafka_header(header):
    key, value = content(header, "key"), content(header, "value")
    encoded = raw(varint(len(key))) + key
    encoded += raw(varint(-1)) if value is None else raw(varint(len(value))) + value
    return encoded.times(header.get("times", 1))


def kafka(headers):
    count = sum(header.get("times", 1) for header in headers)
    return raw(varint(count)) + sum((kafka_header(header) for header in headers), Bytes())


def lines(name, items, indent, last=False):
    """One line for each item of a list."""
    end = "" if last else ","
    if not items:
        return [f'{indent}"{name}": []{end}']
    inner = [f"{indent}  {json.dumps(item)}," for item in items]
    inner[-1] = inner[-1][:-1]
    return [f'{indent}"{name}": [', *inner, f"{indent}]{end}"]


def formatted(document):
    text = ["{", '  "$schema": "../schema.json",']
    text += [f'  "{name}": {json.dumps(document[name])},' for name in ("transport", "about")]
    text.append('  "vectors": [')
    for vector in document["vectors"]:
        text.append("    {")
        single = [name for name in ("id", "why", "source", "refused_by", "wire") if name in vector]
        text += [f'      "{name}": {json.dumps(vector[name])},' for name in single]
        text += lines("headers", vector["headers"], "      ")
        text.append('      "outcomes": [')
        for outcome in vector["outcomes"]:
            text.append("        {")
            first = [f'"{name}": {json.dumps(outcome[name])}' for name in ("conflict", "status", "field")]
            text.append(f"          {', '.join(first)},")
            text.append(f'          "context": {json.dumps(outcome["context"])},')
            text += lines("baggage", outcome["baggage"], "          ")
            text += lines("links", outcome["links"], "          ")
            text += lines("forward", outcome["forward"], "          ", last=True)
            text.append("        },")
        text[-1] = "        }"
        text += ["      ]", "    },"]
    text[-1] = "    }"
    return "\n".join([*text, "  ]", "}", ""])


def main():
    stale = []
    for path in sorted(HERE.glob("*/*.json")):
        document = json.loads(path.read_text())
        encode = {"amqp": amqp, "kafka": kafka}[document["transport"]]
        for vector in document["vectors"]:
            vector["wire"] = encode(vector["headers"]).to_json()
        text = formatted(document)
        if text != path.read_text():
            stale.append(str(path.relative_to(HERE)))
            if "--check" not in sys.argv:
                path.write_text(text)
    if stale:
        print("changed:" if "--check" not in sys.argv else "stale:", *stale)
    return 1 if stale and "--check" in sys.argv else 0


if __name__ == "__main__":
    sys.exit(main())
