//! The termination message: the last lines of a command that failed, for status, conditions and events.
//!
//! More people read those than the pod's logs. So the values of Secrets are masked, and what would move a terminal's
//! cursor or colour it is taken out.

use std::collections::VecDeque;
use std::fs::{self, File};
use std::io::{self, Read, Write};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

/// The size that a message of ours stays within, in bytes.
const MESSAGE_BYTES: usize = 1024;
/// What of it the end of standard output has at most, where there is something on standard error, in bytes.
const STDOUT_BYTES: usize = 256;
/// How much of a message of the command's own is read, in bytes: what Kubernetes keeps of it.
const OWN_MESSAGE_BYTES: u64 = 4096;
/// How much of the output is kept for the message, in bytes: progress bars shrink to little.
const TAIL_BYTES: usize = 16 << 10;
/// What a secret is replaced by.
const MASK: &str = "***";
/// The shortest value that is masked, in bytes: shorter ones are in every other word.
const SHORTEST_SECRET: usize = 4;
/// The longest that is masked, in bytes: of a longer value each line is.
const LONGEST_SECRET: usize = 64 << 10;
/// How much of a file of a mounted Secret is read, in bytes: what a Secret may hold.
const SECRET_BYTES: u64 = 1 << 20;
/// The shortest line that is masked of a value of several lines, in bytes.
const SHORTEST_LINE: usize = 8;

/// The last bytes that were printed.
pub(crate) struct Tail {
    bytes: VecDeque<u8>,
    limit: usize,
    /// How much of the beginning may be the rest of a secret that was cut.
    unsafe_bytes: usize,
    was_cut: bool,
}

impl Tail {
    pub(crate) fn new(longest_secret: usize) -> Self {
        let limit = TAIL_BYTES.saturating_add(longest_secret);
        Self { bytes: VecDeque::new(), limit, unsafe_bytes: longest_secret, was_cut: false }
    }

    pub(crate) fn push(&mut self, bytes: &[u8]) {
        self.bytes.extend(bytes);
        let excess = self.bytes.len().saturating_sub(self.limit);
        self.was_cut |= excess > 0;
        self.bytes.drain(..excess);
    }

    /// The text, without what may be the rest of a secret.
    pub(crate) fn text(&self) -> String {
        let cut = if self.was_cut { self.unsafe_bytes } else { 0 };
        let bytes: Vec<u8> = self.bytes.iter().copied().skip(cut).collect();
        String::from_utf8_lossy(&bytes).into_owned()
    }
}

/// Values of Secrets, which must not be shown.
pub(crate) struct Secrets(Vec<String>);

impl Secrets {
    /// The values of these variables and, where a whole Secret was given to the environment, of every variable that is
    /// not known to be harmless.
    pub(crate) fn of_environment(
        variables: impl Iterator<Item = (String, String)>,
        names: &[String],
        whole: bool,
    ) -> Self {
        let is_secret = |name: &str| names.iter().any(|secret| secret == name) || (whole && !is_harmless(name));
        Self::of_values(variables.filter(|(name, _)| is_secret(name)).map(|(_, value)| value))
    }

    /// What the files of mounted Secrets hold. A file that cannot be read, or is no text, has nothing that a message could
    /// show.
    pub(crate) fn of_mounts(mounts: &[PathBuf]) -> Self {
        let files = mounts.iter().flat_map(|mount| match fs::read_dir(mount) {
            // The kubelet's own folders begin with two points; the keys are links into them.
            Ok(entries) => entries
                .filter_map(|entry| Some(entry.ok()?.path()))
                .filter(|path| path.file_name().is_some_and(|name| !name.as_bytes().starts_with(b"..")))
                .collect(),
            Err(_) => vec![mount.clone()],
        });
        let text = |path: PathBuf| {
            let mut text = String::new();
            File::open(path).ok()?.take(SECRET_BYTES).read_to_string(&mut text).ok()?;
            Some(text)
        };
        Self::of_values(files.filter_map(text))
    }

    /// Secrets with these values: each is masked as a whole, and each of its lines.
    fn of_values(values: impl Iterator<Item = String>) -> Self {
        let parts = values.map(|value| clean(&value)).flat_map(|value| {
            let lines = value.lines().map(str::trim).filter(|line| line.len() >= SHORTEST_LINE);
            let mut parts: Vec<String> = lines.map(str::to_owned).collect();
            parts.push(value.trim().to_owned());
            parts
        });
        Self(parts.filter(|secret| (SHORTEST_SECRET..=LONGEST_SECRET).contains(&secret.len())).collect()).sorted()
    }

    /// These secrets together with others.
    pub(crate) fn and(mut self, other: Self) -> Self {
        self.0.extend(other.0);
        self.sorted()
    }

    /// The longest first: one may be a part of another.
    fn sorted(mut self) -> Self {
        self.0.sort_by(|a, b| b.len().cmp(&a.len()).then(a.cmp(b)));
        self.0.dedup();
        self
    }

