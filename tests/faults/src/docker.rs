//! The nodes of a cluster: containers in a network of their own, reached through ports on this machine's loopback.

use std::ffi::OsStr;
use std::net::{Ipv4Addr, TcpListener};
use std::process::Stdio;
use std::time::Duration;

use anyhow::{Context as _, ensure};
use tokio::process::Command;
use tokio::time::timeout;

/// How long the engine may take to do something.
const LIMIT: Duration = Duration::from_secs(90);

/// `cargo xtask` removes the containers and networks that carry its value, however this program ends.
const RUN: &str = "CARRIER_RUN_ID";

pub(crate) async fn docker(words: &[impl AsRef<OsStr>]) -> anyhow::Result<String> {
    let mut command = Command::new("docker");
    command.args(words).stdin(Stdio::null()).kill_on_drop(true);
    let shown = words.iter().map(|word| word.as_ref().to_string_lossy()).collect::<Vec<_>>().join(" ");
    let output = timeout(LIMIT, command.output()).await.with_context(|| format!("docker {shown}"))??;
    let error = String::from_utf8_lossy(&output.stderr);
    ensure!(output.status.success(), "`docker {shown}` failed ({}): {}", output.status, error.trim());
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}

/// Returns a port of this machine that nothing listens on at the moment.
pub(crate) fn free_port() -> anyhow::Result<u16> {
    Ok(TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).context("no free port")?.local_addr()?.port())
}

#[derive(Debug)]
pub(crate) struct Cluster {
    network: String,
    label: String,
    nodes: Vec<String>,
}

impl Cluster {
    pub(crate) async fn new() -> anyhow::Result<Self> {
        let run = std::env::var(RUN).context("run `cargo xtask faults`, which removes what is left")?;
        let (network, label) =
            (carrier_tests::unique_name("carrier-faults"), format!("org.carrier.run={run}"));
        docker(&["network", "create", "--label", &label, &network]).await?;
        Ok(Self { network, label, nodes: Vec::new() })
    }

    /// Starts one more node. `ports` are pairs of a port on the loopback and one of the node.
    pub(crate) async fn add(
        &mut self,
        host: &str,
        image: &str,
        ports: &[(u16, u16)],
        variables: &[(&str, String)],
    ) -> anyhow::Result<()> {
        let name = format!("{}-{host}", self.network);
        let mut words: Vec<String> = ["run", "--detach", "--name", &name, "--hostname", host, "--label"]
            .iter()
            .chain([&&*self.label, &"--network", &&*self.network, &"--network-alias", &host])
            .map(|word| (*word).to_owned())
            .collect();
        for (outside, inside) in ports {
            words.extend(["--publish".to_owned(), format!("{}:{outside}:{inside}", Ipv4Addr::LOCALHOST)]);
        }
        for (variable, value) in variables {
            words.extend(["--env".to_owned(), format!("{variable}={value}")]);
        }
        words.push(image.to_owned());
        self.nodes.push(name);
        docker(&words).await.map(drop)
    }

    /// `docker kill`, `start`, `pause` or `unpause` of a node.
    pub(crate) async fn order(&self, order: &str, node: usize) -> anyhow::Result<()> {
        docker(&[order, &self.nodes[node]]).await.map(drop)
    }

    pub(crate) async fn exec(&self, node: usize, words: &[&str]) -> anyhow::Result<String> {
        docker(&[&["exec", &self.nodes[node]], words].concat()).await
    }

    /// Removes all nodes and the network.
    pub(crate) async fn remove(&self) -> anyhow::Result<()> {
        for node in &self.nodes {
            docker(&["rm", "--force", "--volumes", node]).await?;
        }
        docker(&["network", "rm", &self.network]).await.map(drop)
    }
}
