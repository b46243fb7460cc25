//! Folded stacks: lines of frames, outermost first, separated by semicolons, each with a number.
//! The format is that of the scripts and programs that make flame graphs.

use std::collections::HashMap;
use std::fmt::{self, Display, Formatter};

use crate::fallible::{self, Grow, OutOfMemory, Shown};

/// The most stacks that are kept apart, and the most bytes of their text.
pub const MAX_STACKS: usize = 10_000;
pub const MAX_BYTES: usize = 4 * 1024 * 1024;
/// The stack that has the numbers of all that do not fit.
pub const OTHERS: &[u8] = b"[other stacks]";
/// The longest piece of a frame, in bytes: a function's name, or a file's.
const MAX_PIECE: usize = 200;

/// Numbers by stacks.
#[derive(Default)]
pub struct Folded {
    stacks: HashMap<Vec<u8>, u64>,
    bytes: usize,
    others: u64,
}

impl Folded {
    /// Adds `number` to that of `stack`, or, where there is no place or no memory for another
    /// stack, to the others'.
    pub fn add(&mut self, stack: &[u8], number: u64) {
        if let Some(its) = self.stacks.get_mut(stack) {
            *its = its.saturating_add(number);
        } else if stack == OTHERS || self.insert(stack, number).is_err() {
            self.others = self.others.saturating_add(number);
        }
    }

    fn insert(&mut self, stack: &[u8], number: u64) -> Result<(), OutOfMemory> {
        if self.stacks.len() >= MAX_STACKS || stack.len() > MAX_BYTES - self.bytes {
            return Err(OutOfMemory);
        }
        self.stacks.try_reserve(1)?;
        self.stacks.insert(fallible::copy(stack)?, number);
        self.bytes += stack.len();
        Ok(())
    }

    /// The stacks in the order of their bytes, in which stacks with common frames are neighbours.
    pub fn sorted(&self) -> Result<Vec<(&[u8], u64)>, OutOfMemory> {
        let all = self.stacks.iter().map(|(stack, number)| (&stack[..], *number));
        let others = (self.others > 0).then_some((OTHERS, self.others));
        let mut sorted = fallible::collect(all.chain(others))?;
        sorted.sort_unstable();
        Ok(sorted)
    }

    /// As [`Folded::sorted`], but only the stacks with the largest numbers: as many as have no more
    /// than `frames` frames and `bytes` bytes together. The rest is added to the others.
    pub fn largest(&self, frames: usize, bytes: usize) -> Result<Vec<(&[u8], u64)>, OutOfMemory> {
        let mut stacks = self.sorted()?;
        largest_first(&mut stacks);
        let (mut frames, mut bytes) = (frames, bytes);
        let fits = |(stack, _): &&(&[u8], u64)| {
            let its = 1 + stack.iter().filter(|byte| **byte == b';').count();
            let left = (frames.checked_sub(its), bytes.checked_sub(stack.len()));
            let (Some(frames_left), Some(bytes_left)) = left else { return false };
            (frames, bytes) = (frames_left, bytes_left);
            true
        };
        let kept = stacks.iter().take_while(fits).count();
        let rest = stacks.get(kept..).unwrap_or_default().iter().map(|(_, number)| number).sum();
        stacks.truncate(kept);
        if rest > 0 {
            stacks.try_push((OTHERS, rest))?;
        }
        stacks.sort_unstable();
        Ok(stacks)
    }

    /// Reads lines as [`Lines`] shows them, and adds their numbers; other lines are ignored.
    pub fn add_lines(&mut self, lines: &[u8]) {
        for line in lines.split(|byte| *byte == b'\n') {
            let Some(space) = line.iter().rposition(|byte| *byte == b' ') else { continue };
            let (stack, number) = line.split_at(space);
            let number = str::from_utf8(number.trim_ascii()).ok().and_then(|n| n.parse().ok());
            if let Some(number) = number {
                self.add(stack, number);
            }
        }
    }
}

/// Puts the stacks with the largest numbers first, and those with the same one in the order of
/// their bytes.
pub fn largest_first(stacks: &mut [(&[u8], u64)]) {
    stacks.sort_unstable_by(|a, b| b.1.cmp(&a.1).then_with(|| a.0.cmp(b.0)));
}

