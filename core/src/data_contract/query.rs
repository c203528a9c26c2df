//! Rules of type `sql`: a query whose one number is compared.
//!
//! The placeholders become names here. Whether the rest is a query of SQLite's is known to who runs it alone.

use serde_json::Value;

use super::Draft;
use super::comparisons::{comparisons, each};
use super::fields::Fields;
use crate::contract::check::RuleKind;

/// What stands for the schema object: the standard's word first, then those of tools that run contracts.
const OF_OBJECT: [&str; 3] = ["object", "table", "model"];
/// What stands for the property.
const OF_PROPERTY: [&str; 3] = ["property", "column", "field"];
/// What a query begins with.
const BEGINS: [&str; 3] = ["SELECT", "WITH", "VALUES"];

/// Adds a rule for each comparison that the number of a query must keep, which stands at this column or at a schema object.
pub(super) fn rule(fields: Fields<'_>, name: Option<&str>, column: Option<&str>, draft: &mut Draft) {
    let Some(query) = fields.required_text("query", draft) else { return };
    let query = match checked(query).and_then(|()| named(query, &draft.schema, column)) {
        Ok(query) => query,
        Err(why) => return draft.not_checked(fields.path, why),
    };
    let otherwise = column.map_or_else(|| "query".to_owned(), |column| format!("{column}.query"));
    let comparisons = comparisons(fields, of_answer, draft);
    each(fields, name.unwrap_or(&otherwise), comparisons, draft, |is| RuleKind::Sql { query: query.clone(), is });
}

/// The number that an answer must be: true is 1 and false is 0, as in SQLite.
fn of_answer(fields: Fields<'_>, operator: &str, draft: &mut Draft) -> Option<String> {
    match fields.get(operator) {
        Some(Value::Bool(answer)) => Some(u8::from(*answer).to_string()),
        _ => fields.number(operator, draft),
    }
}

/// Whether a text may be a query: it begins as one.
fn checked(query: &str) -> Result<(), String> {
    if query.contains('\0') {
        return Err("the query has a character that no query has".to_owned());
    }
    let mut rest = query.trim_start();
    loop {
        let comment = rest.strip_prefix("--").map(|comment| comment.split_once('\n'));
        let comment = comment.or_else(|| rest.strip_prefix("/*").map(|comment| comment.split_once("*/")));
        rest = match (comment, rest.strip_prefix('(')) {
            (Some(behind), _) => behind.map_or("", |(_, behind)| behind).trim_start(),
            (None, Some(inner)) => inner.trim_start(),
            (None, None) => break,
        };
    }
    let word: String = rest.chars().take_while(char::is_ascii_alphabetic).collect();
    if BEGINS.iter().any(|begin| begin.eq_ignore_ascii_case(&word)) {
        return Ok(());
    }
    Err("it is no query that only reads: those begin with SELECT or WITH".to_owned())
}

/// The query with the names that its placeholders `{object}` and `{property}` stand for, written with `$` or without, and in
/// quotes or without.
fn named(query: &str, object: &str, property: Option<&str>) -> Result<String, String> {
    let (mut named, mut rest) = (String::with_capacity(query.len()), query);
    while let Some((before, behind)) = rest.split_once('{') {
        let placeholder = behind.split_once('}');
        let name = match placeholder {
            Some((word, _)) if OF_OBJECT.contains(&word) => Some(object),
            Some((word, _)) if OF_PROPERTY.contains(&word) => Some(property.ok_or_else(|| {
                format!("the query has {{{word}}}, and stands at a schema object: name the column, or move it to the property")
            })?),
            _ => None,
        };
        let (Some(name), Some((_, mut behind))) = (name, placeholder) else {
            named.push_str(before);
            named.push('{');
            rest = behind;
            continue;
        };
        let mut before = before.strip_suffix('$').unwrap_or(before);
        let quoted =
            ['"', '\'', '`'].into_iter().find_map(|quote| before.strip_suffix(quote).zip(behind.strip_prefix(quote)));
        if let Some(around) = quoted {
            (before, behind) = around;
        }
        named.push_str(before);
        named.push('"');
        named.push_str(&name.replace('"', "\"\""));
        named.push('"');
        rest = behind;
    }
    named.push_str(rest);
    Ok(named)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn placeholders_become_quoted_names() {
        for (query, expected) in [
            ("SELECT COUNT(*) FROM {object} WHERE {property} > 1", r#"SELECT COUNT(*) FROM "a b" WHERE "x""y" > 1"#),
            ("SELECT MIN(${column}) FROM ${table}", r#"SELECT MIN("x""y") FROM "a b""#),
            (
                r#"SELECT "{field}", `{field}`, '{field}' FROM "${model}""#,
                r#"SELECT "x""y", "x""y", "x""y" FROM "a b""#,
            ),
            // Quotes that do not match, other words, and braces alone, are left as they are.
            (r#"SELECT "{field}' FROM {other} {object"#, r#"SELECT ""x""y"' FROM {other} {object"#),
            ("SELECT 1", "SELECT 1"),
        ] {
            assert_eq!(named(query, "a b", Some("x\"y")).as_deref(), Ok(expected), "{query}");
        }
        assert!(named("SELECT {property} FROM {object}", "t", None).unwrap_err().contains("{property}"));
    }

    #[test]
    fn what_begins_as_no_query_is_told_before_anybody_runs_it() {
        for query in
            ["SELECT 1", " with a AS (SELECT 1) SELECT * FROM a", "-- why\n/* and how */ (select 1)", "VALUES (1)"]
        {
            assert_eq!(checked(query), Ok(()), "{query}");
        }
        for query in
            ["COPY t TO 'x'", "PRAGMA a", "-- SELECT 1", "/* SELECT 1", "selection", "", "SELECT 1\0", "🦆 SELECT"]
        {
            assert!(checked(query).is_err(), "{query}");
        }
    }
}
