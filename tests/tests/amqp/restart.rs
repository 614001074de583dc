//! A persistent message outlives its broker's process, and so does its context.

use carrier_amqp::testing::assert_carries;
use carrier_tests::telemetry::sampled_context;
use carrier_tests::{RabbitMq, unique_name};
use lapin::options::{BasicGetOptions, ConfirmSelectOptions, QueueDeclareOptions};
use lapin::types::FieldTable;

use crate::support::{carrying, publish, register_propagator};

#[tokio::test]
async fn a_persistent_message_keeps_its_context_over_a_restart() {
    register_propagator();
    let own = RabbitMq::start_own().await;
    let queue = unique_name("durable");
    let durable = QueueDeclareOptions { durable: true, ..QueueDeclareOptions::default() };
    let channel = own.channel().await;
    let confirms = channel.confirm_select(ConfirmSelectOptions::default());
    confirms.await.unwrap();
    let declared = channel.queue_declare(queue.as_str().into(), durable, FieldTable::default());
    declared.await.unwrap();
    let persistent = carrying(&sampled_context()).with_delivery_mode(2);
    publish(&channel, "", &queue, persistent, b"order 17").await;

    own.stop().await;
    own.start().await;

    let channel = own.channel().await;
    let got = channel.basic_get(queue.as_str().into(), BasicGetOptions { no_ack: true });
    let message = got.await.unwrap().unwrap();
    assert_eq!(message.data, b"order 17");
    assert_carries(&message, &sampled_context());
}
