//! What several gates found, in one text for people.

use seatrial_crds::GateJudgement;

/// What was found of these gates, each sentence once: where several gates say the same, as all do whose evidence cannot be read,
/// their names stand before it.
pub fn summary<'a>(gates: impl Iterator<Item = &'a GateJudgement>) -> String {
    let mut found: Vec<(&str, Vec<&str>)> = Vec::new();
    for gate in gates {
        match found.iter_mut().find(|(message, _)| *message == gate.message) {
            Some((_, names)) => names.push(&gate.name),
            None => found.push((&gate.message, vec![&gate.name])),
        }
    }
    let sentence = |(message, names): &(&str, Vec<&str>)| match names.as_slice() {
        [_] => (*message).to_owned(),
        names => format!("{}: {message}", names.join(", ")),
    };
    found.iter().map(sentence).collect::<Vec<_>>().join("; ")
}

#[cfg(test)]
mod tests {
    use seatrial_crds::Verdict;

    use super::*;

    #[test]
    fn what_several_gates_say_is_said_once_with_their_names() {
        let gate = |name: &str, message: &str| GateJudgement {
            name: name.into(),
            kind: None,
            verdict: Verdict::Error,
            value: None,
            message: message.into(),
        };
        let cause = "1 of 1190 labels have no prediction";
        for (gates, expected) in [
            (vec![], String::new()),
            (vec![gate("a", cause)], cause.to_owned()),
            (
                vec![gate("a", cause), gate("b", "too dear"), gate("c", cause), gate("d", cause)],
                format!("a, c, d: {cause}; too dear"),
            ),
        ] {
            assert_eq!(summary(gates.iter()), expected);
        }
    }
}
