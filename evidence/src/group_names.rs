//! The names of groups, as long as a message has room for them.

use seatrial_crds::{MeasuredGroup, limits};

/// Bytes of a message that the names of all groups and slices may take.
const ROOM: usize = 1200;
/// Bytes that mark a name that was cut: an ellipsis, `#`, and the group's place.
const MARK: usize = 6;

/// Cuts the values that are longest, where all together are too long. What was cut ends with its place among the groups, so
/// that no two are alike.
pub(crate) fn shorten(groups: &mut [MeasuredGroup]) {
    let whole = groups.to_vec();
    let mut longest = 6 * limits::LABEL;
    while bytes(groups) > ROOM && longest > 0 {
        longest -= 1;
        for (place, (group, whole)) in groups.iter_mut().zip(&whole).enumerate() {
            if written(&whole.value) > longest {
                group.value = cut(&whole.value, longest.saturating_sub(MARK), place + 1);
            }
        }
    }
}

/// The bytes that names take in a message: each slice once, each value, and what stands between them.
fn bytes(groups: &[MeasuredGroup]) -> usize {
    let of_slice = |same: &[MeasuredGroup]| {
        let slice = same.first().map_or(0, |group| written(&group.slice));
        slice + 6 + same.iter().map(|group| written(&group.value) + 1).sum::<usize>()
    };
    groups.chunk_by(|one, next| one.slice == next.slice).map(of_slice).sum()
}

/// The bytes that a text takes as JSON has it.
fn written(text: &str) -> usize {
    serde_json::to_string(text).map_or(text.len(), |json| json.len())
}

fn cut(value: &str, longest: usize, place: usize) -> String {
    let mut short = String::new();
    for character in value.chars() {
        short.push(character);
        if written(&short) > longest {
            short.pop();
            break;
        }
    }
    format!("{short}…#{place}")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn groups(slices: usize, each: usize, value: impl Fn(usize) -> String) -> Vec<MeasuredGroup> {
        let slice = |number: usize| format!("{:s<63}", number / each);
        (0..slices * each).map(|number| MeasuredGroup { slice: slice(number), value: value(number) }).collect()
    }

    #[test]
    fn names_that_have_room_stay() {
        let mut all = groups(1, 12, |number| format!("{number:x<63}"));
        let before = all.clone();
        shorten(&mut all);
        assert_eq!(all, before);
    }

    #[test]
    fn names_have_room_and_differ_whatever_they_are() {
        type Value = fn(usize) -> String;
        let values: [Value; 4] = [
            |number| format!("{:x<60}{number:03}", ""),
            |number| format!("{}{number}", "\u{1}".repeat(60)),
            |number| format!("{}{number}", "é\"".repeat(20)),
            |number| format!("{:y<width$}", number, width = number.min(63)),
        ];
        for value in values {
            let mut all = groups(8, 8, value);
            shorten(&mut all);
            assert!(bytes(&all) <= ROOM, "{} bytes", bytes(&all));
            let mut names: Vec<_> = all.iter().map(|group| (group.slice.clone(), group.value.clone())).collect();
            names.sort();
            names.dedup();
            assert_eq!(names.len(), 64);
            assert!(all.iter().all(|group| group.value.len() <= limits::LABEL + MARK));
        }
    }

    #[test]
    fn the_longest_are_cut_first() {
        let mut all = groups(1, 40, |number| if number == 7 { "short".into() } else { format!("{number:x<63}") });
        shorten(&mut all);
        assert_eq!(all[7].value, "short");
        assert!(all[8].value.starts_with("8xxxx") && all[8].value.ends_with("…#9"), "{}", all[8].value);
    }
}
