//! Reusable memory for parts. If each part allocated and freed its own, on many threads, the allocator would keep more
//! memory than is in use.

use std::sync::{Arc, Mutex, PoisonError};

use bytes::Bytes;

/// Buffers that nobody uses at the moment. There are never more of them than parts were under way at once.
#[derive(Clone, Debug, Default)]
pub(crate) struct Buffers(Arc<Mutex<Vec<Vec<u8>>>>);

impl Buffers {
    /// An empty buffer, which has room for so many bytes, as a rule without asking for memory.
    pub(crate) fn take(&self, bytes: usize) -> Vec<u8> {
        let mut free = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let fits = free.iter().rposition(|buffer| buffer.capacity() == bytes);
        match fits {
            Some(place) => free.swap_remove(place),
            None => {
                // Parts of another size are over, or fewer: theirs would stay for nothing.
                free.clear();
                Vec::with_capacity(bytes)
            }
        }
    }

    /// What a buffer holds. It comes back once nobody holds that.
    pub(crate) fn content(&self, buffer: Vec<u8>) -> Bytes {
        Bytes::from_owner(Lent { buffer, free: self.clone() })
    }
}

struct Lent {
    buffer: Vec<u8>,
    free: Buffers,
}

impl AsRef<[u8]> for Lent {
    fn as_ref(&self) -> &[u8] {
        &self.buffer
    }
}

impl Drop for Lent {
    fn drop(&mut self) {
        let mut buffer = std::mem::take(&mut self.buffer);
        buffer.clear();
        self.free.0.lock().unwrap_or_else(PoisonError::into_inner).push(buffer);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn memory_comes_back_with_the_last_who_holds_it_and_fits_the_next() {
        let buffers = Buffers::default();
        let mut buffer = buffers.take(100);
        buffer.extend_from_slice(b"part");
        let place = buffer.as_ptr();
        let (content, piece) = {
            let content = buffers.content(buffer);
            (content.clone(), content.slice(1..))
        };
        drop(content);
        assert!(buffers.0.lock().unwrap().is_empty());
        assert_eq!(&piece[..], b"art");
        drop(piece);
        let again = buffers.take(100);
        assert_eq!((again.as_ptr(), again.len(), again.capacity()), (place, 0, 100));
        drop(buffers.content(again));
        assert_eq!(buffers.take(200).capacity(), 200);
        assert!(buffers.0.lock().unwrap().is_empty(), "those of another size are given back");
    }
}
