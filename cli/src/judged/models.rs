//! The table of models.

use std::collections::HashMap;

use jiff::Timestamp;
use kube::ResourceExt;
use seatrial_crds::{Model, ModelVersion};

use super::text::{ago, columns, plain};

const NONE: &str = "-";

/// A row for each Model: who owns it, what serves since when, the newest version and what became of it, and what it waits
/// for.
pub(super) fn table(models: &[Model], versions: &[ModelVersion], with_namespace: bool, now: Timestamp) -> String {
    let key = |namespace: Option<String>, name: &str| (namespace.unwrap_or_default(), name.to_owned());
    let by_name: HashMap<(String, String), &ModelVersion> =
        versions.iter().map(|version| (key(version.namespace(), &version.name_any()), version)).collect();
    let mut models: Vec<&Model> = models.iter().collect();
    models.sort_by_key(|model| (model.namespace(), model.name_any()));
    let head = ["NAMESPACE", "MODEL", "OWNER", "SERVES", "SINCE", "NEWEST", "VERDICT", "NUMBER", "WAITS FOR"];
    let skip = usize::from(!with_namespace);
    let mut rows = vec![head.iter().skip(skip).map(|cell| (*cell).to_owned()).collect()];
    for model in models {
        let newest = model.status.as_ref().and_then(|status| status.newest_version.as_deref());
        let version = newest.and_then(|name| by_name.get(&key(model.namespace(), name)).copied());
        let mut row = vec![plain(&model.namespace().unwrap_or_default())];
        row.extend(cells(model, newest, version, now));
        rows.push(row.into_iter().skip(skip).collect());
    }
    if rows.len() > 1 { columns(&rows) } else { String::new() }
}

fn cells(model: &Model, newest: Option<&str>, version: Option<&ModelVersion>, now: Timestamp) -> [String; 8] {
    let status = model.status.clone().unwrap_or_default();
    let joined = |texts: Vec<String>, between: &str| match texts.is_empty() {
        true => NONE.to_owned(),
        false => texts.join(between),
    };
    let serves = status.serving.iter().map(|served| match status.serving.len() {
        1 => plain(&served.version),
        _ => format!("{} ({})", plain(&served.version), plain(&served.deployment)),
    });
    let since =
        status.serving.iter().map(|served| served.since.as_ref().map_or(NONE.to_owned(), |time| ago(time, now)));
    let judged = version.and_then(|version| version.status.as_ref());
    let verdict =
        judged.and_then(|status| status.verdict).map_or_else(|| NONE.to_owned(), |verdict| format!("{verdict:?}"));
    let number = judged.and_then(|status| status.headline.as_deref()).map_or_else(|| NONE.to_owned(), plain);
    let open = status.unanswered.iter().map(|question| format!("an answer to {}", plain(question)));
    let waiting = status.waiting.iter().map(|waiting| match &waiting.gate {
        Some(gate) => format!("{} {}: {}", plain(&waiting.version), plain(gate), plain(&waiting.waits_for)),
        None => format!("{}: {}", plain(&waiting.version), plain(&waiting.waits_for)),
    });
    [
        plain(&model.name_any()),
        plain(&model.spec.owner.team),
        joined(serves.collect(), ", "),
        joined(since.collect(), ", "),
        newest.map_or_else(|| NONE.to_owned(), plain),
        verdict,
        number,
        joined(open.chain(waiting).collect(), "; "),
    ]
}

#[cfg(test)]
mod tests {
    use super::super::fixtures;
    use super::*;

    #[test]
    fn a_row_says_who_owns_what_serves_and_what_waits() {
        let (full, empty) = (fixtures::full(), fixtures::empty());
        let models = [full.model.clone(), empty.model];
        insta::assert_snapshot!(table(&models, &full.versions, false, fixtures::now()));
        let everywhere = table(&models, &full.versions, true, fixtures::now());
        assert!(everywhere.starts_with("NAMESPACE") && everywhere.contains("\ngrowth "), "{everywhere}");
    }

    #[test]
    fn a_version_of_another_namespace_is_not_taken_for_the_own() {
        let full = fixtures::full();
        let mut versions = full.versions.clone();
        for version in &mut versions {
            version.metadata.namespace = Some("elsewhere".into());
        }
        let table = table(std::slice::from_ref(&full.model), &versions, false, fixtures::now());
        assert!(!table.contains("Failed"), "{table}");
    }

    #[test]
    fn no_models_are_no_table() {
        assert_eq!(table(&[], &[], true, fixtures::now()), "");
    }
}