    pub(crate) fn longest(&self) -> usize {
        self.0.first().map_or(0, String::len)
    }

    /// The text as it may be read by all: no secrets, no control characters.
    pub(crate) fn mask(&self, text: &str) -> String {
        self.0.iter().fold(clean(text), |text, secret| text.replace(secret, MASK))
    }
}

/// What images, Kubernetes and Seatrial set.
fn is_harmless(name: &str) -> bool {
    let ours = ["PARAM_", "INPUT_", "OUTPUT_", "VALUE_", "RUN_", "KUBERNETES_", "PYTHON", "LC_", "LD_", "CUDA_", "NV_"];
    let known =
        ["PATH", "HOME", "HOSTNAME", "PWD", "OLDPWD", "SHLVL", "TERM", "LANG", "LANGUAGE", "TZ", "USER", "SHELL"];
    let of_services = ["_SERVICE_HOST", "_SERVICE_PORT", "_PORT", "_TCP_ADDR", "_TCP_PORT", "_TCP_PROTO", "_TCP"];
    known.contains(&name)
        || ours.iter().any(|start| name.starts_with(start))
        || of_services.iter().any(|end| name.ends_with(end))
}

/// The text as a terminal would show it: control sequences act on nothing, and of a line that was written over, as
/// progress bars do, the last state stays.
pub(crate) fn clean(text: &str) -> String {
    let mut plain = String::with_capacity(text.len());
    let mut characters = text.chars().peekable();
    while let Some(character) = characters.next() {
        match character {
            '\u{1b}' => match characters.next() {
                // CSI: parameters, then a final character.
                Some('[') => {
                    while characters.next_if(|next| (' '..='?').contains(next)).is_some() {}
                    let _ = characters.next_if(|next| ('@'..='~').contains(next));
                }
                // OSC, DCS, SOS, PM, APC: a string, ended by BEL or ESC \. A line's end ends it too: the rest would
                // be lost to a sequence that was cut.
                Some(']' | 'P' | 'X' | '^' | '_') => {
                    while let Some(next) = characters.next_if(|next| *next != '\n') {
                        if next == '\u{7}' || (next == '\u{1b}' && characters.next_if_eq(&'\\').is_some()) {
                            break;
                        }
                    }
                }
                // Two characters, or three.
                Some(' '..='/') => drop(characters.next()),
                _ => {}
            },
            '\n' | '\t' | '\r' => plain.push(character),
            character if character.is_control() => {}
            character => plain.push(character),
        }
    }
    let line = |line: &str| line.trim_end_matches('\r').rsplit('\r').next().unwrap_or_default().to_owned();
    plain.split('\n').map(line).collect::<Vec<_>>().join("\n")
}

/// The last lines within a size in bytes.
fn last_lines(text: &str, size: usize) -> &str {
    let text = text.trim();
    let mut start = text.len().saturating_sub(size);
    while !text.is_char_boundary(start) {
        start += 1;
    }
    let last = text.get(start..).unwrap_or_default();
    match last.split_once('\n') {
        Some((_, whole_lines)) if start > 0 => whole_lines,
        _ => last,
    }
}

/// The end of what was printed. The two streams arrive apart, so that what is last in time cannot be told: what programs
/// die of is on standard error as a rule, and has most of the room.
fn last_words(stdout: &str, stderr: &str) -> String {
    if stderr.trim().is_empty() {
        return last_lines(stdout, MESSAGE_BYTES).to_owned();
    }
    let before = last_lines(stdout, STDOUT_BYTES);
    let stderr = last_lines(stderr, MESSAGE_BYTES - before.len() - 1);
    [before, stderr].into_iter().filter(|part| !part.is_empty()).collect::<Vec<_>>().join("\n")
}

