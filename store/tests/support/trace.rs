//! What a program asked of its kernel, in order.

use std::collections::HashMap;
use std::path::Path;

/// One call, with where it began and ended among all lines.
#[derive(Debug)]
pub(crate) struct Call {
    pub(crate) start: usize,
    pub(crate) end: usize,
    pub(crate) text: String,
}

/// The calls in a file that `strace -f -o` wrote: those of several threads, one of which may wait while others go on.
pub(crate) fn calls(file: &Path) -> Vec<Call> {
    let text = std::fs::read_to_string(file).unwrap();
    let (mut calls, mut open) = (vec![], HashMap::new());
    for (line, text) in text.lines().enumerate() {
        let Some((thread, text)) = text.split_once(' ').map(|(thread, text)| (thread, text.trim())) else { continue };
        if let Some(begun) = text.strip_suffix("<unfinished ...>") {
            open.insert(thread.to_owned(), (line, begun.trim_end().to_owned()));
        } else if let Some((_, ended)) = text.split_once(" resumed>").filter(|_| text.starts_with("<... ")) {
            if let Some((start, begun)) = open.remove(thread) {
                calls.push(Call { start, end: line, text: format!("{begun}{ended}") });
            }
        } else {
            calls.push(Call { start: line, end: line, text: text.to_owned() });
        }
    }
    calls.sort_by_key(|call| call.start);
    calls
}

/// The first call after a line that succeeded and has all of these in it.
pub(crate) fn after<'a>(calls: &'a [Call], line: usize, parts: &[&str]) -> &'a Call {
    let is_it = |call: &&Call| {
        call.start > line && parts.iter().all(|part| call.text.contains(part)) && !call.text.contains("= -1 ")
    };
    calls.iter().find(is_it).unwrap_or_else(|| panic!("no {parts:?} after line {line}"))
}

/// True where a call that succeeded with all of these in it ended between two lines.
pub(crate) fn is_between(calls: &[Call], from: usize, to: usize, parts: &[&str]) -> bool {
    let is_it = |call: &Call| {
        call.start > from
            && call.end < to
            && parts.iter().all(|part| call.text.contains(part))
            && !call.text.contains("= -1 ")
    };
    calls.iter().any(is_it)
}
