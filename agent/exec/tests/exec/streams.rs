//! What the command prints: on the terminal, and in the log.

use std::fs::{self, File};
use std::io::{BufRead, BufReader};
use std::os::unix::fs::symlink;
use std::path::Path;
use std::process::Stdio;
use std::time::{Duration, Instant};

use seatrial_core::contract::log::{HEAD_BYTES, Piece, Reader, SEGMENTS, Stream, TAIL_BYTES};

use crate::support::{record, shell, volume, wait_until};

/// What is kept: of standard output, of standard error, and how many bytes are left out.
#[derive(Default)]
struct Kept {
    stdout: Vec<u8>,
    stderr: Vec<u8>,
    left_out: Vec<u64>,
}

fn kept(root: &Path) -> Kept {
    let (mut reader, mut kept) = (Reader::default(), Kept::default());
    for name in SEGMENTS {
        let Ok(segment) = fs::read(root.join("state/logs").join(name)) else { continue };
        assert!(segment.len() as u64 <= if name == "head" { HEAD_BYTES } else { TAIL_BYTES });
        for piece in reader.read(&segment) {
            match piece {
                Piece::LeftOut(bytes) => kept.left_out.push(bytes),
                Piece::Output { stream, text, ends_line, .. } => {
                    let to = if stream == Stream::Stdout { &mut kept.stdout } else { &mut kept.stderr };
                    to.extend_from_slice(text);
                    to.extend(ends_line.then_some(b'\n'));
                }
            }
        }
    }
    kept
}

#[test]
fn output_goes_to_the_terminal_and_into_the_log() {
    let root = volume();
    let script = "printf 'one\\ntwo'; echo error >&2; printf ' more\\n\\0\\377 end'";
    let output = shell(root.path(), script).output().unwrap();
    assert_eq!(output.stdout, b"one\ntwo more\n\0\xff end");
    assert_eq!(output.stderr, b"error\n");
    let kept = kept(root.path());
    assert_eq!((kept.stdout, kept.stderr, kept.left_out), (output.stdout, output.stderr, vec![]));
    assert_eq!(record(root.path()).unwrap().dropped_log_bytes, 0);
}

#[test]
fn the_terminal_has_each_line_while_the_command_runs() {
    let root = volume();
    let script = "echo first; while [ ! -e seen ]; do sleep 0.01; done; echo second";
    let mut child = shell(root.path(), script).current_dir(root.path()).stdout(Stdio::piped()).spawn().unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    assert_eq!(lines.next().unwrap().unwrap(), "first");
    wait_until("the log has it, too", || kept(root.path()).stdout == b"first\n");
    File::create(root.path().join("seen")).unwrap();
    assert_eq!(lines.next().unwrap().unwrap(), "second");
    assert!(child.wait().unwrap().success());
}

#[test]
fn the_log_is_bounded_and_keeps_the_beginning_and_the_end_in_order() {
    let root = volume();
    let count = 300_000;
    let mut command = shell(root.path(), &format!("seq -f %099.0f {count}"));
    assert!(command.stdout(Stdio::null()).status().unwrap().success());
    let kept = kept(root.path());
    let text = String::from_utf8(kept.stdout).unwrap();
    assert!(text.starts_with(&format!("{:099}\n{:099}\n", 1, 2)) && text.ends_with(&format!("\n{count:099}\n")));
    assert_eq!(text.len() as u64 + kept.left_out.iter().sum::<u64>(), count * 100);
    assert!(!kept.left_out.is_empty());
    // A line may be cut at a gap; all others are in order.
    let numbers: Vec<u64> = text.lines().filter_map(|line| line.parse().ok()).collect();
    let disorder = numbers.windows(2).filter(|pair| pair[1] != pair[0] + 1).count();
    assert!(disorder <= 2 * kept.left_out.len(), "{disorder} breaks, {} gaps", kept.left_out.len());
}

/// As on a disk without room: the command notices nothing, and the record says so.
#[test]
fn a_full_disk_drops_the_copy_alone() {
    let root = volume();
    fs::create_dir(root.path().join("state/logs")).unwrap();
    symlink("/dev/full", root.path().join("state/logs/head")).unwrap();
    let output = shell(root.path(), "seq 1000").output().unwrap();
    assert!(output.status.success());
    assert_eq!(output.stdout.len(), 3893);
    assert_eq!(record(root.path()).unwrap().dropped_log_bytes, 3893);
}

/// A disk that hangs, here a pipe that nobody reads, costs the command no more than a moment.
#[test]
fn a_disk_that_hangs_does_not_hold_the_command_up() {
    let root = volume();
    fs::create_dir(root.path().join("state/logs")).unwrap();
    nix::unistd::mkfifo(&root.path().join("state/logs/head"), nix::sys::stat::Mode::S_IRWXU).unwrap();
    let begun = Instant::now();
    let mut command = shell(root.path(), "seq 1000000");
    let output = command.output().unwrap();
    assert!(output.status.success() && output.stdout.ends_with(b"\n1000000\n"));
    assert!(begun.elapsed() < Duration::from_secs(15));
    assert_eq!(record(root.path()).unwrap().dropped_log_bytes, output.stdout.len() as u64);
}

#[test]
fn a_terminal_that_went_away_does_not_end_the_command() {
    let root = volume();
    let script = "while [ ! -e gone ]; do sleep 0.01; done; seq 100000; touch printed; exit 6";
    let mut child = shell(root.path(), script).current_dir(root.path()).stdout(Stdio::piped()).spawn().unwrap();
    drop(child.stdout.take());
    File::create(root.path().join("gone")).unwrap();
    assert_eq!(child.wait().unwrap().code(), Some(6));
    assert!(root.path().join("printed").exists());
    assert!(kept(root.path()).stdout.ends_with(b"\n100000\n"));
}

/// A process that is not a descendant, here the test itself, holds the pipe open.
#[test]
fn who_holds_the_pipe_open_does_not_hold_the_end_up() {
    let root = volume();
    let script = "echo $$ >id.new; mv id.new id; while [ ! -e held ]; do sleep 0.01; done; echo last";
    let mut child = shell(root.path(), script).current_dir(root.path()).stdout(Stdio::piped()).spawn().unwrap();
    wait_until("the command runs", || root.path().join("id").exists());
    let id = fs::read_to_string(root.path().join("id")).unwrap();
    let held = File::options().write(true).open(format!("/proc/{}/fd/1", id.trim())).unwrap();
    File::create(root.path().join("held")).unwrap();
    let mut ended = None;
    wait_until("it ends", || {
        ended = child.try_wait().unwrap();
        ended.is_some()
    });
    assert_eq!(ended.unwrap().code(), Some(0));
    assert_eq!(kept(root.path()).stdout, b"last\n");
    drop(held);
}
