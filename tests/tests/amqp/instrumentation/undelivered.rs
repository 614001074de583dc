//! Messages that the broker cannot route, alone and in a burst, and exchanges that are not there.

use carrier_tests::unique_name;
use lapin::{BasicProperties, Confirmation, ErrorKind};
use opentelemetry::trace::Status;
use opentelemetry_sdk::trace::SpanData;

use super::support::{Program, confirmed};
use crate::support::within;

#[tokio::test]
async fn an_unroutable_message_fails_with_the_brokers_words() {
    let program = Program::new().await;
    let nowhere = unique_name("nowhere");
    let answer = confirmed(program.channel(), "", &nowhere, BasicProperties::default()).await;
    assert!(matches!(answer, Confirmation::Ack(Some(_))), "{answer:?}");
    let spans = carrier_tests::picture::spans(&program.recorder.spans()).replace(&nowhere, "NOWHERE");
    let expected = "
producer send NOWHERE
  error.type = no-route
  messaging.destination.name = NOWHERE
  messaging.message.body.size = 2
  messaging.operation.name = send
  messaging.operation.type = send
  messaging.rabbitmq.destination.routing_key = NOWHERE
  messaging.system = rabbitmq
  status error: NO_ROUTE
";
    assert_eq!(spans.trim(), expected.trim());
}

#[tokio::test]
async fn in_a_burst_no_routable_message_counts_as_returned() {
    let program = Program::new().await;
    let nowhere = unique_name("nowhere");
    let mut confirms = Vec::new();
    for number in 0..200 {
        let to = if number % 2 == 0 { &program.queue.name } else { &nowhere };
        confirms.push(program.sent("", to).await.unwrap());
    }
    for confirm in confirms {
        assert!(within("a confirmation", confirm).await.unwrap().is_ack());
    }
    let spans = program.recorder.spans();
    assert_eq!(spans.len(), 200);
    let failed = |span: &&SpanData| matches!(span.status, Status::Error { .. });
    let (routable, unroutable): (Vec<_>, Vec<_>) =
        spans.iter().partition(|span| span.name.ends_with(&program.queue.name));
    assert_eq!(routable.iter().copied().filter(failed).count(), 0);
    // lapin hands a few returns to other confirmations, which are plain acknowledgements then.
    let known = unroutable.iter().copied().filter(failed).count();
    assert!(known >= 50, "only {known} of {} were known to be returned", unroutable.len());
}

#[tokio::test]
async fn a_missing_exchange_fails_the_span_when_the_channel_is_closed() {
    let program = Program::new().await;
    let missing = unique_name("missing");
    let confirm = program.sent(&missing, "key").await.unwrap();
    let error = within("the confirmation", confirm).await.unwrap_err();
    assert!(matches!(error.kind(), ErrorKind::ProtocolError(_)), "{error:?}");
    let sent = program.recorder.span(&format!("send {missing}:key"));
    assert!(matches!(sent.status, Status::Error { .. }), "{:?}", sent.status);
    let error_type = sent.attributes.iter().find(|pair| pair.key.as_str() == "error.type").unwrap();
    assert_eq!(error_type.value.as_str(), "not-found");
}

#[tokio::test]
async fn a_closed_channel_fails_the_span_at_once() {
    let program = Program::new().await;
    program.channel().close(200, "done".into()).await.unwrap();
    let error = program.sent("", &program.queue.name).await.unwrap_err();
    assert!(matches!(error.kind(), ErrorKind::InvalidChannelState(..)), "{error:?}");
    assert_eq!(program.end_of("send")[0], "error.type = invalid-channel-state");
}
