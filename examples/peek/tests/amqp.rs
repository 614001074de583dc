//! A RabbitMQ queue: what is said of its messages, and that they are as before.

use std::process::{Command, Stdio};
use std::time::{Duration, SystemTime};

use carrier_tests::telemetry::{BAGGAGE, TRACEPARENT, sampled_context};
use lapin::BasicProperties;
use lapin::types::{AMQPValue, FieldTable};
use opentelemetry::trace::TraceContextExt as _;
use serde_json::json;

use crate::queues::{Queue, table, text as long_string};
use crate::stall::Stall;
use crate::{HOSTILE, assert_harmless, assert_keys, objects, text, verdicts};

async fn with_field(name: &str, value: AMQPValue) -> Queue {
    let queue = Queue::classic().await;
    queue.publish(table(&[(name, value)]), "1").await;
    queue
}

#[tokio::test(flavor = "multi_thread")]
async fn messages_are_back_in_their_order_after_a_look() {
    const COUNT: u32 = 100;
    let unlimited = [("x-queue-type", long_string("quorum")), ("x-delivery-limit", AMQPValue::LongInt(-1))];
    for (kind, queue) in [
        ("classic", Queue::classic().await),
        ("quorum", Queue::quorum().await),
        ("unlimited quorum", Queue::declare(&unlimited).await),
    ] {
        queue.publish_many(COUNT).await;
        // After the first look a quorum queue has messages that came back and others that were never out.
        for number in ["13", "1", "12", "140", "60", "4"] {
            let ended = queue.peek(&["-n", number, "--yes"]).await;
            assert_eq!(ended.code, Some(0), "{ended:?}");
            let looks = ended.stdout.matches("\ndelivery ").count();
            assert_eq!(looks, number.parse::<usize>().unwrap().min(100), "{ended:?}");
            assert!(ended.stdout.contains("every look is a delivery"), "{ended:?}");
            assert!(ended.stdout.contains("put back in their order\n"), "{kind}: {ended:?}");
        }
        queue.assert_in_order(COUNT, kind).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn where_the_order_would_cost_too_many_deliveries_it_is_said() {
    let queue = Queue::quorum().await;
    queue.publish_many(110).await;
    for (number, expected) in [("110", "put back in their order"), ("1", "(100 more for the order)")] {
        let ended = queue.peek(&["-n", number, "--yes"]).await;
        assert!(ended.stdout.contains(expected), "{expected}: {ended:?}");
        assert_eq!(ended.stdout.contains("behind others"), number == "1", "{ended:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_program_that_is_stopped_puts_back_what_it_took() {
    const COUNT: u32 = 1_000;
    // Some hundred messages.
    const ANSWERS: u64 = 30_000;
    let quorum = ("x-queue-type", long_string("quorum"));
    let unlimited = ("x-delivery-limit", AMQPValue::LongInt(-1));
    for (kind, arguments) in [
        ("classic", &[][..]),
        ("quorum", std::slice::from_ref(&quorum)),
        ("unlimited quorum", &[quorum.clone(), unlimited]),
    ] {
        for (signal, code) in [("-INT", Some(130)), ("-KILL", None)] {
            let case = format!("a {kind} queue, {signal}");
            let queue = Queue::declare(arguments).await;
            queue.publish_many(COUNT).await;
            // At the second time they have come back before.
            for _ in 0..2 {
                let stall = Stall::after(ANSWERS).await;
                let mut command = Command::new(env!("CARGO_BIN_EXE_carrier-peek"));
                command.args(["amqp", &queue.name, "-n", "1000000", "--json", "--yes"]);
                command.env("AMQP_URL", &stall.url).stdout(Stdio::null()).stderr(Stdio::null());
                let mut child = command.spawn().unwrap();
                stall.reached().await;
                queue.until(|ready| ready < COUNT - 100).await;
                Command::new("kill").args([signal, child.id().to_string().as_str()]).status().unwrap();
                stall.go_on();
                let ended = tokio::task::block_in_place(|| child.wait()).unwrap();
                assert_eq!(ended.code(), code, "{case}");
                queue.until(|ready| ready == COUNT).await;
            }
            queue.assert_in_order(COUNT, &case).await;
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_valid_context_is_shown_with_everything_about_it() {
    let queue = Queue::classic().await;
    let mut headers = FieldTable::default();
    let propagation = carrier_core::Propagation::builder().propagator(carrier_core::w3c()).build();
    let report = carrier_amqp::inject_with(&propagation, &sampled_context(), &mut headers);
    let hour_ago = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap().as_secs() - 3_600;
    let properties = BasicProperties::default().with_headers(headers).with_timestamp(hour_ago);
    queue.publish_properties(properties, "1").await;

    let object = objects(&queue.peek(&["--json"]).await).remove(0);
    assert_keys(&object, &["queue", "delivery_tag", "redelivered", "delivery_count"]);
    let span = sampled_context().span().span_context().clone();
    assert_eq!(object["trace_id"], span.trace_id().to_string());
    assert_eq!(object["span_id"], span.span_id().to_string());
    assert_eq!((&object["status"], &object["sampled"]), (&json!("valid"), &json!(true)));
    assert_eq!((&object["baggage_members"], &object["bytes"]), (&json!(1), &json!(report.bytes())));
    assert_eq!((&object["redelivered"], &object["links"]), (&json!(false), &json!([])));
    assert_eq!(object["timestamp_ms"], json!(hour_ago * 1_000));
    assert!((3_600_000..3_660_000).contains(&object["age_ms"].as_i64().unwrap()), "{object}");
    let traceparent = json!({"name": "traceparent", "kind": "text", "value": TRACEPARENT, "type": null});
    assert_eq!(object["fields"][0], traceparent);
    assert_eq!(object["fields"][2]["value"], BAGGAGE);

    let ended = queue.peek(&[]).await;
    for expected in [TRACEPARENT, BAGGAGE, "redelivered", "1 h 0 min old", "1 baggage member", ", sampled"] {
        assert!(ended.stdout.contains(expected), "{expected}: {ended:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_wrong_with_a_message_is_said() {
    let queue = Queue::classic().await;
    let binary = AMQPValue::LongString(vec![0xff, 0x1b, b'0'].into());
    let zeros = "00-00000000000000000000000000000000-b7ad6b7169203331-01";
    for value in [
        AMQPValue::LongInt(7),
        AMQPValue::Void,
        long_string(""),
        binary,
        long_string("00-0-0-00"),
        long_string(zeros),
    ] {
        queue.publish(table(&[("traceparent", value)]), "").await;
    }
    queue.publish(FieldTable::default(), "").await;
    queue
        .publish(table(&[("traceparent", long_string(TRACEPARENT)), ("baggage", long_string("b@d"))]), "")
        .await;
    queue.publish(table(&[("Traceparent", long_string(TRACEPARENT)), ("b3", long_string("0"))]), "").await;

    let found = objects(&queue.peek(&["--json"]).await);
    let expected = [
        ("wrong_type", "traceparent is not text but has the type long-int"),
        ("absent", "no context"),
        ("absent", "no context"),
        ("malformed", "traceparent is malformed: its length is wrong"),
        ("malformed", "traceparent is malformed: its length is wrong"),
        ("malformed", "traceparent is malformed: its trace id is zero"),
        ("absent", "no context"),
        ("malformed", "baggage is malformed: it has a member that is not allowed"),
        ("valid", "a valid context"),
    ];
    assert_eq!(verdicts(&found), expected);
    let kinds: Vec<_> =
        found.iter().map(|object| object["fields"][0]["kind"].as_str().unwrap_or("-")).collect();
    assert_eq!(kinds, ["wrong_type", "null", "empty", "binary", "text", "text", "-", "text", "text"]);
    assert_eq!(found[0]["fields"][0]["type"], "long-int");
    assert_eq!(found[3]["fields"][0]["value"], "ff1b30");
    assert_eq!((&found[7]["field"], text(&found[7]["span_id"])), (&json!("baggage"), "b7ad6b7169203331"));
    assert_eq!(found[8]["unread"], json!(["b3"]));

    let ended = queue.peek(&[]).await;
    for expected in
        ["no text: long-int", "  null\n", "  empty\n", r#"binary: "\xff\x1b0" (3 bytes)"#, r#""b3""#]
    {
        assert!(ended.stdout.contains(expected), "{expected}: {ended:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_strangers_wrote_is_no_command_to_a_terminal() {
    for name in ["traceparent", "tracestate", "baggage", &format!("Traceparent{HOSTILE}")] {
        let queue = with_field(name, long_string(HOSTILE)).await;
        assert_harmless(&queue.peek(&[]).await);
        let ended = queue.peek(&["--json"]).await;
        assert_harmless(&ended);
        let object = objects(&ended).remove(0);
        let value = &object["fields"][0]["value"];
        assert!(value.is_null() || value == HOSTILE, "{object}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_long_value_is_shortened_for_people_and_whole_for_tools() {
    let long = format!("k={}", "é".repeat(5_000));
    let queue = with_field("baggage", long_string(&long)).await;
    let shown = queue.peek(&[]).await;
    assert!(shown.stdout.len() < 1_000 && shown.stdout.contains("(10002 bytes)"), "{shown:?}");
    assert_eq!(objects(&queue.peek(&["--json"]).await)[0]["fields"][0]["value"], long);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_time_to_come_is_a_clock_ahead_and_no_negative_age() {
    let queue = Queue::classic().await;
    let soon = SystemTime::now() + Duration::from_secs(3_600);
    let soon = soon.duration_since(SystemTime::UNIX_EPOCH).unwrap().as_secs();
    for made in [soon, u64::MAX] {
        queue.publish_properties(BasicProperties::default().with_timestamp(made), "").await;
    }
    queue.publish_properties(BasicProperties::default(), "").await;
    let found = objects(&queue.peek(&["--json"]).await);
    assert!(found.iter().all(|object| object["age_ms"].is_null()), "{found:?}");
    assert!((3_500_000..=3_600_000).contains(&found[0]["clock_ahead_ms"].as_i64().unwrap()), "{found:?}");
    assert!(found[1]["clock_ahead_ms"].is_number() && found[2]["clock_ahead_ms"].is_null(), "{found:?}");
    let ended = queue.peek(&[]).await;
    assert_eq!(ended.stdout.matches("clock ahead").count(), 2, "{ended:?}");
}
