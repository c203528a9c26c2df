//! What the objects say of models and versions, for people: read once, with the rights of the person who asks, then rendered
//! by pure functions.

mod approve;
mod card;
mod compare;
mod lineage;
mod models;
mod objects;
mod text;
mod verify;

use std::path::PathBuf;

use anyhow::{Context, bail};
use clap::Args;
use jiff::Timestamp;
use seatrial_crds::Decision;

use self::verify::Standing;
use crate::read::cluster::Cluster;
use crate::read::{Where, block_on};

/// The arguments of `models`.
#[derive(Debug, Args)]
pub(crate) struct Models {
    /// Those of all namespaces.
    #[arg(short = 'A', long)]
    all_namespaces: bool,
}

/// The arguments of `compare`.
#[derive(Debug, Args)]
pub(crate) struct Compare {
    /// The name of a `ModelVersion`.
    one: String,
    /// The name of another.
    other: String,
}

/// The arguments of `lineage`.
#[derive(Debug, Args)]
pub(crate) struct Lineage {
    /// The name of a `ModelVersion`.
    version: String,
}

/// The arguments of `verify`.
#[derive(Debug, Args)]
pub(crate) struct Verify {
    /// The name of a `ModelVersion`.
    version: String,
}

/// The arguments of `card`.
#[derive(Debug, Args)]
pub(crate) struct Card {
    /// The name of a `Model`.
    model: String,
    /// The file that is written; standard output where absent.
    #[arg(short, long)]
    output: Option<PathBuf>,
}

/// The arguments of `approve` and of `reject`.
#[derive(Debug, Args)]
pub(crate) struct Approve {
    /// The name of a `ModelVersion`.
    version: String,
    /// Why, for those who read it later.
    #[arg(long)]
    reason: String,
    /// The judgement that you looked at: its digest, or how that begins. Where the version was judged again since then,
    /// nothing is created.
    #[arg(long)]
    judgement: Option<String>,
    /// Prints the Approval instead of creating it.
    #[arg(long)]
    dry_run: bool,
    /// Prints the Approval for another account to create, such as Argo CD's, as system:serviceaccount:NAMESPACE:NAME. It
    /// then claims to write for you.
    #[arg(long, value_name = "ACCOUNT")]
    writer: Option<String>,
}

/// Prints a table of models.
pub(crate) fn models(place: &Where, asked: &Models) -> anyhow::Result<()> {
    block_on(async {
        let cluster = Cluster::connect(place).await?;
        let (models, versions) = objects::models(&cluster, asked.all_namespaces).await?;
        print!("{}", models::table(&models, &versions, asked.all_namespaces, Timestamp::now()));
        if models.is_empty() {
            let looked_at = if asked.all_namespaces { "any namespace".to_owned() } else { cluster.namespace.clone() };
            eprintln!("There is no Model in {looked_at}.");
        }
        Ok(())
    })
}

/// Prints two versions side by side.
pub(crate) fn compare(place: &Where, asked: &Compare) -> anyhow::Result<()> {
    block_on(async {
        let cluster = Cluster::connect(place).await?;
        let (one, other) =
            (objects::version(&cluster, &asked.one).await?, objects::version(&cluster, &asked.other).await?);
        print!("{}", compare::compare(&one, &other));
        Ok(())
    })
}

/// Prints where a version came from.
pub(crate) fn lineage(place: &Where, asked: &Lineage) -> anyhow::Result<()> {
    block_on(async {
        let cluster = Cluster::connect(place).await?;
        let version = objects::version(&cluster, &asked.version).await?;
        let run = objects::run_of(&cluster, &version).await?;
        print!("{}", lineage::tree(&version, &run));
        Ok(())
    })
}

/// Verifies a version; false where something is not what it says.
///
/// # Errors
/// Its files could not be read: who asks by the exit code must not take that for verified.
pub(crate) fn verify(place: &Where, asked: &Verify) -> anyhow::Result<bool> {
    block_on(async {
        let cluster = Cluster::connect(place).await?;
        let (report, standing) = verify::report(&objects::facts(&cluster, &asked.version).await?);
        print!("{report}");
        match standing {
            Standing::Holds => Ok(true),
            Standing::Broken => Ok(false),
            Standing::Unknown => bail!("{} is not verified: its files could not be read", asked.version),
        }
    })
}

/// Creates a person's word on the newest judgement of a version, or prints it.
pub(crate) fn approve(place: &Where, asked: &Approve, decision: Decision) -> anyhow::Result<()> {
    block_on(async {
        let cluster = Cluster::connect(place).await?;
        let objects = objects::asked(&cluster, &asked.version).await?;
        let word = approve::Word {
            decision,
            reason: asked.reason.clone(),
            judgement: asked.judgement.clone(),
            writer: asked.writer.clone(),
        };
        let approval = approve::approval(word, &objects.version, objects.model.as_ref(), &objects.account)?;
        eprint!("{}", approve::summary(&objects.version)?);
        if asked.dry_run || asked.writer.is_some() {
            print!("{}", serde_yaml::to_string(&approval)?);
            return Ok(());
        }
        let created = objects::create(&cluster, &approval).await?;
        println!("approval.seatrial.dev/{created} created");
        Ok(())
    })
}

/// Writes a model's card.
pub(crate) fn card(place: &Where, asked: &Card) -> anyhow::Result<()> {
    block_on(async {
        let cluster = Cluster::connect(place).await?;
        let page = card::page(&objects::card(&cluster, &asked.model).await?, Timestamp::now());
        match &asked.output {
            Some(path) => std::fs::write(path, page).with_context(|| {
                format!("the card cannot be written to {}: name another file with --output", path.display())
            }),
            None => {
                print!("{page}");
                Ok(())
            }
        }
    })
}

#[cfg(test)]
mod fixtures;
