//! A version beside its champion: who is right where the two differ.

use seatrial_core::gates::figures::{self, PairedFigure};
use seatrial_crds::{Duel, ModelSpec, ModelVersionStatus};

use super::html::Html;
use super::words::count;
use crate::judged::text::{rounded, time};

/// What there is to say of a version's duel; nothing where none was asked for.
pub(super) fn section(spec: &ModelSpec, status: &ModelVersionStatus) -> Html {
    let mut html = Html::default();
    let Some(duel) = &status.duel else { return html };
    html.raw("<h3>Beside the champion</h3>\n");
    let Some(champion) = &duel.champion else {
        html.paragraph(format!(
            "At {} there was no champion to compare it with: no other version was in service, or had passed while none was.",
            time(&duel.pinned_at)
        ));
        return html;
    };
    let threshold = champion.threshold.as_deref().map_or_else(|| "0.5".to_owned(), rounded);
    html.paragraph(format!(
        "The champion is {}, since {}. The step that evaluates this version evaluated it again, on the same data; it flags from a score of {threshold} on, as it serves.",
        champion.version,
        time(&duel.pinned_at)
    ));
    let problem = duel.problem.as_ref().or_else(|| duel.measurement.as_ref()?.problem.as_ref());
    if let Some(problem) = problem {
        html.raw("<p class=\"warning\">").text(format!("The two could not be compared: {problem}")).raw("</p>\n");
    } else if let Some(rows) = rows(spec, status, duel) {
        html.table(
            "Who is right, row by row: only where the two differ can one be better",
            ["Rows", "Both", "Only this version", "Only the champion", "Neither"],
            &rows,
        );
    } else {
        html.note("The two are not compared yet.");
    }
    if let Some(before) = duel.judged_before.filter(|before| *before > 0) {
        html.note(format!(
            "Versions of this model that had been judged on the same labels before: {}. Whoever tries often enough wins by chance.",
            count(before)
        ));
    }
    html
}

fn rows(spec: &ModelSpec, status: &ModelVersionStatus, duel: &Duel) -> Option<[[String; 5]; 2]> {
    let figure = figures::duel(spec, status.measurement.as_ref()?, duel.measurement.as_ref()?)?;
    let row = |what: &str, of: PairedFigure| {
        [format!("{} {what}", count(of.rows)), count(of.both), count(of.version), count(of.champion), count(of.neither)]
    };
    Some([row("positives, to be found", figure.positives), row("negatives, to be left alone", figure.negatives)])
}
