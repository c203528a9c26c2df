//! The exit codes of the agent's programs, and whose fault each says that it was.

use std::fmt;

/// Whose fault an exit was, and so whether trying again can help.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Cause {
    /// Nothing went wrong.
    None,
    /// The user's command or its output: the same again would fail the same.
    User,
    /// The data: missing, corrupt or too large. The same again would fail the same.
    Data,
    /// A store could not be reached or answered with an error of its own: later may be different.
    Outage,
    /// The pod was told to stop: a drain, an eviction, a deletion. Costs no attempt.
    Disruption,
    /// Seatrial itself: a config it cannot read, a broken volume.
    Internal,
}

macro_rules! exit_codes {
    ($($(#[$doc:meta])* $name:ident = $code:literal, $cause:ident, $text:literal;)*) => {
        /// How a container of the agent ends. The table is part of the contract: a code never changes its meaning.
        ///
        /// `seatrial-exec` passes the user's own code through, and 128 + n for a command killed by signal n, but none
        /// of the reserved ones ([`Self::is_reserved`]): a command that ends with one of those ends its container with
        /// 1, and the record ([`super::Exit`]) has the true one.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        pub enum ExitCode { $($(#[$doc])* $name,)* }

        impl ExitCode {
            /// Every code of the table.
            pub const ALL: &[Self] = &[$(Self::$name,)*];

            /// The number given to the kernel.
            pub const fn number(self) -> u8 {
                match self { $(Self::$name => $code,)* }
            }

            /// The code of a number; `None` where the table has none.
            pub const fn from_number(number: i32) -> Option<Self> {
                match number { $($code => Some(Self::$name),)* _ => None }
            }

            /// Whose fault it was.
            pub const fn cause(self) -> Cause {
                match self { $(Self::$name => Cause::$cause,)* }
            }

            /// Whether a number is kept for Seatrial's own codes, those of this table and those to come.
            pub const fn is_reserved(number: u8) -> bool {
                matches!(number, 64..=80 | 241..=255)
            }

            /// One sentence for people.
            pub const fn text(self) -> &'static str {
                match self { $(Self::$name => $text,)* }
            }

            /// The name, as it stands in messages and conditions.
            pub const fn name(self) -> &'static str {
                match self { $(Self::$name => stringify!($name),)* }
            }
        }
    };
}

exit_codes! {
    /// All was done.
    Success = 0, None, "done";
    /// The agent's own config is missing, malformed or of another version.
    BadConfiguration = 64, Internal, "the agent could not read what it was told to do";
    /// Data is not what its digest, listing or type says.
    CorruptArtifact = 65, Data, "the data is not what its digest says";
    /// An input, or a file of it, does not exist or may not be read.
    InputNotFound = 66, Data, "an input does not exist or may not be read";
    /// The inputs do not fit on the pod's disk, or into a limit.
    InputTooLarge = 67, Data, "the inputs are larger than the space there is";
    /// The store stayed away, or refused the credentials, for as long as the agent was told to try.
    StoreUnavailable = 69, Outage, "the store could not be used";
    /// The agent failed in a way it has no name for.
    Internal = 70, Internal, "the agent failed";
    /// The data of an input break their contract.
    ContractBroken = 71, Data, "the data of an input break their contract";
    /// The data of an input prove nothing about their contract: there are none.
    ContractUnproven = 72, Data, "the data of an input prove nothing about their contract";
    /// An output is missing or not of its type: an empty folder, a `Metrics` file that is no JSON object.
    BadOutput = 73, User, "an output is missing or is not of its type";
    /// The step's process vanished without a record: killed for memory, or by SIGKILL.
    StepVanished = 74, User, "the step's process was killed";
    /// Whether the data of an input keep their contract could not be found out.
    CheckFailed = 75, Internal, "the data of an input could not be checked by their contract";
    /// `exec` was told to stop, and stopped its command.
    Stopped = 241, Disruption, "the pod was told to stop";
    /// The command does not exist or is no program.
    CommandNotFound = 242, User, "the command does not exist in the image or is no program";
    /// `exec` could not lock, record or start.
    ExecFailed = 243, Internal, "the command could not be started";
    /// The command ran longer than its timeout, and `exec` ended it.
    TimedOut = 244, User, "the command ran longer than its timeout";
}

impl fmt::Display for ExitCode {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.name())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_distinct_and_come_back() {
        for code in ExitCode::ALL {
            assert_eq!(ExitCode::from_number(i32::from(code.number())), Some(*code));
            assert_eq!(ExitCode::is_reserved(code.number()), *code != ExitCode::Success, "{code}");
        }
    }
}
