//! Texts of bounded length.

/// Cuts a text to at most so many bytes, at the end of a character. The API server refuses a whole status for one text
/// that is too long.
pub(crate) fn truncate(text: &mut String, bytes: usize) {
    const ELLIPSIS: char = '…';
    if text.len() <= bytes {
        return;
    }
    let mut end = bytes.saturating_sub(ELLIPSIS.len_utf8());
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    text.truncate(end);
    if text.len() + ELLIPSIS.len_utf8() <= bytes {
        text.push(ELLIPSIS);
    }
}

/// What stands before the command that shows more of what a message is about.
const SEE: &str = "; see: kubectl seatrial ";
/// The fewest bytes that must be left of a message so that a command finds room beside it.
const TOLD: usize = 96;

/// The end of a message, which names the plugin's command that shows more.
pub(crate) fn see(command: &str) -> String {
    format!("{SEE}{command}")
}

/// Cuts a text to at most so many bytes in its middle: what happened stands at its beginning, and what a program said last
/// and what to do next at its end. A command at its end stays whole or goes as a whole: half of one helps nobody.
pub(crate) fn shorten(text: &mut String, bytes: usize) {
    if text.len() <= bytes {
        return;
    }
    if let Some(command) = text.rfind(SEE).map(|at| text.split_off(at)) {
        let room = bytes.saturating_sub(command.len());
        if room < TOLD {
            shorten(text, bytes);
        } else {
            shorten(text, room);
            text.push_str(&command);
        }
        return;
    }
    let mut head = text.clone();
    truncate(&mut head, bytes.div_ceil(2));
    let mut start = text.len() - (bytes - head.len());
    while !text.is_char_boundary(start) {
        start += 1;
    }
    head.push_str(text.get(start..).unwrap_or_default());
    *text = head;
}

/// A text in which nothing moves or recolours a terminal: controls of spacing become blanks, and others `\u{fffd}`. What
/// programs and names of files say is in statuses, conditions and events, which people print.
pub(crate) fn plain(text: &str) -> String {
    let plain = |c: char| match c {
        '\n' | '\r' | '\t' => ' ',
        c if c.is_control() => char::REPLACEMENT_CHARACTER,
        c => c,
    };
    text.chars().map(plain).collect()
}

/// The same, of at most so many bytes.
pub(crate) fn plain_within(text: &str, bytes: usize) -> String {
    let mut text = plain(text);
    truncate(&mut text, bytes);
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_plain_text_has_no_control_characters() {
        assert_eq!(plain("a\tb\r\nä"), "a b  ä");
        assert_eq!(plain("x\u{1b}]0;evil\u{7}\0\u{9b}2J"), "x\u{fffd}]0;evil\u{fffd}\u{fffd}\u{fffd}2J");
    }

    #[test]
    fn texts_are_cut_in_bytes_and_between_characters() {
        for (text, bytes, expected) in [
            ("short", 5, "short"),
            ("shorter", 6, "sho…"),
            ("äöüß", 7, "äö…"),
            ("äöüß", 6, "ä…"),
            ("äö", 2, ""),
            ("x", 0, ""),
        ] {
            let mut cut = text.to_owned();
            truncate(&mut cut, bytes);
            assert_eq!(cut, expected);
            assert!(cut.len() <= bytes);
        }
    }

    #[test]
    fn a_command_at_the_end_stays_whole_or_goes_whole() {
        let message = |name: &str| format!("{}{}", "x".repeat(200), see(&format!("logs {name}")));
        for (name, bytes, ends) in [
            ("churn-c1/train", 256, "x; see: kubectl seatrial logs churn-c1/train"),
            ("churn-c1/train", 200, "x; see: kubectl seatrial logs churn-c1/train"),
            ("churn-c1/train", 120, "xxx"),
        ] {
            let mut cut = message(name);
            shorten(&mut cut, bytes);
            assert!(cut.ends_with(ends) && cut.starts_with("xxx") && cut.len() <= bytes, "{bytes}: {cut}");
        }
        let mut long = message(&"n".repeat(180));
        shorten(&mut long, 256);
        assert_eq!(long, "x".repeat(200));
    }

    #[test]
    fn long_texts_keep_their_beginning_and_their_end() {
        for (text, bytes, expected) in
            [("short", 5, "short"), ("0123456789abcdef", 13, "0123…abcdef"), ("ääääääää", 9, "ä…ää")]
        {
            let mut cut = text.to_owned();
            shorten(&mut cut, bytes);
            assert_eq!(cut, expected);
            assert!(cut.len() <= bytes, "{cut}");
        }
    }
}
