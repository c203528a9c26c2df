//! The log of a step: what its command printed. `exec` writes it to files, and passes the output on to the container's own
//! streams.
//!
//! The files of [`paths::LOGS`], in the order of [`SEGMENTS`], are one log. Their lines are those of the kubelet's own
//! container logs (the CRI format), so that whatever reads those reads these:
//! ```text
//! 2026-11-25T06:30:00.123456Z stdout F a whole line
//! 2026-11-25T06:30:00.123501Z stderr P a line that goes on in the next entry of its stream
//! 2026-11-25T06:30:00.123600Z exec F 8388608
//! ```
//! The bytes of a line are kept as they are. Lines of the stream `exec` are ours: what follows begins at this byte of
//! all output. Every segment begins with one; where it does not fit to what came before, output was left out.
//!
//! [`paths::LOGS`]: super::paths::LOGS

use jiff::Timestamp;

/// The names of the segments, oldest first. Any of them may be missing. The last two rotate.
pub const SEGMENTS: [&str; 3] = ["head", "tail.1", "tail"];
/// The size that the head stays within, in bytes.
pub const HEAD_BYTES: u64 = 8 << 20;
/// The size that each of the two segments of the tail stays within, in bytes.
pub const TAIL_BYTES: u64 = 4 << 20;

/// Where a command printed something.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stream {
    /// Standard output.
    Stdout,
    /// Standard error.
    Stderr,
}

/// A piece of a log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Piece<'a> {
    /// A line, or a part of one.
    Output {
        /// When it was read.
        time: Timestamp,
        /// Where it was printed.
        stream: Stream,
        /// The bytes, without the line's end.
        text: &'a [u8],
        /// Whether the line ends here.
        ends_line: bool,
    },
    /// So many bytes are not in the log: it is bounded, or the disk was full.
    LeftOut(u64),
}

/// Reads the segments of a log, one after the other.
#[derive(Debug, Default)]
pub struct Reader {
    /// How many bytes of output came before.
    position: u64,
}

impl Reader {
    /// The pieces of the next segment. A last line that was not written whole, and whatever else is no line of a log,
    /// is passed over.
    pub fn read<'a>(&mut self, segment: &'a [u8]) -> Vec<Piece<'a>> {
        let mut pieces = vec![];
        for line in segment.split_inclusive(|byte| *byte == b'\n') {
            let Some(line) = line.strip_suffix(b"\n") else { continue };
            let mut words = line.splitn(4, |byte| *byte == b' ');
            let (Some(time), Some(stream), Some(tag), Some(text)) =
                (words.next(), words.next(), words.next(), words.next())
            else {
                continue;
            };
            let stream = match stream {
                b"stdout" => Stream::Stdout,
                b"stderr" => Stream::Stderr,
                b"exec" => {
                    let position = std::str::from_utf8(text).ok().and_then(|text| text.parse().ok());
                    let position: u64 = position.unwrap_or(self.position);
                    if position > self.position {
                        pieces.push(Piece::LeftOut(position - self.position));
                    }
                    self.position = position.max(self.position);
                    continue;
                }
                _ => continue,
            };
            let Some(time) = std::str::from_utf8(time).ok().and_then(|text| text.parse().ok()) else { continue };
            let ends_line = tag == b"F";
            self.position = self.position.saturating_add(text.len() as u64).saturating_add(u64::from(ends_line));
            pieces.push(Piece::Output { time, stream, text, ends_line });
        }
        pieces
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(pieces: Vec<Piece<'_>>) -> Vec<String> {
        let show = |piece| match piece {
            Piece::Output { stream, text, ends_line, .. } => {
                format!("{stream:?} {ends_line} {}", String::from_utf8_lossy(text))
            }
            Piece::LeftOut(bytes) => format!("-{bytes}"),
        };
        pieces.into_iter().map(show).collect()
    }

    #[test]
    fn lines_come_back_and_gaps_are_named() {
        let time = "2026-11-25T06:30:00.123456Z";
        let mut reader = Reader::default();
        let head = format!("{time} exec F 0\n{time} stdout F a b  c\n{time} stderr P x\n{time} stderr F \nnonsense\n");
        assert_eq!(shown(reader.read(head.as_bytes())), ["Stdout true a b  c", "Stderr false x", "Stderr true "]);
        let tail = format!("{time} exec F 108\n{time} stdout F end\n{time} exec F 112\n{time} stdout F cut sho");
        assert_eq!(shown(reader.read(tail.as_bytes())), ["-99", "Stdout true end"]);
        assert_eq!(shown(reader.read(b"\n\0 \n")), [] as [&str; 0]);
    }
}