/// Displays sorted stacks, one a line.
pub struct Lines<'a>(pub &'a [(&'a [u8], u64)]);

impl Display for Lines<'_> {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|(stack, number)| writeln!(f, "{} {number}", Shown(stack)))
    }
}

/// Appends a piece of a frame, without what has a meaning in the format, and not all of one that is
/// long.
pub fn append_piece(piece: &[u8], stack: &mut Vec<u8>) -> Result<(), OutOfMemory> {
    let piece = piece.get(..MAX_PIECE).unwrap_or(piece);
    let start = stack.len();
    stack.try_append(piece)?;
    for byte in stack.get_mut(start..).unwrap_or_default() {
        match byte {
            b';' => *byte = b':',
            0..b' ' | 0x7f => *byte = b' ',
            _ => {}
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(folded: &Folded) -> String {
        Lines(&folded.sorted().unwrap()).to_string()
    }

    #[test]
    fn numbers_of_equal_stacks_are_added() {
        let mut folded = Folded::default();
        folded.add(b"b", 1);
        folded.add(b"a;c", 2);
        folded.add(b"b", 3);
        assert_eq!(shown(&folded), "a;c 2\nb 4\n");
    }

    #[test]
    fn what_is_shown_can_be_read() {
        let mut folded = Folded::default();
        folded.add_lines(b"main;f file.lua:3 5\nno number\n\nmain;f file.lua:3 1\nmain 2\n");
        assert_eq!(shown(&folded), "main 2\nmain;f file.lua:3 6\n");
    }

    #[test]
    fn stacks_are_limited_in_number() {
        let mut folded = Folded::default();
        for n in 0..MAX_STACKS + 5 {
            folded.add(n.to_string().as_bytes(), 1);
        }
        folded.add(b"7", 1);
        let sorted = folded.sorted().unwrap();
        assert_eq!(sorted.len(), MAX_STACKS + 1);
        assert!(sorted.contains(&(OTHERS, 5)) && sorted.contains(&(b"7", 2)));
    }

    #[test]
    fn stacks_are_limited_in_bytes() {
        let mut folded = Folded::default();
        folded.add(&[b'a'; MAX_BYTES - 1], 1);
        folded.add(b"bc", 1);
        folded.add(b"d", 1);
        let sorted = folded.sorted().unwrap();
        assert_eq!(sorted.iter().filter(|(stack, _)| *stack == OTHERS).count(), 1);
        assert!(sorted.contains(&(b"d", 1)) && !sorted.contains(&(b"bc", 1)));
    }

    #[test]
    fn the_largest_are_chosen() {
        let mut folded = Folded::default();
        folded.add_lines(b"a;b 5\na;c 7\nd 6\ne;f;g 1\nh 2\n");
        let shown = |frames, bytes| Lines(&folded.largest(frames, bytes).unwrap()).to_string();
        assert_eq!(shown(9, 100), "a;b 5\na;c 7\nd 6\ne;f;g 1\nh 2\n");
        assert_eq!(shown(6, 100), "[other stacks] 1\na;b 5\na;c 7\nd 6\nh 2\n");
        assert_eq!(shown(9, 4), "[other stacks] 8\na;c 7\nd 6\n");
        assert_eq!(shown(0, 0), "[other stacks] 21\n");
    }

    #[test]
    fn the_largest_come_first() {
        let mut folded = Folded::default();
        folded.add_lines(b"d 2\nb 1\na 2\nc 3\ne 1\n");
        let mut stacks = folded.sorted().unwrap();
        largest_first(&mut stacks);
        assert_eq!(Lines(&stacks).to_string(), "c 3\na 2\nd 2\nb 1\ne 1\n");
    }

    #[test]
    fn pieces_have_no_separators() {
        let mut stack = b"a;".to_vec();
        append_piece(b"x;y\nz", &mut stack).unwrap();
        assert_eq!(stack, b"a;x:y z");
        append_piece(&[b'l'; 1000], &mut stack).unwrap();
        assert_eq!(stack.len(), b"a;x:y z".len() + MAX_PIECE);
    }
}
