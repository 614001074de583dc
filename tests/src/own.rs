//! Brokers that one test has for itself, to stop, restart and look into.

use std::ops::Deref;
use std::time::{Duration, Instant};

use anyhow::{Context as _, ensure};
use testcontainers::core::ExecCommand;
use testcontainers::{ContainerAsync, GenericImage, Image};
use testcontainers_modules::kafka::apache;

use crate::container::{self, Kind};
use crate::kafka::{self, Kafka};
use crate::rabbitmq::{self, RabbitMq};

/// How long a broker may take to come back.
const RESTART_LIMIT: Duration = Duration::from_secs(90);

/// Seconds that a broker gets to stop by itself.
const STOP_SECONDS: i32 = 20;

/// Asks Kafka to stop: process 1 is a shell there, which does not pass the engine's signal on.
const STOP_KAFKA: &str = r#"
for process in /proc/[0-9]*; do
    case $(readlink "$process/exe") in */java) kill -TERM "${process##*/}" ;; esac
done
"#;

/// A RabbitMQ of one test's own; dropping it removes it.
///
/// It dereferences to [`RabbitMq`] and has one address for life, so clients can reconnect.
#[derive(Debug)]
pub struct OwnRabbitMq {
    broker: RabbitMq,
    container: ContainerAsync<GenericImage>,
}

/// A Kafka of one test's own; dropping it removes it.
///
/// It dereferences to [`Kafka`] and has one address for life, so clients can reconnect.
#[derive(Debug)]
pub struct OwnKafka {
    broker: Kafka,
    container: ContainerAsync<apache::Kafka>,
}

impl RabbitMq {
    /// Starts a RabbitMQ for the calling test alone, whatever `AMQP_URL` says.
    ///
    /// # Panics
    ///
    /// Where it cannot be started, with what to do about it.
    pub async fn start_own() -> OwnRabbitMq {
        // The engine picks another port on every start unless it is told one.
        let started = async {
            let port = container::free_port()?;
            let container = rabbitmq::start_container(Some(port)).await?;
            let host = container::host(&container, port).await?;
            anyhow::Ok(OwnRabbitMq { broker: Self::at(&host, port), container })
        };
        or_panic(started.await)
    }
}

impl Kafka {
    /// Starts a Kafka for the calling test alone, whatever `KAFKA_BROKERS` says.
    ///
    /// # Panics
    ///
    /// Where it cannot be started, with what to do about it.
    pub async fn start_own() -> OwnKafka {
        let started = async {
            let port = container::free_port()?;
            let container = kafka::start_container(Some(port)).await?;
            let broker = Self::at(port);
            anyhow::Ok(OwnKafka { broker, container })
        };
        or_panic(started.await)
    }
}

macro_rules! own_broker {
    ($own:ty, $broker:ty, $kind:expr, $stop:expr, $check:expr) => {
        impl Deref for $own {
            type Target = $broker;

            fn deref(&self) -> &Self::Target {
                &self.broker
            }
        }

        impl $own {
            /// Stops the broker in order; what it had stored is there again after `start`.
            ///
            /// # Panics
            ///
            /// Where the engine cannot stop it.
            pub async fn stop(&self) {
                or_panic(stop(&$kind, &self.container, $stop).await);
            }

            /// Ends the broker at once, as a crash does.
            ///
            /// # Panics
            ///
            /// Where the engine cannot end it.
            pub async fn kill(&self) {
                or_panic(kill(&$kind, &self.container).await);
            }

            /// Starts the broker again at its old address and waits until it answers.
            ///
            /// # Panics
            ///
            /// Where it does not come back within ninety seconds.
            pub async fn start(&self) {
                let check = async || ($check)(&self.broker).await;
                or_panic(start(&$kind, &self.container, check).await);
            }

            /// Runs a command inside the container and returns its standard output.
            ///
            /// # Panics
            ///
            /// Where it exits with another code than 0, with its standard error.
            pub async fn exec<S: Into<String>>(&self, command: impl IntoIterator<Item = S>) -> String {
                or_panic(exec(&self.container, command).await)
            }
        }
    };
}

own_broker!(OwnRabbitMq, RabbitMq, rabbitmq::KIND, None, async |broker: &RabbitMq| {
    RabbitMq::connect(broker.url()).await.map(drop)
});
own_broker!(OwnKafka, Kafka, kafka::KIND, Some(["bash", "-c", STOP_KAFKA]), async |broker: &Kafka| {
    Kafka::check(broker.brokers()).await
});

async fn stop<I: Image>(
    kind: &Kind,
    container: &ContainerAsync<I>,
    first: Option<[&str; 3]>,
) -> anyhow::Result<()> {
    if let Some(command) = first {
        exec(container, command).await?;
        let began = Instant::now();
        let limit = Duration::from_secs(STOP_SECONDS.unsigned_abs().into());
        while container.is_running().await? && began.elapsed() < limit {
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    }
    let stopped = container.stop_with_timeout(Some(STOP_SECONDS)).await;
    stopped.with_context(|| format!("cannot stop {}", kind.name))
}

async fn kill<I: Image>(kind: &Kind, container: &ContainerAsync<I>) -> anyhow::Result<()> {
    let stopped = container.stop_with_timeout(Some(0)).await;
    stopped.with_context(|| format!("cannot kill {}", kind.name))
}

async fn start<I: Image>(
    kind: &Kind,
    container: &ContainerAsync<I>,
    check: impl AsyncFn() -> anyhow::Result<()>,
) -> anyhow::Result<()> {
    let started = container.start().await;
    started.with_context(|| format!("cannot start {} again", kind.name))?;
    let began = Instant::now();
    loop {
        let Err(error) = check().await else {
            return Ok(());
        };
        if began.elapsed() > RESTART_LIMIT {
            let seconds = RESTART_LIMIT.as_secs();
            let message = format!("{} did not come back within {seconds} s", kind.name);
            return Err(error.context(message));
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}

async fn exec<I: Image, S: Into<String>>(
    container: &ContainerAsync<I>,
    command: impl IntoIterator<Item = S>,
) -> anyhow::Result<String> {
    let command: Vec<String> = command.into_iter().map(Into::into).collect();
    let shown = command.join(" ");
    let mut result = container.exec(ExecCommand::new(command)).await?;
    let stdout = result.stdout_to_vec().await?;
    let stderr = result.stderr_to_vec().await?;
    let code = result.exit_code().await?;
    ensure!(
        code == Some(0),
        "`{shown}` in the container exited with {code:?}: {}",
        String::from_utf8_lossy(&stderr)
    );
    Ok(String::from_utf8_lossy(&stdout).into_owned())
}

fn or_panic<T>(result: anyhow::Result<T>) -> T {
    match result {
        Ok(value) => value,
        Err(error) => panic!("{error:#}"),
    }
}
