//! What the numbers do not say themselves.

pub(crate) const HOW: &str = "\
How much time carrying a context takes, as a ratio: against the least that anybody could do with the client's own types.

- **floor**: what the table says, written by hand, with ready strings, and with nothing checked.
- **own**: a `Propagation` with our propagator. **default**: the free functions with nothing registered. **registered**: the
  free functions with our propagator registered at OpenTelemetry's `global`, behind its lock and its dynamic types.
- Floor and case take turns, 64 pieces of work each; the medians of 80 turns make a ratio, and that is one round. A cell is
  the median of the rounds and, in brackets, the range of their middle half. Making the input and dropping the output do
  not count; that a span ends does.
- **met** and **missed**: the median is on that side of the target with a confidence of 95 %.
- allocations, the floor's → ours, and instructions under Valgrind, as times the floor's, are of **own**. They are the same
  in every run, and `cargo xtask test` fails where they grow.

`cargo xtask bench` makes this file and the picture, `cargo xtask bench --quick` tries whether it would. `cargo bench -p carrier-amqp --all-features --bench
amqp` is criterion over the same cases.
";

pub(crate) const PEERS_IN_WORDS: &str = "\
The same message and the same context, without tracestate and baggage.

- **stock**: OpenTelemetry's `TraceContextPropagator` through the `Injector` or `Extractor` of fifteen lines that people
  write. It carries no baggage, leaves the old headers of a forwarded message that it does not write itself, writes an
  empty `tracestate`, reads one value of a field and takes ids that are malformed. No size is limited. Ours writes and reads
  `traceparent`, `tracestate` and `baggage`, replaces what was there at once, checks all of it and limits its size.
- **hash map**: the same propagator, through a `HashMap<String, String>` that is filled from the message or emptied into it.
- **copied snippet**: the injector for Kafka that is copied from project to project: all headers are built anew for each
  key. **mem::take**: the better one, which takes them out and appends; it never removes an old context.
- **streameroo** 0.7, `amqp::telemetry::{inject_context, extract_context}`: the registered propagator over the table of
  `amqprs`, another client. No size is limited, nothing is replaced that is not written; a reader first makes text of every
  header that is no string.
- **krabka-trace-context** 0.8, `current_trace_headers` and `extract_context`: pairs of strings for whatever client, and back
  through a `HashMap` of all headers. It finds the context in `tracing`'s current span, which is part of what it does;
  turning the pairs into rdkafka's headers is left to its user, and not measured.

The two are measured with OpenTelemetry's stock propagator registered, and against our **own** on a table of lapin's, on
headers of rdkafka's, and into the same pairs from the same span of `tracing`.
";

/// Behind the table of peers.
pub(crate) const PEERS_BEHIND: &str = "
Where the stock propagator is not left three times behind on AMQP, what both pay is why: the allocations and the insert that
are the floor, or the `Context`. A third of what the stock propagator takes is hardly more than that floor, on injection as
on extraction; in these ours checks, looks for what is old, and keeps the size.
";

/// Before what `cargo xtask load` found.
pub(crate) const END_TO_END: &str = "\
At full speed the sender is all that counts: it puts a record into librdkafka's queue every microsecond or two, on two
processors that it shares with librdkafka's threads and with the broker. A header of one's own, ready-made, costs a third of
the throughput there. Where level 2 misses its target, **a span by hand around level 1** is the least that the SDK's span
costs in that place: the same span with the same attributes, ended by the delivery's callback, and nothing else.

";

