//! Orders go into a database together with their contexts, a relay that may die half-way publishes them to Kafka, and
//! whoever picks one up goes on with the trace in which it was written.
//!
//! The context is captured where the row is written (`shop.rs`), stored as one column of it (`database.rs`), and extracted
//! where the row is relayed, by another process (`relay.rs`). `consumer.rs` knows nothing of all that.
#![allow(clippy::print_stderr, reason = "a program says in the terminal why it ends")]

mod consumer;
mod database;
mod kafka;
mod options;
mod relay;
mod screen;
mod service;
mod shop;

use std::process::ExitCode;

use anyhow::Context as _;
use carrier_examples::kafka::Kafka;
use carrier_examples::one_line;
use tokio::runtime::Runtime;

use crate::consumer::Arrived;
use crate::database::{Database, Folder};
use crate::options::{Demo, Options};
use crate::screen::{Colour, paint, say};
use crate::service::Service;
use crate::shop::Order;

const LOST: u8 = 1;
const FAILED: u8 = 2;

fn main() -> ExitCode {
    let options = match Options::read() {
        Ok(options) => options,
        Err(code) => return code,
    };

    start(options).unwrap_or_else(|error| {
        eprintln!("outbox: {}", one_line(&error));
        ExitCode::from(FAILED)
    })
}

fn start(options: Options) -> anyhow::Result<ExitCode> {
    // The set-up line: W3C trace context and baggage.
    carrier_core::Propagation::w3c().install()?;
    let runtime = Runtime::new()?;
    match options {
        Options::Demo(demo) => run(&runtime, &demo),
        Options::Relay(job) => job.work(&runtime).map(|()| ExitCode::SUCCESS),
    }
}

fn run(runtime: &Runtime, demo: &Demo) -> anyhow::Result<ExitCode> {
    let kafka = runtime.block_on(Kafka::find("carrier-outbox-orders", 1))?;
    let handed_over = hand_over(runtime, demo, &kafka);
    runtime.block_on(kafka.tidy());
    let (orders, arrived) = handed_over?;
    Ok(match verdict(&orders, &arrived) {
        true => ExitCode::SUCCESS,
        false => ExitCode::from(LOST),
    })
}

/// Has orders written, relayed and packed, one after the other.
fn hand_over(runtime: &Runtime, demo: &Demo, kafka: &Kafka) -> anyhow::Result<(Vec<Order>, Vec<Arrived>)> {
    let folder = Folder::create()?;
    let path = folder.database();
    let mut database = Database::open(&path)?;
    say!("\n  {}: orders, a database, and a relay that may die\n", paint(Colour::Bold, "outbox"));
    say!("  Database  {} (SQLite {})", path.display(), rusqlite::version());
    say!("  Kafka     {}", kafka.description);

    let shop = Service::new("shop")?;
    let orders = shop::take_orders(&mut database, &shop, demo.forgets)?;
    shop.end()?;
    drop(database);

    relay::run_to_the_end(&folder, kafka, demo.kill_after)?;

    let worker = Service::new("packing")?;
    let arrived = runtime.block_on(consumer::pack(kafka, &worker, &orders)).context("the consumer")?;
    worker.end()?;
    Ok((orders, arrived))
}

/// Says whether every order arrived in the trace in which it was written, and returns it.
fn verdict(orders: &[Order], arrived: &[Arrived]) -> bool {
    say!();
    let mut faults = 0;
    let mut fault = |order: &Order, what: &str| {
        faults += 1;
        say!("  {} order {} {what}", paint(Colour::Bad, "✗"), order.id);
    };
    for order in orders {
        let mut copies = arrived.iter().filter(|arrived| arrived.order == order.id).peekable();
        if copies.peek().is_none() {
            fault(order, "is lost");
        } else if copies.any(|copy| copy.trace_id != order.trace_id) {
            fault(order, "came in another trace than its own");
        }
    }
    let again = match arrived.iter().filter(|arrived| arrived.again).count() {
        0 => "none came twice".to_owned(),
        again => format!("{again} came twice and was packed once"),
    };
    if faults == 0 {
        let count = orders.len();
        say!(
            "  {} {count} orders were written and {count} arrived, each in its own trace; {again}",
            paint(Colour::Good, "✓")
        );
    }
    faults == 0
}
