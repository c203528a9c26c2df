//! The usual ways to fill an output, as a user who made neither the volume nor its folders.

use std::fs::{self, File, Permissions};
use std::os::unix::fs::{MetadataExt, PermissionsExt, chown};
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::Command;

use tempfile::TempDir;

use crate::support::record;

/// The command's user.
const USER: u32 = 12345;

/// The volume as the agent makes it, as another user, with a folder of the command's own beside it.
fn volume() -> TempDir {
    let root = TempDir::new().unwrap();
    let path = |name: &str| root.path().join(name);
    for (folder, mode) in [("state", 0o1777), ("outputs", 0o1777), ("work", 0o777)] {
        fs::create_dir_all(path(folder)).unwrap();
        fs::set_permissions(path(folder), Permissions::from_mode(mode)).unwrap();
    }
    fs::set_permissions(root.path(), Permissions::from_mode(0o755)).unwrap();
    File::create(path("state/lock")).unwrap();
    fs::set_permissions(path("state/lock"), Permissions::from_mode(0o666)).unwrap();
    // Where the tests are built, other users may not look.
    fs::copy(env!("CARGO_BIN_EXE_seatrial-exec"), path("exec")).unwrap();
    fs::create_dir_all(path("work/src/deep")).unwrap();
    fs::write(path("work/src/deep/file"), "content").unwrap();
    for made in ["work/src", "work/src/deep", "work/src/deep/file"] {
        chown(path(made), Some(USER), Some(USER)).unwrap();
    }
    root
}

fn run(root: &Path, line: &[&str]) -> i32 {
    let mut command = Command::new(root.join("exec"));
    command.arg("--root").arg(root).args(["--output", "model", "--"]).args(line);
    command.current_dir(root.join("work")).env("OUTPUT_MODEL", root.join("outputs/model"));
    command.uid(USER).gid(USER).status().unwrap().code().unwrap()
}

const WAYS: [(&str, &str); 9] = [
    ("python", "import os, shutil; shutil.copytree('src', os.environ['OUTPUT_MODEL'], dirs_exist_ok=True)"),
    (
        "python",
        "import os, shutil; out = os.environ['OUTPUT_MODEL']; shutil.rmtree(out); os.makedirs(out + '/deep')
shutil.copy2('src/deep/file', out + '/deep')",
    ),
    ("python", "import os; out = os.environ['OUTPUT_MODEL']; os.rename('src', out)"),
    ("sh", "cp -a src/. $OUTPUT_MODEL/"),
    ("sh", "tar -cf a.tar -C src . && tar -xpf a.tar -C $OUTPUT_MODEL"),
    (
        "sh",
        "mkdir $OUTPUT_MODEL.tmp && cp -r src/deep $OUTPUT_MODEL.tmp && rmdir $OUTPUT_MODEL && mv $OUTPUT_MODEL.tmp $OUTPUT_MODEL",
    ),
    ("sh", "mkdir $OUTPUT_MODEL.tmp && cp -r src/deep $OUTPUT_MODEL.tmp && mv -T $OUTPUT_MODEL.tmp $OUTPUT_MODEL"),
    ("sh", "chmod 700 $OUTPUT_MODEL && umask 077 && cp -r src/deep $OUTPUT_MODEL"),
    (
        "sh",
        "chmod 700 src src/deep && chmod 600 src/deep/file && cp -a src/. $OUTPUT_MODEL && touch -d 2020-01-01 $OUTPUT_MODEL",
    ),
];

#[test]
#[ignore = "needs root, for another user"]
fn the_usual_ways_to_fill_an_output_work_for_any_user() {
    for (language, script) in WAYS {
        let root = volume();
        let line = if language == "python" { ["/usr/bin/python3", "-c", script] } else { ["sh", "-ec", script] };
        assert_eq!(run(root.path(), &line), 0, "{script}");
        let file = root.path().join("outputs/model/deep/file");
        assert_eq!(fs::read_to_string(&file).unwrap(), "content", "{script}");
        for (path, needed) in
            [("outputs/model", 0o555), ("outputs/model/deep", 0o555), ("outputs/model/deep/file", 0o444)]
        {
            let metadata = fs::metadata(root.path().join(path)).unwrap();
            assert_eq!((metadata.uid(), metadata.mode() & needed), (USER, needed), "{script}: {path}");
        }
    }
}

/// What else lies on the volume belongs to the agent.
#[test]
#[ignore = "needs root, for another user"]
fn the_commands_user_can_replace_neither_the_lock_nor_the_folder_of_outputs() {
    for attempt in ["mv ../state/lock ../state/x", "rm ../state/lock", "mv ../outputs ../x", "rmdir ../outputs"] {
        let root = volume();
        assert_ne!(run(root.path(), &["sh", "-c", attempt]), 0, "{attempt}");
        assert!(root.path().join("state/lock").exists() && root.path().join("outputs").exists());
    }
}

/// Part of the work may be worth a look.
#[test]
#[ignore = "needs root, for another user"]
fn what_a_failed_command_made_is_readable_too() {
    let root = volume();
    assert_eq!(run(root.path(), &["sh", "-c", "umask 077; cp -r src/deep $OUTPUT_MODEL; exit 3"]), 3);
    assert_eq!(record(root.path()).unwrap().code, 3);
    assert_eq!(fs::metadata(root.path().join("outputs/model/deep/file")).unwrap().mode() & 0o444, 0o444);
}