/// Why a row is over its target: what the floor does not do, or what cannot be had for less.
pub(crate) const NOTES: [(&[&str], &str); 14] = [
    (
        &["amqp: inject, empty properties"],
        "The floor puts a ready string into properties that it has by value. Of the 920 instructions that ours takes more, \
         190 move the properties out of the message and back, since lapin changes them by value only; 140 make 55 \
         characters of two numbers; 80 sum up the content header, since a message over the frame \
         would cost the connection; the rest takes the span out of the context, looks for a random flag, members of \
         `tracestate` and baggage that are to go along, and writes the report.",
    ),
    (
        &["amqp: inject, table of 5"],
        "The floor inserts a ready string and does not look at the table. Ours walks it once: that there is no old field, \
         and how large the content header is, are known only then. That is some 50 instructions for each header, and grows with \
         them; the rest is as for empty properties, without moving those.",
    ),
    (
        &["kafka: inject, no headers"],
        "No allocation more than the floor. What ours adds are 600 instructions, of which 140 make 55 characters of two \
         numbers, beside a floor of 430.",
    ),
    (
        &["core: http inject"],
        "The floor has a `HeaderValue`. Ours has to make one, and `http` looks at each of its 55 bytes for what no header \
         may hold: 200 instructions of the 790 more. Then come the digits, as for the others.",
    ),
    (
        &["amqp: inject, properties with 5"],
        "Thirteen allocations of the clone are the floor's as well. On top come the same steps as for a table.",
    ),
    (
        &[
            "amqp: inject, tracestate and baggage",
            "kafka: inject, tracestate and baggage",
            "core: http inject, tracestate and baggage",
        ],
        "The floor has three ready strings. \
         Ours makes them of OpenTelemetry's types: every key and value of the `TraceState` is checked byte by byte, since a \
         sampler can put into it what no header may hold, and \
         `Baggage` is a hash map, so that it is sorted to come out the same each time, and checked for what has to be \
         percent-encoded.",
    ),
    (
        &["amqp: extract, 1 header", "amqp: extract, 10 headers", "core: http extract"],
        "The floor looks for one name and stops. Ours looks for three (`tracestate` and `baggage` are known to be \
         absent only when they were looked for): up to ten headers are walked once, 33 instructions for each, and with more \
         the table is searched three times. **registered** reads through OpenTelemetry's `Extractor`: behind a lock, with an \
         empty context attached around it, since propagators that are not ours answer with the current one.",
    ),
    (
        &["kafka: extract, 1 header", "kafka: extract, 20 headers"],
        "The floor has librdkafka look for the last `traceparent`, which is at the end, and stops there. \
         That there is no other before it, no `tracestate` and no `baggage` is known only when the whole list was walked: \
         once for all three, 60 instructions for each header, 26 of them librdkafka's. \
         With one header ours makes as many instructions as the floor and still takes longer: presumably they wait for one \
         another, since a span context is moved from where it is read to where it stays. \
         What ours takes grows with the headers of a message for that reason.",
    ),
    (
        &[
            "amqp: extract, tracestate and baggage",
            "kafka: extract, tracestate and baggage",
            "core: http extract, tracestate and baggage",
        ],
        "The floor checks nothing, and decodes nothing.",
    ),
    (&["kafka: inject, 5 headers"], "The registered propagator writes through an `Injector`."),
    (
        &[
            "core: send, not recorded",
            "kafka: send, not recorded",
            "core: process, not recorded",
            "amqp: process, not recorded",
            "kafka: process, not recorded",
        ],
        "Most of both is the SDK's. Ours looks at the current context for a span around as well, makes sure that nobody is \
         linked twice, and keeps what ends a span exactly once, whatever order a handler and a settlement come in; AMQP's \
         delivery is named after its exchange, routing key and queue.",
    ),
    (
        &[
            "core: send, skipped",
            "core: process, skipped",
            "amqp: process, skipped",
            "kafka: process, skipped",
        ],
        "No span is started; what is left beside level 1 is a look at the current context, a reference count for each thing \
         that the guard holds, and moving the guard to where it is kept.",
    ),
    (
        &[
            "core: send, recorded",
            "kafka: send, recorded",
            "core: process, recorded",
            "kafka: process, recorded",
            "amqp: process, recorded",
        ],
        "Both create the same span. Ours looks at the current context for a span around as well, makes sure that \
         nobody is linked twice, and keeps the span where a handler, a settlement and a drop can each end it, once: no single \
         step of these takes more than 300 instructions beside the floor's 4,200. On AMQP 360 more set four attributes that only \
         a span which is recorded needs, behind its start and so through the lock that the SDK has around a current span, \
         120 say how the message was settled, 200 put together the name of its route, and 100 look for its timestamp.",
    ),
    (
        &["core: send, recorded, without level 1", "core: process, recorded, without level 1"],
        "Ours writes and reads the message's context, and the floor here does neither. That is level 1, and a good \
         half of what this span costs by hand; the rows above have it in the floor as well.",
    ),
];
