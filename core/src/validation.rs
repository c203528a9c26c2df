//! Finds mistakes in specs. The CRD's schema refuses most of them at apply. Here are the others; and, for objects that came
//! around the schema and for `kubectl seatrial lint`, the rules of the schema once more.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use seatrial_crds::{
    Input, MLPipelineSpec, ModelDeploymentSpec, OutputReference, OutputType, Parameter, ParameterType, ParameterValue,
    Step, limits,
};

mod options;
mod store;

use options::options;
pub use store::store;

/// One mistake: where it is, and what to do.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{path}: {message}")]
pub struct Problem {
    /// The field, as in `spec.steps[train].inputs[raw].from`.
    pub path: String,
    /// What is wrong and what to do.
    pub message: String,
}

pub(crate) fn problem(path: impl Into<String>, message: impl Into<String>) -> Problem {
    Problem { path: path.into(), message: message.into() }
}

/// All mistakes of a pipeline's spec; none where it is valid.
pub fn pipeline(spec: &MLPipelineSpec) -> Vec<Problem> {
    let mut problems = vec![];
    if spec.steps.is_empty() {
        problems.push(problem("spec.steps", "at least one step is required"));
    }
    unique("spec.steps", spec.steps.iter().map(|step| step.name.as_str()), &mut problems);
    unique("spec.parameters", spec.parameters.iter().map(|parameter| parameter.name.as_str()), &mut problems);
    unique("spec.publishes", spec.publishes.iter().map(|publication| publication.model.as_str()), &mut problems);
    options("spec", &spec.options, &mut problems);
    options::metadata("spec.job", spec.job.as_ref(), &mut problems);
    for parameter in &spec.parameters {
        if let Some(default) = &parameter.default
            && let Err(message) = value_is_of_type(parameter, default)
        {
            problems.push(problem(format!("spec.parameters[{}].default", parameter.name), message));
        }
    }
    let mut above: BTreeMap<&str, &Step> = BTreeMap::new();
    for step in &spec.steps {
        check_step(step, spec, &above, &mut problems);
        above.insert(&step.name, step);
    }
    let by_uri = spec.steps.iter().flat_map(|step| &step.inputs).filter(|input| input.uri.is_some()).count();
    if by_uri > limits::URI_INPUTS {
        let message = format!("{by_uri} inputs by uri are more than {}: read folders", limits::URI_INPUTS);
        problems.push(problem("spec.steps", message));
    }
    let checked = spec.steps.iter().flat_map(|step| &step.inputs).filter(|input| input.contract.is_some()).count();
    if checked > limits::CONTRACT_INPUTS {
        let message = format!(
            "{checked} inputs with a contract are more than {}: check data once, where they enter",
            limits::CONTRACT_INPUTS
        );
        problems.push(problem("spec.steps", message));
    }
    triggers(spec, &mut problems);
    for publication in &spec.publishes {
        let path = format!("spec.publishes[{}]", publication.model);
        let mut must_be = |reference: &OutputReference, kinds: &[OutputType], field: &str| {
            if output_type(&above, reference).is_none_or(|kind| !kinds.contains(&kind)) {
                let types: Vec<String> = kinds.iter().map(|kind| format!("{kind:?}")).collect();
                let message = format!(
                    "step \"{}\" has no output \"{}\" of type {}: add it, or name another",
                    reference.step,
                    reference.output,
                    types.join(" or ")
                );
                problems.push(problem(format!("{path}.{field}"), message));
            }
        };
        must_be(&publication.artifact, &[OutputType::Model], "artifact");
        for evidence in &publication.evidence {
            must_be(evidence, &[OutputType::Metrics, OutputType::Predictions], "evidence");
        }
    }
    problems
}

fn triggers(spec: &MLPipelineSpec, problems: &mut Vec<Problem>) {
    unique("spec.triggers", spec.triggers.iter().map(|trigger| trigger.name.as_str()), problems);
    for trigger in &spec.triggers {
        let path = format!("spec.triggers[{}]", trigger.name);
        let Some(data) = &trigger.data else {
            problems.push(problem(format!("{path}.data"), "is missing: say which new data start a run"));
            continue;
        };
        let mut inputs = spec.steps.iter().flat_map(|step| &step.inputs).filter(|input| input.uri.is_some());
        if !inputs.any(|input| input.contract.as_ref().is_some_and(|it| data.contract.is(it))) {
            let message = format!(
                "no input by uri has the contract \"{}\": name one that an input has, with its namespace where the input says it",
                data.contract.name
            );
            problems.push(problem(format!("{path}.data.contract"), message));
        }
    }
}

