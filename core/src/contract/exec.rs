//! What `seatrial-exec` is told, and what it leaves on record.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::{ExitCode, paths};

/// How long a command may take to end after it was told to, in seconds.
pub const GRACE_SECONDS: u32 = 25;

/// The arguments of `seatrial-exec`, in front of the user's command.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ExecArguments {
    /// How long the command may run, in seconds; `None`: as long as it likes. The clock starts with the command.
    pub timeout_seconds: Option<u32>,
    /// The names of the step's outputs: `exec` makes their folders as the command's user.
    pub outputs: Vec<String>,
    /// The variables whose values come from Secrets: they are masked in the termination message.
    pub secret_variables: Vec<String>,
    /// Whether variables come from a whole Secret (`envFrom`): then every variable that is not known to be harmless is
    /// masked in the termination message.
    pub secret_environment: bool,
    /// Where Secrets are mounted, folders or files: what they hold is masked in the termination message.
    pub secret_mounts: Vec<String>,
}

impl ExecArguments {
    /// The container's command: `exec`, its arguments, and the user's command.
    pub fn command(&self, command: &[String]) -> Vec<String> {
        let mut line = vec![paths::EXEC.to_owned()];
        let mut say = |name: &str, value: String| line.extend([name.to_owned(), value]);
        if let Some(timeout) = self.timeout_seconds {
            say("--timeout", timeout.to_string());
        }
        say("--grace", GRACE_SECONDS.to_string());
        for output in &self.outputs {
            say("--output", output.clone());
        }
        for variable in &self.secret_variables {
            say("--secret-variable", variable.clone());
        }
        for mount in &self.secret_mounts {
            say("--secret-mount", mount.clone());
        }
        if self.secret_environment {
            line.push("--secret-environment".into());
        }
        line.push("--".into());
        line.extend_from_slice(command);
        line
    }
}

/// How a command ended: the JSON in [`paths::EXIT`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Exit {
    /// The command's own exit code, 128 + n where signal n ended it. Where no command ran, the code of `exec`.
    pub code: u8,
    /// The signal that ended the command.
    pub signal: Option<u8>,
    /// Why it ended.
    pub reason: ExitReason,
    /// How many processes of the container were killed for memory while the command ran. The command itself may have
    /// gone on and ended with 0.
    pub oom_kills: u64,
    /// How many bytes of output are missing in the kept log because the disk was full or too slow. What the log's
    /// bounds leave out does not count.
    #[serde(default)]
    pub dropped_log_bytes: u64,
    /// When the command was started.
    pub started_at: Timestamp,
    /// When the command ended.
    pub finished_at: Timestamp,
}

/// Why a command ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum ExitReason {
    /// By itself, or by a signal that was not ours.
    Exited,
    /// It ran longer than its timeout and was ended.
    TimedOut,
    /// The pod was told to stop, and the command with it.
    Stopped,
    /// There is no such command, or it is no program.
    NotFound,
    /// The command could not be started.
    Failed,
}

impl Exit {
    /// Whether the command ended by itself with 0.
    pub fn is_success(&self) -> bool {
        self.reason == ExitReason::Exited && self.code == 0
    }

    /// The exit code of the step's container. Codes with a meaning of their own ([`ExitCode::is_reserved`]) are not
    /// passed on, since the Job controller sees the number alone: they become 1.
    pub fn container_code(&self) -> u8 {
        match self.reason {
            ExitReason::Exited if ExitCode::is_reserved(self.code) => 1,
            ExitReason::Exited => self.code,
            ExitReason::TimedOut => ExitCode::TimedOut.number(),
            ExitReason::Stopped => ExitCode::Stopped.number(),
            ExitReason::NotFound => ExitCode::CommandNotFound.number(),
            ExitReason::Failed => ExitCode::ExecFailed.number(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_users_command_comes_last_and_as_it_is() {
        let user = ["sh".to_owned(), "--".to_owned(), "--timeout".to_owned()];
        assert_eq!(
            ExecArguments::default().command(&user),
            ["/seatrial/bin/exec", "--grace", "25", "--", "sh", "--", "--timeout"]
        );
        let all = ExecArguments {
            timeout_seconds: Some(60),
            outputs: vec!["model".into(), "report".into()],
            secret_variables: vec!["TOKEN".into()],
            secret_environment: true,
            secret_mounts: vec!["/etc/keys".into()],
        };
        let line = all.command(&["true".to_owned()]).join(" ");
        assert_eq!(
            line,
            "/seatrial/bin/exec --timeout 60 --grace 25 --output model --output report --secret-variable TOKEN --secret-mount /etc/keys --secret-environment -- true"
        );
    }

    #[test]
    fn only_an_end_of_its_own_with_0_is_success() {
        let exit = |reason, code| Exit {
            code,
            signal: None,
            reason,
            oom_kills: 0,
            dropped_log_bytes: 0,
            started_at: Timestamp::UNIX_EPOCH,
            finished_at: Timestamp::UNIX_EPOCH,
        };
        for (reason, code, container) in [
            (ExitReason::Exited, 0, 0),
            (ExitReason::Exited, 3, 3),
            (ExitReason::Exited, 63, 63),
            (ExitReason::Exited, 64, 1),
            (ExitReason::Exited, 80, 1),
            (ExitReason::Exited, 81, 81),
            (ExitReason::Exited, 137, 137),
            (ExitReason::Exited, 240, 240),
            (ExitReason::Exited, 241, 1),
            (ExitReason::Exited, 255, 1),
            (ExitReason::Stopped, 0, 241),
            (ExitReason::NotFound, 242, 242),
            (ExitReason::Failed, 243, 243),
            (ExitReason::TimedOut, 0, 244),
        ] {
            let exit = exit(reason, code);
            assert_eq!(exit.container_code(), container, "{reason:?} {code}");
            assert_eq!(exit.is_success(), container == 0, "{reason:?} {code}");
        }
    }
}
