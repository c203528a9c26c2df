//! Where the shown versions came from.

use kube::ResourceExt;
use seatrial_core::names;
use seatrial_crds::ModelVersion;

use super::Shown;
use super::html::Html;
use crate::judged::text::size;

/// Run, pipeline, parameters, data and images of each version.
pub(super) fn section(versions: &[Shown<'_>]) -> Html {
    let mut html = Html::default();
    if versions.is_empty() {
        return html;
    }
    html.raw("<section>\n<h2>Where they came from</h2>\n");
    for one in versions {
        html.add(&version(one.version));
    }
    html.note("The whole tree, with what each step made: kubectl seatrial lineage VERSION.").raw("</section>\n");
    html
}

fn version(version: &ModelVersion) -> Html {
    let spec = &version.spec;
    let mut html = Html::default();
    html.raw("<h3>").text(version.name_any()).raw("</h3>\n<dl>\n");
    html.fact("Files", format!("{}, {}, {}", spec.artifact.uri, size(spec.artifact.size), spec.artifact.digest));
    html.fact("Made for", format!("{:?}", spec.purpose));
    let Some(lineage) = &spec.lineage else {
        html.raw("</dl>\n").paragraph("It was made elsewhere: it does not say by what.");
        return html;
    };
    html.fact("Run", lineage.run.as_deref().unwrap_or("not known"));
    match (&lineage.pipeline, lineage.revision) {
        (Some(pipeline), Some(number)) => {
            html.fact("Pipeline", format!("{pipeline}, revision {number} ({})", names::revision(pipeline, number)))
        }
        (pipeline, _) => html.fact("Pipeline", pipeline.as_deref().unwrap_or("not known")),
    };
    html.raw("</dl>\n");
    let rows: Vec<[String; 2]> = lineage.parameters.iter().map(|one| [one.name.clone(), one.value.clone()]).collect();
    if !rows.is_empty() {
        html.table("Parameters", ["Parameter", "Value"], &rows);
    }
    let row = |input: &seatrial_crds::LineageInput| {
        [format!("{}.{}", input.step, input.name), input.uri.clone(), input.digest.clone()]
    };
    let rows: Vec<[String; 3]> = lineage.inputs.iter().map(row).collect();
    if !rows.is_empty() {
        html.table("Data that came in", ["Input", "From", "Digest"], &rows);
    }
    let rows: Vec<[String; 2]> = lineage.images.iter().map(|image| [image.step.clone(), image.image.clone()]).collect();
    if !rows.is_empty() {
        html.table("Images, as really run", ["Step", "Image"], &rows);
    }
    html
}
