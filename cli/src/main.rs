//! `kubectl seatrial`: what can be said before there is a cluster, what runs printed and made, and how models stand.

mod contract;
mod digest;
mod error_text;
mod judged;
mod lint;
mod read;
mod yaml;

use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Parser, Subcommand};
use seatrial_crds::Decision;

/// kubectl plugin of Seatrial.
#[derive(Debug, Parser)]
#[command(name = "kubectl-seatrial", version)]
struct Arguments {
    #[command(flatten)]
    place: read::Where,
    #[command(subcommand)]
    task: Task,
}

#[derive(Debug, Subcommand)]
enum Task {
    /// Checks files before a cluster does. Documents of other groups are left alone.
    Lint {
        /// YAML files, and folders of such.
        #[arg(required = true)]
        paths: Vec<PathBuf>,
    },
    /// Prints the digest that a folder would have as an artifact.
    Digest {
        /// The folder.
        path: PathBuf,
    },
    /// Prints what the steps of a run printed, also after their pods are gone.
    Logs(read::Logs),
    /// Lists and gets what a run made.
    #[command(subcommand)]
    Artifact(read::Artifact),
    /// Takes data contracts from their own files into objects, and back.
    #[command(subcommand)]
    Contract(contract::Task),
    /// Lists models: who owns them, what serves, the newest version, and what it waits for.
    Models(judged::Models),
    /// Compares two versions: metrics, verdicts, parameters, inputs and images.
    Compare(judged::Compare),
    /// Prints where a version came from.
    Lineage(judged::Lineage),
    /// Verifies that a version is what it says: reads and hashes its files and evidence, and judges it again from its measurement.
    Verify(judged::Verify),
    /// Approves a version: creates your Approval of its newest judgement.
    Approve(judged::Approve),
    /// Rejects a version, likewise.
    Reject(judged::Approve),
    /// Writes a page on a model for its owner: what serves, verdicts in plain words, costs, groups, what happens next.
    Card(judged::Card),
}

fn main() -> ExitCode {
    let Arguments { place, task } = Arguments::parse();
    let done = match task {
        Task::Lint { paths } => lint::lint(&paths),
        Task::Digest { path } => digest::digest(&path).map(|digest| {
            println!("{digest}");
            true
        }),
        Task::Logs(asked) => read::logs(&place, &asked).map(|()| true),
        Task::Artifact(asked) => read::artifact(&place, &asked).map(|()| true),
        Task::Contract(task) => contract::contract(&place, &task),
        Task::Models(asked) => judged::models(&place, &asked).map(|()| true),
        Task::Compare(asked) => judged::compare(&place, &asked).map(|()| true),
        Task::Lineage(asked) => judged::lineage(&place, &asked).map(|()| true),
        Task::Verify(asked) => judged::verify(&place, &asked),
        Task::Approve(asked) => judged::approve(&place, &asked, Decision::Approved).map(|()| true),
        Task::Reject(asked) => judged::approve(&place, &asked, Decision::Rejected).map(|()| true),
        Task::Card(asked) => judged::card(&place, &asked).map(|()| true),
    };
    match done {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("kubectl seatrial: {}", error_text::text(&error));
            ExitCode::from(2)
        }
    }
}
