//! Where a version came from, as a tree.

use kube::ResourceExt;
use seatrial_core::names;
use seatrial_crds::{Lineage, MLPipelineRun, ModelVersion};

use super::text::{plain, short_digest, size, time};

/// The run that made a version, as far as it is still known.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum RunOf {
    /// The version names no run.
    Unnamed,
    /// The run of this name is gone.
    Gone,
    /// Another run has this name: its UID is another one.
    Another,
    /// The run is there.
    Found(Box<MLPipelineRun>),
}

/// A line with those beneath it.
#[derive(Clone, Debug, Default)]
struct Node {
    text: String,
    children: Vec<Node>,
}

impl Node {
    fn leaf(text: String) -> Self {
        Self { text, children: Vec::new() }
    }

    fn write(&self, before: &str, out: &mut String) {
        let last = self.children.len().saturating_sub(1);
        for (number, child) in self.children.iter().enumerate() {
            let (branch, deeper) = if number == last { ("└─ ", "   ") } else { ("├─ ", "│  ") };
            out.push_str(&format!("{before}{branch}{}\n", child.text));
            child.write(&format!("{before}{deeper}"), out);
        }
    }
}

/// version ← run ← pipeline's revision ← parameters, and for each step its image, inputs and outputs.
pub(super) fn tree(version: &ModelVersion, run: &RunOf) -> String {
    let status = version.status.clone().unwrap_or_default();
    let verdict = status.verdict.map_or_else(|| "not judged yet".to_owned(), |verdict| format!("{verdict:?}"));
    let headline = status.headline.map(|headline| format!(", {}", plain(&headline))).unwrap_or_default();
    let artifact = &version.spec.artifact;
    let files = format!("files {}, {}, at {}", plain(&artifact.digest), size(artifact.size), plain(&artifact.uri));
    let mut root = Node {
        text: format!(
            "{} of the model {}: {verdict}{headline}",
            plain(&version.name_any()),
            plain(&version.spec.model)
        ),
        children: vec![Node::leaf(files)],
    };
    for evidence in &version.spec.evidence {
        let kind = evidence.kind.map_or_else(String::new, |kind| format!("{kind:?} "));
        let digest = short_digest(&evidence.artifact.digest);
        root.children.push(Node::leaf(format!(
            "judged by {kind}{}.{} {digest}",
            plain(&evidence.step),
            plain(&evidence.output)
        )));
    }
    match &version.spec.lineage {
        Some(lineage) => root.children.push(run_node(lineage, run)),
        None => root.children.push(Node::leaf("made elsewhere: the version does not say by what".to_owned())),
    }
    let mut out = format!("{}\n", root.text);
    root.write("", &mut out);
    out
}

fn run_node(lineage: &Lineage, run: &RunOf) -> Node {
    let name = lineage.run.as_deref().map_or_else(|| "of no name".to_owned(), plain);
    let found = match run {
        RunOf::Found(run) => Some(run.as_ref()),
        _ => None,
    };
    let says = match run {
        RunOf::Found(run) => ended(run),
        RunOf::Unnamed => "the version does not name it".to_owned(),
        RunOf::Gone => "gone: what its steps made in between is not known any more".to_owned(),
        RunOf::Another => "gone: there is another run of this name now".to_owned(),
    };
    let pipeline = match (&lineage.pipeline, lineage.revision) {
        (Some(pipeline), Some(number)) => {
            let revision = names::revision(pipeline, number);
            format!("pipeline {}, revision {number} (ControllerRevision {})", plain(pipeline), plain(&revision))
        }
        (Some(pipeline), None) => format!("pipeline {}, of an unknown revision", plain(pipeline)),
        _ => "an unknown pipeline".to_owned(),
    };
    let parameters =
        lineage.parameters.iter().map(|one| Node::leaf(format!("{} = {}", plain(&one.name), plain(&one.value))));
    let parameters = Node { text: "parameters".to_owned(), children: parameters.collect() };
    let mut children = if parameters.children.is_empty() { Vec::new() } else { vec![parameters] };
    children.extend(steps(lineage, found));
    Node { text: format!("run {name} ({says})"), children: vec![Node { text: pipeline, children }] }
}

