//! An order on its way over HTTP, Kafka and RabbitMQ, through four services: one trace, and nothing but headers
//! connects them.
//!
//! The set-up is one line, in `main`. Over HTTP, a service that hands something over has one more line (`inject`), and
//! one that picks it up has another (`extract`): see `shop.rs` and `gateway.rs`. Kafka and RabbitMQ are instrumented:
//! `service.rs` says how, producer and channel do the rest, and a worker has one line (`process`): see `gateway.rs`,
//! `packing.rs` and `shipping.rs`.
#![allow(clippy::print_stderr, reason = "a program says in the terminal why it ends")]

mod baggage;
mod brokers;
mod check;
mod export;
mod gateway;
mod hops;
mod options;
mod packing;
mod picture;
mod screen;
mod service;
mod shipping;
mod shop;
mod waterfall;

use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, anyhow};
use carrier_examples::one_line;
use tokio::runtime::Runtime;
use tokio::sync::mpsc::unbounded_channel;
use tokio::{task, time};

use crate::brokers::{Kafka, Orders, RabbitMq};
use crate::gateway::Gateway;
use crate::hops::{AMQP, Arrived, Demo, GATEWAY, KAFKA, PACKING, SHIPPING, SHOP};
use crate::options::Options;
use crate::packing::Packing;
use crate::screen::Screen;
use crate::service::{Service, Step};
use crate::shipping::Shipping;

/// How long the order may take from the shop to the last worker.
const LIMIT: Duration = Duration::from_secs(20);

const BROKEN: u8 = 1;
const FAILED: u8 = 2;

fn main() -> ExitCode {
    let options = match Options::read() {
        Ok(options) => options,
        Err(code) => return code,
    };

    let result = Runtime::new().map_err(Into::into).and_then(|runtime| {
        let result = runtime.block_on(run(&options));
        // Whatever still waits for a broker need not be waited for.
        runtime.shutdown_background();
        result
    });
    result.unwrap_or_else(|error| {
        eprintln!("handoff: {}", one_line(&error));
        ExitCode::from(FAILED)
    })
}

async fn run(options: &Options) -> anyhow::Result<ExitCode> {
    // The set-up line: W3C trace context and baggage, for every service of this program.
    carrier_core::Propagation::w3c().install()?;

    // Begun together: a container takes seconds.
    let rabbitmq = async {
        match options.with_amqp {
            true => RabbitMq::find().await.map(Some),
            false => Ok(None),
        }
    };
    let (kafka, rabbitmq) = tokio::try_join!(Kafka::find(), rabbitmq)?;

    let names = [SHOP, GATEWAY, PACKING, SHIPPING];
    let services = names.map(Service::new);
    let handed_over = time::timeout(LIMIT, hand_over(&services, &kafka, rabbitmq.as_ref(), options)).await;
    kafka.tidy().await;
    // The metrics of the consumer are there as long as it is.
    let (arrived, _consumer) =
        handed_over.map_err(|_| anyhow!("the order did not get through within {} s", LIMIT.as_secs()))??;
    let steps: Vec<Step> = services.iter().map(Service::steps).collect::<Result<Vec<_>, _>>()?.concat();

    let way = hops::way(options.with_amqp);
    let screen = Screen::new();
    let amqp = rabbitmq.as_ref().map(|rabbitmq| rabbitmq.description.as_str());
    picture::brokers(&screen, &kafka.description, amqp);
    picture::waterfall(&screen, &steps, way);
    picture::headers(&screen, &steps, &arrived);
    let received: Vec<_> = services.iter().map(Service::received).collect::<Result<Vec<_>, _>>()?.concat();
    picture::received(&screen, &received);
    let sent = export::export(&screen, services).await;
    let whole = picture::verdict(&screen, check::check(&steps, way, options.linked), way);
    Ok(match (whole, sent) {
        (false, _) => ExitCode::from(BROKEN),
        (true, false) => ExitCode::from(FAILED),
        (true, true) => ExitCode::SUCCESS,
    })
}

/// Starts the services, has the shop buy something, and waits until the last worker is done. Returns the headers that
/// arrived, and the consumer.
async fn hand_over(
    [shop, gateway, packing, shipping]: &[Service; 4],
    kafka: &Kafka,
    rabbitmq: Option<&RabbitMq>,
    options: &Options,
) -> anyhow::Result<(Vec<Arrived>, Arc<Orders>)> {
    let (sender, mut arrived) = unbounded_channel();
    let failing = if options.fails { hops::way(options.with_amqp).last().copied() } else { None };
    let demo = Demo { lost: options.lost, linked: options.linked, failing, arrived: Arc::new(sender) };

    let mut workers = task::JoinSet::new();
    let mut next = None;
    if let Some(rabbitmq) = rabbitmq {
        let shipping = Shipping {
            amqp: shipping.amqp(&rabbitmq.uri).relation(demo.relation(&AMQP)).build(),
            consumer: rabbitmq.consumer().await.context("RabbitMQ gave no queue")?,
            queue: rabbitmq.queue.clone(),
            demo: demo.clone(),
        };
        workers.spawn(shipping.work());
        let amqp = packing.amqp(&rabbitmq.uri).propagation(demo.propagation(&AMQP)).build();
        next = Some((amqp.channel(rabbitmq.publisher().await?), rabbitmq.queue.clone()));
    }
    let instrumented = packing.kafka(&kafka.consumer_config()).relation(demo.relation(&KAFKA)).build();
    let consumer = Arc::new(kafka.consumer(&instrumented).context("Kafka gave no consumer")?);
    let packing = Packing { consumer: Arc::clone(&consumer), kafka: instrumented, next, demo: demo.clone() };
    workers.spawn(packing.work());
    let instrumented = gateway.kafka(&kafka.config).propagation(demo.propagation(&KAFKA)).build();
    let gateway = Gateway {
        service: gateway.clone(),
        producer: kafka.producer(&instrumented).await?,
        topic: kafka.topic.clone(),
        demo: demo.clone(),
    };
    let address = gateway.listen().await?;
    workers.spawn(shop::buy(shop.clone(), address, demo));

    while let Some(done) = workers.join_next().await {
        done.context("a service ended early")??;
    }
    Ok((std::iter::from_fn(|| arrived.try_recv().ok()).collect(), consumer))
}