fn check_step(step: &Step, spec: &MLPipelineSpec, above: &BTreeMap<&str, &Step>, problems: &mut Vec<Problem>) {
    let path = format!("spec.steps[{}]", step.name);
    if step.command.is_empty() {
        problems.push(problem(format!("{path}.command"), "is empty: name the program to run"));
    }
    if step.options.image.is_none() && spec.options.image.is_none() {
        problems.push(problem(format!("{path}.image"), "is missing: set it on the step or on the pipeline"));
    }
    let words: Vec<&String> = step.command.iter().chain(&step.args).collect();
    for pair in words.windows(2) {
        if let [flag, script] = pair
            && is_shell_flag(flag)
            && script.contains("$(PARAM_")
        {
            let message = "$(PARAM_…) in a shell script would be pasted into it as code: write \"$PARAM_…\" instead";
            problems.push(problem(format!("{path}.command"), message));
        }
    }
    options(&path, &step.options, problems);
    options::metadata(&format!("{path}.job"), step.job.as_ref(), problems);
    options::mounts(&path, &crate::pods::merge(&step.options, &spec.options).pod, problems);
    for (field, length) in [("timeout", &step.timeout), ("startTimeout", &step.start_timeout)] {
        check_duration(&format!("{path}.{field}"), length.as_deref(), problems);
    }
    unique(&format!("{path}.inputs"), step.inputs.iter().map(|input| input.name.as_str()), problems);
    unique(&format!("{path}.outputs"), step.outputs.iter().map(|output| output.name.as_str()), problems);
    for input in &step.inputs {
        check_input(&path, input, above, problems);
    }
}

fn check_input(path: &str, input: &Input, above: &BTreeMap<&str, &Step>, problems: &mut Vec<Problem>) {
    let path = format!("{path}.inputs[{}]", input.name);
    match (&input.uri, &input.from) {
        (Some(_), Some(_)) | (None, None) => problems.push(problem(path, "exactly one of uri and from is required")),
        (Some(uri), None) => {
            let scheme = uri.split_once("://").map(|(scheme, _)| scheme);
            if !matches!(scheme, Some("s3" | "http" | "https")) {
                problems.push(problem(format!("{path}.uri"), "must begin with s3://, https:// or http://"));
            } else if uri.split('/').any(|part| part == ".." || part == ".") {
                problems.push(problem(format!("{path}.uri"), "must not contain . or .. as a folder"));
            } else if uri.ends_with('/') && scheme != Some("s3") {
                let message = "ends in /, but HTTP cannot list folders: name one file";
                problems.push(problem(format!("{path}.uri"), message));
            }
        }
        (None, Some(from)) => match above.get(from.step.as_str()) {
            None => {
                let message =
                    format!("there is no step \"{}\" above this one: move it up, or correct the name", from.step);
                problems.push(problem(format!("{path}.from.step"), message));
            }
            Some(step) if step.outputs.iter().all(|output| output.name != from.output) => {
                let message =
                    format!("step \"{}\" has no output \"{}\": add it, or correct the name", from.step, from.output);
                problems.push(problem(format!("{path}.from.output"), message));
            }
            Some(_) => {}
        },
    }
}

/// All mistakes of a deployment's spec that the schema does not see; none where it is valid.
pub fn deployment(spec: &ModelDeploymentSpec) -> Vec<Problem> {
    let mut problems = vec![];
    let server = &spec.server;
    options("spec.server", &server.options, &mut problems);
    options::mounts("spec.server", &server.options.pod, &mut problems);
    options::metadata("spec.server.deployment", server.deployment.as_ref(), &mut problems);
    options::metadata("spec.server.service", server.service.as_ref(), &mut problems);
    check_duration("spec.server.startTimeout", server.start_timeout.as_deref(), &mut problems);
    problems
}

/// The values of all parameters of a run: the run's own, else the defaults.
///
/// # Errors
/// An unknown parameter, one without a value, or a value that is not of its type.
pub fn parameters(spec: &MLPipelineSpec, given: &[ParameterValue]) -> Result<Vec<ParameterValue>, Vec<Problem>> {
    let mut problems = vec![];
    unique("spec.parameters", given.iter().map(|value| value.name.as_str()), &mut problems);
    for value in given {
        if spec.parameters.iter().all(|parameter| parameter.name != value.name) {
            let known: Vec<_> = spec.parameters.iter().map(|parameter| parameter.name.as_str()).collect();
            let message = format!("the pipeline has no such parameter; it has: {}", list(&known));
            problems.push(problem(format!("spec.parameters[{}]", value.name), message));
        }
    }
    let mut values = vec![];
    for parameter in &spec.parameters {
        let own = given.iter().find(|value| value.name == parameter.name).map(|value| &value.value);
        let path = format!("spec.parameters[{}]", parameter.name);
        match own.or(parameter.default.as_ref()) {
            None => problems.push(problem(path, "has no default: the run must give a value")),
            Some(value) => match value_is_of_type(parameter, value) {
                Ok(()) => values.push(ParameterValue { name: parameter.name.clone(), value: value.clone() }),
                Err(message) => problems.push(problem(path, message)),
            },
        }
    }
    if problems.is_empty() { Ok(values) } else { Err(problems) }
}

