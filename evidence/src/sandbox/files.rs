//! Files by Landlock (Linux 5.13 and later), as far as the kernel has it.

use std::path::Path;

use landlock::{
    ABI, Access, AccessFs, AccessNet, BitFlags, Ruleset, RulesetAttr, RulesetCreatedAttr, RulesetError, RulesetStatus,
    Scope, path_beneath_rules,
};

/// The newest version of Landlock whose rights are asked for: a kernel with an older one bounds what it knows.
const NEWEST: ABI = ABI::V6;

/// Whether the kernel bounds files.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Files {
    Bounded,
    Unbounded,
}

/// Bounds the files that this thread, and those that it starts, may open, and where it knows how, ports, abstract sockets and
/// signals to other processes. A path that is not there allows nothing.
pub(super) fn restrict(read: &[&Path], write: &[&Path]) -> Result<Files, RulesetError> {
    let reading: BitFlags<AccessFs> = AccessFs::ReadFile | AccessFs::ReadDir;
    let writing = reading | AccessFs::WriteFile | AccessFs::Truncate | AccessFs::MakeReg | AccessFs::RemoveFile;
    let status = Ruleset::default()
        .handle_access(AccessFs::from_all(NEWEST))?
        .handle_access(AccessNet::from_all(NEWEST))?
        .scope(Scope::from_all(NEWEST))?
        .create()?
        .add_rules(path_beneath_rules(read, reading))?
        .add_rules(path_beneath_rules(write, writing))?
        .restrict_self()?;
    Ok(match status.ruleset {
        RulesetStatus::NotEnforced => Files::Unbounded,
        _ => Files::Bounded,
    })
}
