//! Messages in a ring of bytes. A position counts all bytes that were ever written; where it is in
//! the ring is its remainder. The caller knows which positions hold messages that are still needed.

use crate::fallible::{self, OutOfMemory};

/// What a message takes beside its name and its data.
const HEAD: usize = 32;
/// Each message begins at a multiple of this.
const ALIGNMENT: usize = 8;

/// What is known of a message without reading it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Head {
    /// Who is to read it; 0 for all.
    pub to: u64,
    /// Who has sent it.
    pub from: i32,
    /// What it is for.
    pub kind: u8,
    /// When it was written.
    pub time: u64,
    name: usize,
    data: usize,
}

impl Head {
    /// The head of a message with a name of `name` bytes, and `data` bytes more; `None` if they are
    /// too many.
    pub fn new(name: usize, data: usize) -> Option<Head> {
        let fits = u16::try_from(name).is_ok() && u32::try_from(data).is_ok();
        fits.then_some(Head { to: 0, from: 0, kind: 0, time: 0, name, data })
    }

    /// How many bytes the whole message takes.
    pub fn size(&self) -> u64 {
        (HEAD + self.name + self.data).next_multiple_of(ALIGNMENT) as u64
    }

    fn encode(&self) -> [u8; HEAD] {
        let mut bytes = [0; HEAD];
        let fields: [(usize, &[u8]); 6] = [
            (0, &self.to.to_ne_bytes()),
            (8, &self.time.to_ne_bytes()),
            (16, &self.from.to_ne_bytes()),
            (20, &(self.data as u32).to_ne_bytes()),
            (24, &(self.name as u16).to_ne_bytes()),
            (26, &[self.kind]),
        ];
        for (at, field) in fields {
            if let Some(place) = bytes.get_mut(at..at + field.len()) {
                place.copy_from_slice(field);
            }
        }
        bytes
    }

    fn decode(bytes: [u8; HEAD]) -> Head {
        Head {
            to: u64::from_ne_bytes(field(&bytes, 0)),
            time: u64::from_ne_bytes(field(&bytes, 8)),
            from: i32::from_ne_bytes(field(&bytes, 16)),
            data: u32::from_ne_bytes(field(&bytes, 20)) as usize,
            name: u16::from_ne_bytes(field(&bytes, 24)) as usize,
            kind: u8::from_ne_bytes(field(&bytes, 26)),
        }
    }
}

fn field<const N: usize>(bytes: &[u8], at: usize) -> [u8; N] {
    bytes.get(at..).and_then(|rest| rest.first_chunk()).copied().unwrap_or([0; N])
}

/// A message that was read.
#[derive(Debug, PartialEq, Eq)]
pub struct Message {
    pub head: Head,
    pub name: Vec<u8>,
    pub data: Vec<u8>,
}

/// The ring's bytes.
pub struct MessageRing<'a>(pub &'a mut [u8]);

impl MessageRing<'_> {
    /// Writes a message at `position`; its name and data have the lengths that the head was made
    /// with.
    pub fn write(&mut self, position: u64, head: &Head, name: &[u8], data: &[u8]) {
        self.put(position, &head.encode());
        self.put(position + HEAD as u64, name);
        self.put(position + (HEAD + name.len()) as u64, data);
    }

    /// The head of the message at `position`.
    pub fn head(&self, position: u64) -> Head {
        let mut bytes = [0; HEAD];
        self.get(position, &mut bytes);
        Head::decode(bytes)
    }

    /// The message at `position`, whose head is `head`.
    pub fn read(&self, position: u64, head: Head) -> Result<Message, OutOfMemory> {
        let (mut name, mut data) = (fallible::zeroes(head.name)?, fallible::zeroes(head.data)?);
        self.get(position + HEAD as u64, &mut name);
        self.get(position + (HEAD + name.len()) as u64, &mut data);
        Ok(Message { head, name, data })
    }

    /// Where `position` is in the ring.
    fn offset(&self, position: u64) -> usize {
        (position % self.0.len().max(1) as u64) as usize
    }

    fn put(&mut self, position: u64, bytes: &[u8]) {
        let (at, size) = (self.offset(position), self.0.len());
        let (head, rest) = bytes.split_at(bytes.len().min(size - at));
        for (place, part) in [(at, head), (0, rest)] {
            if let Some(place) = self.0.get_mut(place..place + part.len()) {
                place.copy_from_slice(part);
            }
        }
    }

    fn get(&self, position: u64, bytes: &mut [u8]) {
        let (at, size) = (self.offset(position), self.0.len());
        let middle = bytes.len().min(size - at);
        let (head, rest) = bytes.split_at_mut(middle);
        for (place, part) in [(at, head), (0, rest)] {
            if let Some(place) = self.0.get(place..place + part.len()) {
                part.copy_from_slice(place);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_are_read_as_written_round_and_round() {
        let mut bytes = [0xff; 1000];
        let mut ring = MessageRing(&mut bytes);
        let mut position = 0;
        for turn in 0..500usize {
            let (name, data) = (vec![b'n'; turn % 7], vec![turn as u8; turn % 301]);
            let mut head = Head::new(name.len(), data.len()).unwrap();
            head.to = u64::MAX - turn as u64;
            head.from = -1;
            head.kind = 3;
            head.time = turn as u64;
            ring.write(position, &head, &name, &data);
            assert_eq!(ring.head(position), head);
            assert_eq!(ring.read(position, head), Ok(Message { head, name, data }));
            position += head.size();
        }
    }

    #[test]
    fn a_message_leaves_its_neighbours_alone() {
        let mut bytes = [0; 160];
        let mut ring = MessageRing(&mut bytes);
        let head = |data: usize| Head::new(1, data).unwrap();
        // The second one begins at the end of the ring and ends at its beginning.
        ring.write(100 * 160 + 40, &head(7), b"a", b"1234567");
        ring.write(100 * 160 + 120, &head(40), b"b", &[7; 40]);
        let first = ring.read(100 * 160 + 40, head(7)).unwrap();
        assert_eq!((first.name.as_slice(), first.data.as_slice()), (&b"a"[..], &b"1234567"[..]));
        let second = ring.read(100 * 160 + 120, head(40)).unwrap();
        assert_eq!(second.data, [7; 40]);
        assert_eq!(head(7).size(), 40);
        assert_eq!(head(40).size(), 80);
    }

    #[test]
    fn what_is_too_long_has_no_head() {
        assert_eq!(Head::new(65_536, 0), None);
        assert_eq!(Head::new(0, 1 << 32), None);
        assert!(Head::new(65_535, 0).is_some());
    }

    #[test]
    fn an_empty_ring_does_not_panic() {
        let mut ring = MessageRing(&mut []);
        ring.write(5, &Head::new(1, 1).unwrap(), b"a", b"b");
        assert_eq!(ring.head(5).name, 0);
    }
}