/// The parameters that a run must give, since they have no default.
pub fn required_parameters(spec: &MLPipelineSpec) -> Vec<&str> {
    let required = spec.parameters.iter().filter(|parameter| parameter.default.is_none());
    required.map(|parameter| parameter.name.as_str()).collect()
}

fn value_is_of_type(parameter: &Parameter, value: &str) -> Result<(), String> {
    let digits = |text: &str| (1..=18).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_digit());
    let whole = |text: &str| digits(text.strip_prefix('-').unwrap_or(text));
    let good = match parameter.kind {
        ParameterType::String => true,
        ParameterType::Integer => whole(value),
        ParameterType::Number => {
            let (mantissa, exponent) = match value.split_once(['e', 'E']) {
                Some((mantissa, exponent)) => (mantissa, Some(exponent)),
                None => (value, None),
            };
            let exponent_is_good = exponent.is_none_or(|exponent| {
                let figures = exponent.strip_prefix(['-', '+']).unwrap_or(exponent);
                digits(figures) && figures.len() <= 3
            });
            exponent_is_good
                && match mantissa.split_once('.') {
                    Some((left, right)) => whole(left) && digits(right),
                    None => whole(mantissa),
                }
        }
        ParameterType::Boolean => matches!(value, "true" | "false"),
    };
    if value.len() > limits::PARAMETER_VALUE {
        return Err(format!("is longer than {} bytes", limits::PARAMETER_VALUE));
    }
    if value.contains('\0') {
        return Err("holds a NUL, which no environment variable can: remove it".to_owned());
    }
    let hint = match parameter.kind {
        ParameterType::String => "any text",
        ParameterType::Integer => "42",
        ParameterType::Number => "0.1 or 1e-3",
        ParameterType::Boolean => "true or false",
    };
    let shown: String = value.chars().take(40).collect();
    if good { Ok(()) } else { Err(format!("\"{shown}\" is not of type {:?}: write {hint}", parameter.kind)) }
}

fn check_duration(path: &str, length: Option<&str>, problems: &mut Vec<Problem>) {
    if length.is_some_and(|length| duration(length).is_none_or(|length| length.is_zero())) {
        problems.push(problem(path, "is no duration: write 90s, 30m or 2h30m"));
    }
}

/// The length of a duration in Kubernetes' notation of whole hours, minutes and seconds: `1h30m`.
pub fn duration(text: &str) -> Option<Duration> {
    let mut seconds: u64 = 0;
    let mut rest = text;
    for (unit, length) in [('h', 3600), ('m', 60), ('s', 1)] {
        if let Some((figures, after)) = rest.split_once(unit) {
            if figures.is_empty() || figures.len() > 6 || !figures.bytes().all(|byte| byte.is_ascii_digit()) {
                return None;
            }
            seconds = seconds.checked_add(figures.parse::<u64>().ok()?.checked_mul(length)?)?;
            rest = after;
        }
    }
    (rest.is_empty() && !text.is_empty()).then(|| Duration::from_secs(seconds))
}

/// True for the flags after which a shell takes a script: `-c`, `-ec`, `-lc`.
fn is_shell_flag(word: &str) -> bool {
    word.strip_prefix('-')
        .and_then(|flags| flags.strip_suffix('c'))
        .is_some_and(|flags| flags.bytes().all(|byte| byte.is_ascii_lowercase()))
}

fn output_type(steps: &BTreeMap<&str, &Step>, reference: &OutputReference) -> Option<OutputType> {
    let step = steps.get(reference.step.as_str())?;
    step.outputs.iter().find(|output| output.name == reference.output).map(|output| output.kind)
}

fn unique<'a>(path: &str, names: impl Iterator<Item = &'a str>, problems: &mut Vec<Problem>) {
    let mut seen = BTreeSet::new();
    for name in names {
        if !seen.insert(name) {
            problems.push(problem(format!("{path}[{name}]"), "stands twice: rename one of them"));
        }
    }
}

fn list(names: &[&str]) -> String {
    if names.is_empty() { "none".to_owned() } else { names.join(", ") }
}

/// Many problems as one sentence, the first few of them.
pub fn summary(problems: &[Problem]) -> String {
    let shown: Vec<String> = problems.iter().take(3).map(ToString::to_string).collect();
    let more = problems.len().saturating_sub(shown.len());
    if more == 0 { shown.join("; ") } else { format!("{}; and {more} more", shown.join("; ")) }
}

#[cfg(test)]
mod tests;
