//! The operator's command line and settings file.

use std::net::SocketAddr;
use std::num::NonZeroUsize;
use std::path::PathBuf;

use anyhow::Context;
use clap::{Parser, Subcommand, ValueEnum};
use jiff::Timestamp;
use seatrial_core::platform::Platform;
use tracing_subscriber::EnvFilter;

/// Seatrial's operator: turns MLPipelines and ModelDeployments into Jobs and Deployments.
#[derive(Clone, Debug, Parser)]
#[command(version)]
pub struct Settings {
    /// What else the program is to do.
    #[command(subcommand)]
    pub command: Option<Command>,
    /// The file with the platform's settings, YAML.
    #[arg(long, env = "SEATRIAL_CONFIG_FILE", default_value = "/etc/seatrial/config.yaml")]
    config: PathBuf,
    /// The ConfigMap in which the embedded store publishes its certificate authority, as NAMESPACE/NAME.
    #[arg(long, env = "SEATRIAL_STORE_CONFIG_MAP")]
    store_config_map: Option<String>,
    /// The namespace of the Lease; by default the pod's own.
    #[arg(long, env = "POD_NAMESPACE")]
    leader_election_namespace: Option<String>,
    /// The name of the Lease.
    #[arg(long, default_value = "seatrial-operator")]
    pub leader_election_id: String,
    /// What this process is called in the Lease; by default the pod's name and a number of this start.
    #[arg(long)]
    identity: Option<String>,
    /// How many objects are worked on at the same time.
    #[arg(long, default_value_t = 16)]
    pub workers: usize,
    /// How many threads work; by default one for each core.
    #[arg(long)]
    pub threads: Option<NonZeroUsize>,
    /// Where metrics and health are served.
    #[arg(long, default_value = "[::]:8080")]
    pub http_listen: SocketAddr,
    /// What is logged, as in `info` or `info,seatrial_operator=debug`.
    #[arg(long, env = "SEATRIAL_LOG", default_value = "info")]
    log_level: String,
    /// How it is logged.
    #[arg(long, value_enum, default_value_t = LogFormat::Json)]
    log_format: LogFormat,
}

/// What else the program can do.
#[derive(Clone, Debug, Subcommand)]
pub enum Command {
    /// Asks a running operator how it is: for `helm test`, where the image holds no other program.
    Check {
        /// What to ask, as in http://seatrial-operator:8080/readyz.
        #[arg(long)]
        url: String,
        /// How long to ask again until it answers well, in seconds.
        #[arg(long, default_value_t = 30)]
        timeout: u64,
    },
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum LogFormat {
    Json,
    Text,
}

impl Settings {
    /// Logs to standard error from now on.
    pub fn start_logging(&self) {
        let filter = EnvFilter::try_new(&self.log_level).unwrap_or_else(|_| EnvFilter::new("info"));
        let builder = tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr);
        match self.log_format {
            LogFormat::Json => builder.json().flatten_event(true).init(),
            LogFormat::Text => builder.init(),
        }
    }

    /// The platform's settings.
    ///
    /// # Errors
    /// The file cannot be read, or is not what is expected.
    pub fn platform(&self) -> anyhow::Result<Platform> {
        let file = self.config.display();
        let text = std::fs::read_to_string(&self.config).with_context(|| format!("cannot read --config {file}"))?;
        serde_yaml::from_str(&text).with_context(|| format!("--config {file} is not what is expected"))
    }

    /// Namespace and name of the store's ConfigMap.
    ///
    /// # Errors
    /// The setting is not NAMESPACE/NAME.
    pub fn store_config_map(&self) -> anyhow::Result<Option<(String, String)>> {
        let Some(text) = &self.store_config_map else { return Ok(None) };
        let (namespace, name) = text.split_once('/').context("--store-config-map must be NAMESPACE/NAME")?;
        Ok(Some((namespace.to_owned(), name.to_owned())))
    }

    /// The namespace of the Lease.
    pub fn namespace(&self) -> String {
        self.leader_election_namespace.clone().unwrap_or_else(|| "default".to_owned())
    }

    /// A name that no other process has, not even an earlier one of the same pod.
    pub fn identity(&self, now: Timestamp) -> String {
        self.identity.clone().unwrap_or_else(|| {
            let host = std::env::var("HOSTNAME").unwrap_or_else(|_| "operator".to_owned());
            format!("{host}_{:x}_{}", now.as_nanosecond(), std::process::id())
        })
    }
}
