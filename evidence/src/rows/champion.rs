//! The champion's predictions, joined to rows that are there.

use std::path::Path;

use super::{Found, Ids, Predicted, Row, decides, examples, list, refuse_repeated};
use crate::classes::Classes;
use crate::number;
use crate::problem::Problem;
use crate::progress::{CHAMPION, PREDICTIONS};
use crate::table::Table;

/// Puts what the champion predicts in place of the rows' scores; says whether there are scores, or decisions alone. The
/// champion must predict exactly these rows. They are in the order of their keys.
pub(crate) fn replace_scores(
    rows: &mut [Row],
    path: &Path,
    positive: &str,
    labels: Option<&Classes>,
) -> Result<bool, Problem> {
    let table = Table::open(CHAMPION, path)?;
    let column = decides(&table)?;
    let mut classes = (column == "prediction").then(|| Classes::new(positive));
    let (mut predicted, mut ids) = (Vec::new(), Ids::new(CHAMPION));
    table.each(&["id", column], &mut |number, cells| {
        let [id, cell] = cells else { return Ok(()) };
        if let Some(key) = ids.key(*id, number)? {
            let score = match &mut classes {
                Some(classes) => classes.is_positive(*cell, column, number, CHAMPION).map(f64::from)?,
                None => number::read(*cell, column, number, CHAMPION)?,
            };
            predicted.push(Predicted { key, score, number });
        }
        Ok(())
    })?;
    ids.check(predicted.len())?;
    if let (Some(classes), Some(labels)) = (&classes, labels) {
        classes.check_against(labels, CHAMPION)?;
    }
    predicted.sort_unstable_by_key(|row| row.key);
    refuse_repeated(&table, "id", &predicted, |row| (row.key, row.number))?;
    let (mut missing, mut extra) = (0_usize, Found::default());
    let mut rest = predicted.iter().peekable();
    for row in &mut *rows {
        while let Some(stray) = rest.next_if(|one| one.key < row.key) {
            extra.add(stray.number);
        }
        match rest.next_if(|one| one.key == row.key) {
            Some(one) => row.score = one.score,
            None => missing += 1,
        }
    }
    rest.for_each(|stray| extra.add(stray.number));
    let mut said = Vec::new();
    if missing > 0 {
        said.push(format!("{missing} of {} rows of {PREDICTIONS} are not among {CHAMPION}", rows.len()));
    }
    if extra.count > 0 {
        let named = list(&examples(&table, "id", &extra.first)?);
        said.push(format!("{} of {} of {CHAMPION} are for other rows: {named}", extra.count, predicted.len()));
    }
    if said.is_empty() {
        return Ok(classes.is_none());
    }
    said.push("the evaluation step must write the same rows for each model that it is given".to_owned());
    Err(Problem::Unusable(said.join("; ")))
}