/// Masks the message that the command wrote; where it failed and wrote none, writes its last lines. The kubelet has
/// made the file; where there is none, there is nobody who reads it.
pub(crate) fn write(path: &Path, secrets: &Secrets, last: Option<&[String; 2]>) -> io::Result<()> {
    let mut own = vec![];
    match File::open(path) {
        Ok(file) => file.take(OWN_MESSAGE_BYTES).read_to_end(&mut own)?,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(error),
    };
    let own_text = String::from_utf8_lossy(&own);
    let message = match last {
        Some([stdout, stderr]) if own_text.trim().is_empty() => {
            last_words(&secrets.mask(stdout), &secrets.mask(stderr))
        }
        _ => secrets.mask(&own_text),
    };
    if message.as_bytes() == own && fs::metadata(path)?.len() <= OWN_MESSAGE_BYTES {
        return Ok(());
    }
    File::options().write(true).truncate(true).open(path)?.write_all(message.as_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn secrets(values: &[(&str, &str)], names: &[&str], whole: bool) -> Secrets {
        let variables = values.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
        Secrets::of_environment(variables, &names.iter().map(|name| (*name).to_owned()).collect::<Vec<_>>(), whole)
    }

    #[test]
    fn control_sequences_are_taken_out_and_lines_written_over() {
        for (text, expected) in [
            ("\u{1b}[1;31mred\u{1b}[0m", "red"),
            ("\u{1b}]0;title\u{7}a\u{1b}]8;;http://x\u{1b}\\link\u{1b}]8;;\u{1b}\\", "alink"),
            ("\u{1b}]cut\nnext", "\nnext"),
            ("a\0b\u{8}c\u{9b}d\te", "abcd\te"),
            ("\r 10%\r 50%\r100%\r\ndone\r\n", "100%\ndone\n"),
            ("\u{1b}(Bplain\u{1b}=", "plain"),
            ("cut \u{1b}[3", "cut "),
        ] {
            assert_eq!(clean(text), expected, "{text:?}");
        }
    }

    #[test]
    fn secrets_are_masked_also_where_they_are_coloured_or_a_line_of_several() {
        let key = "-----BEGIN KEY-----\nMIIEvAIBADANBg\nkqhkiG9w0BAQEF\n";
        let secrets = secrets(
            &[("TOKEN", "hunter22"), ("KEY", key), ("MODE", "fast"), ("A", "x")],
            &["TOKEN", "KEY", "A"],
            false,
        );
        let text = "fast: hunt\u{1b}[1mer22 refused, x stays\nMIIEvAIBADANBg\nlast";
        assert_eq!(secrets.mask(text), "fast: *** refused, x stays\n***\nlast");
    }

    /// As the kubelet mounts a Secret: the keys are links into a folder of the kubelet's own.
    #[test]
    fn what_mounted_secrets_hold_is_masked() {
        let folder = tempfile::tempdir().unwrap();
        let (data, mount) = (folder.path().join("..data"), folder.path().to_owned());
        fs::create_dir(&data).unwrap();
        for (key, value) in [
            ("password", "swordfish\n".as_bytes()),
            ("token.json", b"{\"key\": \"abcdefgh\"}"),
            ("binary", &[0xff, 0xfe]),
        ] {
            fs::write(data.join(key), value).unwrap();
            std::os::unix::fs::symlink(Path::new("..data").join(key), mount.join(key)).unwrap();
        }
        let alone = data.join("password");
        for mounts in [vec![mount.clone()], vec![alone, mount.join("token.json")]] {
            let secrets = Secrets::of_mounts(&mounts);
            let text = "login with swordfish failed: {\"key\": \"abcdefgh\"}";
            assert_eq!(secrets.mask(text), "login with *** failed: ***", "{mounts:?}");
        }
        assert_eq!(Secrets::of_mounts(&["/nowhere".into()]).longest(), 0);
    }

    #[test]
    fn with_a_whole_secret_all_is_masked_but_what_is_known() {
        let given = [
            ("PATH", "/usr/bin"),
            ("PARAM_RATE", "0.10"),
            ("DB_PASSWORD", "swordfish"),
            ("PG_SERVICE_HOST", "10.0.0.1"),
        ];
        let secrets = secrets(&given, &[], true);
        assert_eq!(secrets.mask("/usr/bin 0.10 swordfish 10.0.0.1"), "/usr/bin 0.10 *** 10.0.0.1");
    }

    #[test]
    fn the_rest_of_a_secret_that_was_cut_is_not_shown() {
        let secrets = secrets(&[("TOKEN", "0123456789")], &["TOKEN"], false);
        let mut tail = Tail::new(secrets.longest());
        tail.push(b"0123456789");
        // All but the secret's first three bytes still fit.
        tail.push(&[b'.'; TAIL_BYTES + 3]);
        assert_eq!(tail.text().trim_matches('.'), "");
        let mut short = Tail::new(10);
        short.push(b"short");
        assert_eq!(short.text(), "short");
    }

    #[test]
    fn a_message_keeps_whole_last_lines_within_its_size() {
        let text = format!("{}\nlast", "ä".repeat(600));
        assert_eq!(last_lines(&text, MESSAGE_BYTES), "last");
        let long = "ä".repeat(1500);
        assert_eq!(last_lines(&long, MESSAGE_BYTES).len(), MESSAGE_BYTES);
        assert_eq!(last_lines(&format!("x{long}y"), MESSAGE_BYTES).len(), MESSAGE_BYTES - 1);
        assert_eq!(last_lines(" a\nb \n", MESSAGE_BYTES), "a\nb");
        assert_eq!(last_words(&long, &long).len(), MESSAGE_BYTES - 1, "a character has two bytes");
        assert_eq!(last_words("out\n", "error\n"), "out\nerror");
        assert_eq!((last_words("out", " "), last_words("", "error")), ("out".to_owned(), "error".to_owned()));
    }
}
