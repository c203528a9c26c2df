//! What a program said last, in an order in which people read it: what it died of comes first.

use crate::text;

/// Bytes that are told.
const TOLD: usize = 400;
/// What stands between lines, which a status shows as one.
const BETWEEN: &str = " | ";
/// Where a program's own files do not lie.
const NOT_ITS_OWN: [&str; 4] = ["site-packages", "dist-packages", "/lib/python", "<frozen"];

/// The last lines of what a program printed, on one line. Of one of Python that died of an exception, the exception and where
/// it was raised: what comes before is the way there.
pub(crate) fn told(printed: &str) -> String {
    let lines: Vec<&str> = printed.lines().filter(|line| !line.trim().is_empty() && !is_underline(line)).collect();
    let exception = exception(&lines);
    let mut told = match &exception {
        Some((lines, _)) => joined(lines),
        None => last(&lines),
    };
    let place = exception.and_then(|(_, place)| place).map(|place| format!(" ({place})")).unwrap_or_default();
    text::shorten(&mut told, TOLD.saturating_sub(place.len()));
    told + &place
}

/// A line that only underlines a part of the one before, as Python and compilers do.
fn is_underline(line: &str) -> bool {
    line.trim().chars().all(|character| matches!(character, '^' | '~' | ' '))
}

/// The exception at the end of the last traceback, and the last place in it that is the program's own.
fn exception<'a>(lines: &[&'a str]) -> Option<(Vec<&'a str>, Option<String>)> {
    let last = lines.iter().rposition(|line| frame(line).is_some())?;
    let (way, after) = lines.split_at(last + 1);
    let begin = after.iter().position(|line| !line.starts_with([' ', '\t']))?;
    let own = |(file, line): (&str, &str)| {
        let is_own = !NOT_ITS_OWN.iter().any(|foreign| file.contains(foreign));
        is_own.then(|| format!("{file}, line {line}"))
    };
    // Frames of an exception before this one are above another exception's text.
    let of_last = way.iter().rev().take_while(|line| line.starts_with([' ', '\t']));
    let place = of_last.filter_map(|line| frame(line)).find_map(own);
    Some((after.iter().skip(begin).copied().collect(), place))
}

/// File and line of a line of a traceback: `  File "train.py", line 12, in load`.
fn frame(line: &str) -> Option<(&str, &str)> {
    let rest = line.strip_prefix("  ")?.trim_start().strip_prefix("File \"")?;
    let (file, rest) = rest.split_once("\", line ")?;
    let digits = rest.find(|character: char| !character.is_ascii_digit()).unwrap_or(rest.len());
    Some((file, rest.get(..digits)?))
}

fn joined(lines: &[&str]) -> String {
    lines.iter().map(|line| line.trim()).collect::<Vec<_>>().join(BETWEEN)
}

/// As many of the last lines as there is room for; the end of the last one where it is longer.
fn last(lines: &[&str]) -> String {
    let mut room = TOLD;
    let fitting = lines.iter().rev().take_while(|line| {
        let fits = line.trim().len() <= room;
        room = room.saturating_sub(line.trim().len() + BETWEEN.len());
        fits
    });
    let from = lines.len() - fitting.count().max(1).min(lines.len());
    joined(lines.get(from..).unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_program_died_of_comes_first() {
        let pandas = r#"epoch 1
Traceback (most recent call last):
  File "/usr/lib/python3/dist-packages/pandas/core/indexes/base.py", line 3812, in get_loc
    return self._engine.get_loc(casted_key)
           ~~~~~~~~~~~~~~~~~~~~^^^^^^^^^^^^
KeyError: 'income'

The above exception was the direct cause of the following exception:

Traceback (most recent call last):
  File "/app/train.py", line 12, in <module>
    main()
    ~~~~^^
  File "/usr/lib/python3/dist-packages/pandas/core/frame.py", line 4107, in __getitem__
    indexer = self.columns.get_loc(key)
KeyError: 'income'
"#;
        for (printed, expected) in [
            ("", ""),
            (" \n ^^^^\n", ""),
            ("no such column\n", "no such column"),
            ("one\n\n  two \n", "one | two"),
            ("Traceback: boom", "Traceback: boom"),
            (pandas, "KeyError: 'income' (/app/train.py, line 12)"),
            // Cut at its beginning, as the end of an output is.
            (
                "^^^^^^\n  File \"train.py\", line 3, in load\n    x[0]\n    ~^^^\nIndexError: list index out of range",
                "IndexError: list index out of range (train.py, line 3)",
            ),
            (
                "  File \"a.py\", line 1\n    x = = 1\n        ^\nSyntaxError: invalid syntax\n",
                "SyntaxError: invalid syntax (a.py, line 1)",
            ),
            // An exception of several lines, and nothing of the program's own in sight.
            (
                "  File \"/x/site-packages/y.py\", line 1, in z\n    w()\nValidationError: 1 error\nage\n  field required",
                "ValidationError: 1 error | age | field required",
            ),
            ("  File \"a.py\", line 1, in z\n    cut", "File \"a.py\", line 1, in z | cut"),
            ("error: x\n --> a.rs:1\n   ^^^ here", "error: x | --> a.rs:1 | ^^^ here"),
        ] {
            assert_eq!(told(printed), expected, "{printed}");
        }
    }

    #[test]
    fn what_is_told_is_bounded() {
        let line = "ä".repeat(150);
        let short = format!("{}\nlast", "y".repeat(395));
        assert_eq!(told(&short), "last");
        assert_eq!(told(&format!("{line}\nlast")), format!("{line} | last"));
        assert!(told(&"x".repeat(4000)).len() <= TOLD);
        let traceback = format!("  File \"a.py\", line 1, in z\nValueError: {}", "v".repeat(4000));
        let told = told(&traceback);
        assert!(
            told.len() <= TOLD && told.starts_with("ValueError: vvv") && told.ends_with(" (a.py, line 1)"),
            "{told}"
        );
    }
}