fn ended(run: &MLPipelineRun) -> String {
    let status = run.status.clone().unwrap_or_default();
    let reason = status.conditions.iter().find(|condition| condition.type_ == "Succeeded");
    let reason = reason.map_or_else(|| "state unknown".to_owned(), |condition| plain(&condition.reason));
    let at = status.finished_at.map(|at| format!(", ended {}", time(&at))).unwrap_or_default();
    let took = status.duration.map(|took| format!(", took {}", plain(&took))).unwrap_or_default();
    format!("{reason}{at}{took}")
}

/// The steps that the lineage names, and those of the run, in the run's order.
fn steps(lineage: &Lineage, run: Option<&MLPipelineRun>) -> Vec<Node> {
    let status = run.and_then(|run| run.status.clone()).unwrap_or_default();
    let of_run = status.steps.iter().map(|step| step.name.as_str());
    let of_images = lineage.images.iter().map(|image| image.step.as_str());
    let of_inputs = lineage.inputs.iter().map(|input| input.step.as_str());
    let mut named: Vec<&str> = Vec::new();
    for name in of_run.chain(of_images).chain(of_inputs) {
        if !named.contains(&name) {
            named.push(name);
        }
    }
    let node = |name: &str| {
        let images = lineage.images.iter().filter(|image| image.step == name);
        let images = images.map(|image| Node::leaf(format!("image {}", plain(&image.image))));
        let inputs = lineage.inputs.iter().filter(|input| input.step == name).map(|input| {
            Node::leaf(format!("input {} {} {}", plain(&input.name), plain(&input.uri), plain(&input.digest)))
        });
        let contracts = lineage.contracts.iter().filter(|contract| contract.step == name).map(|contract| {
            let (key, version) = (plain(&contract.contract), plain(&contract.version));
            let revision = plain(&contract.revision);
            Node::leaf(format!("input {} keeps the contract {key} {version}, {revision}", plain(&contract.input)))
        });
        let outputs = status.steps.iter().filter(|step| step.name == name).flat_map(|step| &step.outputs);
        let outputs = outputs.map(|output| {
            let (digest, size) = (plain(&output.digest), size(output.size));
            Node::leaf(format!("output {} {:?} {digest}, {size}", plain(&output.name), output.kind))
        });
        Node {
            text: format!("step {}", plain(name)),
            children: images.chain(inputs).chain(contracts).chain(outputs).collect(),
        }
    };
    named.into_iter().map(node).collect()
}

#[cfg(test)]
mod tests {
    use super::super::fixtures;
    use super::*;

    #[test]
    fn the_tree_names_run_revision_parameters_inputs_images_and_artifacts() {
        let full = fixtures::full();
        insta::assert_snapshot!(tree(&full.versions[0], &RunOf::Found(Box::new(fixtures::run()))));
    }

    #[test]
    fn what_is_gone_or_unknown_is_said() {
        let mut version = fixtures::full().versions[0].clone();
        assert!(tree(&version, &RunOf::Gone).contains("gone: what its steps made"));
        assert!(tree(&version, &RunOf::Another).contains("another run of this name"));
        let contract = seatrial_crds::LineageContract {
            step: "prepare".into(),
            input: "raw".into(),
            contract: "billing/customers".into(),
            version: "1.2.0".into(),
            revision: "sha256:1".into(),
        };
        let lineage = version.spec.lineage.as_mut().unwrap();
        lineage.images.push(seatrial_crds::LineageImage { step: "prepare".into(), image: "i".into() });
        lineage.contracts.push(contract);
        let named = tree(&version, &RunOf::Gone);
        assert!(named.contains("input raw keeps the contract billing/customers 1.2.0, sha256:1"), "{named}");
        version.spec.lineage = None;
        assert!(tree(&version, &RunOf::Unnamed).contains("made elsewhere"));
    }
}
