#!/usr/bin/env python3
"""Prints which vectors other clients pass: pika and confluent-kafka with OpenTelemetry's propagators for Python.

    python3 -m venv /tmp/peers && /tmp/peers/bin/pip install -qr tests/vectors/requirements.txt \
        && /tmp/peers/bin/python tests/vectors/run_peers.py

No broker is needed. `--update` writes the table into the README instead. The files are checked against the schema first.
"""

import json
import logging
import sys
from importlib.metadata import version
from pathlib import Path

import jsonschema
import pika.data
from opentelemetry import baggage, propagate, trace
from opentelemetry.context import Context
from opentelemetry.instrumentation.confluent_kafka.utils import _kafka_getter, _kafka_setter
from opentelemetry.instrumentation.pika.utils import _pika_getter

sys.dont_write_bytecode = True
import encode  # noqa: E402: after the line above

HERE = Path(__file__).resolve().parent
FIELDS = {"traceparent", "tracestate", "baggage"}
START, END = "<!-- table of run_peers.py -->\n", "<!-- end of the table -->\n"


def is_field(key):
    """Whether a key is a field in any case; pika shows a key that is not UTF-8 as bytes."""
    return isinstance(key, str) and key.lower() in FIELDS


def text(pieces):
    return encode.pieces(pieces, str.encode).expand().decode()


class Pika:
    name = "pika"
    packages = ("pika", "opentelemetry-instrumentation-pika", "opentelemetry-api")

    @staticmethod
    def decode(wire):
        table, _ = pika.data.decode_table(wire, 0)
        return table

    @staticmethod
    def extract(headers):
        return propagate.extract(headers, getter=_pika_getter)

    @staticmethod
    def inject(headers, cx):
        propagate.inject(headers, context=cx)
        pika.data.encode_table([], headers)

    @classmethod
    def expected(cls, headers):
        """The fields and the other headers, as the client shows them."""
        return cls.split(cls.decode(encode.amqp(headers).expand()))

    @staticmethod
    def split(table):
        return (
            {key: value for key, value in table.items() if is_field(key)},
            {key: value for key, value in table.items() if not is_field(key)},
        )


class ConfluentKafka:
    name = "confluent-kafka"
    packages = ("confluent-kafka", "opentelemetry-instrumentation-confluent-kafka", "opentelemetry-api")

    @staticmethod
    def decode(wire):
        """The list that `Message.headers()` returns: keys as text up to their first NUL, values as bytes."""
        at = 0

        def varint():
            nonlocal at
            number = shift = 0
            while True:
                byte = wire[at]
                at += 1
                number |= (byte & 0x7F) << shift
                shift += 7
                if byte < 0x80:
                    return (number >> 1) ^ -(number & 1)

        def content():
            nonlocal at
            length = varint()
            if length < 0:
                return None
            at += length
            return wire[at - length : at]

        return [(content().split(b"\0")[0].decode(), content()) for _ in range(varint())]

    @staticmethod
    def extract(headers):
        return propagate.extract(headers, getter=_kafka_getter)

    @staticmethod
    def inject(headers, cx):
        propagate.inject(headers, context=cx, setter=_kafka_setter)

    @classmethod
    def expected(cls, headers):
        return cls.split(cls.decode(encode.kafka(headers).expand()))

    @staticmethod
    def split(headers):
        """The fields in any order, and the other headers in their order."""
        return (
            sorted((header for header in headers if is_field(header[0])), key=repr),
            [header for header in headers if not is_field(header[0])],
        )


