//! The program's command line.

use std::ffi::OsString;
use std::path::PathBuf;

/// The mount point of the pod's shared volume.
const ROOT: &str = "/seatrial";
/// How long a command may take to end after it was told to, in seconds.
const GRACE: u32 = 25;
/// Where the kubelet reads a container's termination message.
const TERMINATION_MESSAGE: &str = "/dev/termination-log";

/// The parsed arguments.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Arguments {
    /// The pod's shared volume.
    pub(crate) root: PathBuf,
    /// How long the command may run, in seconds.
    pub(crate) timeout: Option<u32>,
    /// How long it may take to end after it was told to, in seconds.
    pub(crate) grace: u32,
    /// The names of the outputs whose folders are made.
    pub(crate) outputs: Vec<String>,
    /// The variables whose values come from Secrets.
    pub(crate) secret_variables: Vec<String>,
    /// Whether variables come from a whole Secret.
    pub(crate) secret_environment: bool,
    /// Where Secrets are mounted, folders or files.
    pub(crate) secret_mounts: Vec<PathBuf>,
    /// The file of the termination message.
    pub(crate) termination_message: PathBuf,
    /// The command.
    pub(crate) command: Vec<OsString>,
}

impl Arguments {
    /// Parses the arguments. The error says what is wrong with them.
    pub(crate) fn read(mut arguments: impl Iterator<Item = OsString>) -> Result<Self, String> {
        let mut read = Self {
            root: ROOT.into(),
            timeout: None,
            grace: GRACE,
            outputs: vec![],
            secret_variables: vec![],
            secret_environment: false,
            secret_mounts: vec![],
            termination_message: TERMINATION_MESSAGE.into(),
            command: vec![],
        };
        while let Some(argument) = arguments.next() {
            let name = argument.to_str().unwrap_or_default().to_owned();
            let mut value = || arguments.next().ok_or_else(|| format!("{name} has no value"));
            match name.as_str() {
                "--" => {
                    read.command = arguments.collect();
                    return Ok(read);
                }
                "--root" => read.root = value()?.into(),
                "--timeout" => read.timeout = Some(seconds(&name, &value()?)?),
                "--grace" => read.grace = seconds(&name, &value()?)?,
                "--output" => read.outputs.push(file_name(&name, &value()?)?),
                "--secret-variable" => read.secret_variables.push(value()?.to_string_lossy().into_owned()),
                "--secret-mount" => read.secret_mounts.push(value()?.into()),
                "--secret-environment" => read.secret_environment = true,
                "--termination-message" => read.termination_message = value()?.into(),
                _ => return Err(format!("{} is no argument", argument.display())),
            }
        }
        Err("there is no \"--\" before the command".into())
    }
}

fn seconds(name: &str, value: &OsString) -> Result<u32, String> {
    let seconds = value.to_str().and_then(|text| text.parse().ok()).filter(|seconds| *seconds > 0);
    seconds.ok_or_else(|| format!("{name} {} is no number of seconds above 0", value.display()))
}

/// A name that stays in the folder it is put into.
fn file_name(name: &str, value: &OsString) -> Result<String, String> {
    let text = value.to_str().filter(|text| !text.is_empty() && *text != "." && *text != ".." && !text.contains('/'));
    text.map(str::to_owned).ok_or_else(|| format!("{name} {} is no name of an output", value.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(line: &str) -> Result<Arguments, String> {
        Arguments::read(line.split_whitespace().map(OsString::from))
    }

    #[test]
    fn all_is_read_up_to_the_command() {
        let line = "--timeout 5 --grace 2 --output a --output b --root /r --secret-variable TOKEN --secret-environment
            --secret-mount /k --termination-message /m -- sh --timeout 9";
        let expected = Arguments {
            root: "/r".into(),
            timeout: Some(5),
            grace: 2,
            outputs: vec!["a".into(), "b".into()],
            secret_variables: vec!["TOKEN".into()],
            secret_environment: true,
            secret_mounts: vec!["/k".into()],
            termination_message: "/m".into(),
            command: ["sh", "--timeout", "9"].map(OsString::from).to_vec(),
        };
        assert_eq!(read(line).unwrap(), expected);
    }

    #[test]
    fn what_is_wrong_is_named() {
        for (line, expected) in [
            ("true", "true is no argument"),
            ("--timeout", "--timeout has no value"),
            ("--timeout 0 -- true", "--timeout 0 is no number of seconds above 0"),
            ("--grace soon -- true", "--grace soon is no number"),
            ("--output ../state -- true", "--output ../state is no name of an output"),
            ("--output .. -- true", "--output .. is no name"),
            ("--grace 5", "no \"--\""),
        ] {
            let said = read(line).unwrap_err();
            assert!(said.contains(expected), "{line}: {said}");
        }
    }
}
