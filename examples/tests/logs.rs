//! `logs`, run as a person runs it.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

#[allow(dead_code, reason = "other tests use the rest")]
mod common;

#[tokio::test(flavor = "multi_thread")]
async fn each_line_of_a_log_shows_the_message_and_its_trace() {
    let amqp = carrier_tests::rabbitmq().await.url().to_owned();
    let kafka = carrier_tests::kafka().await.brokers().to_owned();
    let run = move || {
        common::run(env!("CARGO_BIN_EXE_logs"), &[], &[("AMQP_URL", &amqp), ("KAFKA_BROKERS", &kafka)])
    };
    let ended = tokio::task::spawn_blocking(run).await.unwrap();
    assert_eq!((ended.code, ended.stderr.as_str()), (Some(0), ""), "{ended:?}");
    let lines: Vec<&str> = ended.stdout.lines().collect();
    assert_eq!(lines.len(), 4, "{ended:?}");
    for (order, lines) in lines.chunks(2).enumerate() {
        let of_kafka = [
            r#"process{messaging.destination.name="orders-"#.to_owned(),
            r#"messaging.destination.partition.id="0""#.to_owned(),
            format!("messaging.kafka.offset={order}"),
            "}:pack: logs: packing order".to_owned(),
        ];
        let of_amqp = [
            r#"process{messaging.destination.name="parcels""#.to_owned(),
            format!("messaging.rabbitmq.message.delivery_tag={}", order + 1),
            format!(r#"messaging.message.id="parcel-{}""#, order + 17),
            "logs: the parcel is on its way".to_owned(),
        ];
        for (line, expected) in lines.iter().zip([of_kafka, of_amqp]) {
            for text in expected {
                assert!(line.contains(&text), "{text}: {line}");
            }
        }
        let traces: Vec<_> = lines.iter().map(|line| line.split(' ').next().unwrap()).collect();
        assert_eq!(traces[0], traces[1], "one trace from Kafka through RabbitMQ");
        assert!(traces[0].len() == "trace_id=".len() + 32 && !traces[0].ends_with("=0"), "{traces:?}");
    }
}