def differences(outcome, cx):
    """The parts of a context that are not as expected."""
    span = trace.get_current_span(cx).get_span_context()
    expected = outcome["context"]
    found = []
    if span.is_valid != (expected is not None):
        found.append("a context is found" if span.is_valid else "no context is found")
    elif expected is not None:
        ids = (trace.format_trace_id(span.trace_id), trace.format_span_id(span.span_id))
        if ids != (expected["trace_id"], expected["span_id"]):
            found.append("another context")
        if f"{span.trace_flags:02x}" != expected["flags"]:
            found.append(f"flags {span.trace_flags:02x}")
        state = span.trace_state.to_header()
        if state != text(expected["tracestate"]):
            found.append("other tracestate" if state else "no tracestate")
    members = {member["key"]: text(member["value"]) for member in outcome["baggage"]}
    read = dict(baggage.get_all(cx))
    if read != members:
        found.append("other baggage" if read else "no baggage")
    return found


def forwarded(client, outcome, headers):
    fields, others = client.split(headers)
    expected_fields, expected_others = client.expected(outcome["forward"])
    found = []
    if fields != expected_fields:
        old = len(fields) > len(expected_fields)
        found.append("old fields stay" if old else "other fields")
    if others != expected_others:
        found.append("other headers differ")
    return found


def attempt(action):
    """The result of an action, or what it raised."""
    try:
        return action(), None
    except Exception as error:  # noqa: BLE001: whatever a peer raises is its result
        return None, f"raises {type(error).__name__}"


def run(client, vector):
    """What the client reads, and what it forwards: empty if all is as expected."""
    wire = encode.pieces(vector["wire"], bytes.fromhex).expand()
    headers, error = attempt(lambda: client.decode(wire))
    if error is None:
        cx, error = attempt(lambda: client.extract(headers))
    if error is not None:
        return error, error
    # Either rule for conflicting traceparents is right.
    read, outcome = min(
        ((differences(outcome, cx), outcome) for outcome in vector["outcomes"]), key=lambda pair: len(pair[0])
    )
    _, error = attempt(lambda: client.inject(headers, cx))
    forward = [error] if error else forwarded(client, outcome, headers)
    return ", ".join(read), ", ".join(forward)


def rows(heading, lines):
    return [f"| {' | '.join(heading)} |", f"|{' --- |' * len(heading)}", *(f"| {' | '.join(line)} |" for line in lines)]


def main():
    logging.disable(logging.CRITICAL)
    schema = json.loads((HERE / "schema.json").read_text())
    validator = jsonschema.Draft202012Validator(schema)
    summary, results = [], {}
    for client, folder in ((Pika, "amqp"), (ConfluentKafka, "kafka")):
        sums = [0, 0, 0]
        for path in sorted((HERE / folder).glob("*.json")):
            document = json.loads(path.read_text())
            validator.validate(document)
            counts = [len(document["vectors"]), 0, 0]
            for vector in document["vectors"]:
                read, forward = run(client, vector)
                counts[1] += not read
                counts[2] += not forward
                result = (f"{folder}/{path.stem}", read or "pass", forward or "pass")
                star = r"\*" if vector["source"].startswith("carrier-core/") else ""
                results.setdefault(result, []).append(vector["id"].split("/")[-1] + star)
            sums = [sum(pair) for pair in zip(sums, counts)]
            summary.append((f"{folder}/{path.stem}", client.name, *map(str, counts)))
        summary.append((f"**{folder}**", f"**{client.name}**", *(f"**{count}**" for count in sums)))
    names = sorted({name for client in (Pika, ConfluentKafka) for name in client.packages})
    lines = [f"Versions: {', '.join(f'{name} {version(name)}' for name in names)}.", ""]
    lines += rows(("file", "client", "vectors", "read as expected", "forwarded as expected"), summary)
    lines += ["", "The result of each vector; a star marks our own choice, which no specification asks for:", ""]
    lines += rows(
        ("file", "read", "forwarded", "vectors"), [(*result, ", ".join(ids)) for result, ids in sorted(results.items())]
    )
    table = "\n".join(lines) + "\n"
    if "--update" not in sys.argv:
        print(table, end="")
        return
    readme = HERE / "README.md"
    before, rest = readme.read_text().split(START)
    readme.write_text(before + START + "\n" + table + "\n" + END + rest.split(END)[1])


if __name__ == "__main__":
    assert Context() == {}, "the current context must be empty"
    main()
