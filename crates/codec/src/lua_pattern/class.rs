//! Sets of bytes in patterns: those that a letter names, and those in brackets.

/// A set of bytes, a bit for each.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct ByteClass([u64; 4]);

impl ByteClass {
    #[inline]
    pub(super) const fn contains(&self, byte: u8) -> bool {
        self.0[(byte >> 6) as usize] >> (byte & 63) & 1 != 0
    }

    #[inline]
    pub(super) const fn add(&mut self, byte: u8) {
        self.0[(byte >> 6) as usize] |= 1 << (byte & 63);
    }

    #[inline]
    pub(super) fn add_all(&mut self, other: &ByteClass) {
        for (own, other) in self.0.iter_mut().zip(other.0) {
            *own |= other;
        }
    }

    #[inline]
    pub(super) const fn complement(self) -> ByteClass {
        let [a, b, c, d] = self.0;
        ByteClass([!a, !b, !c, !d])
    }
}

/// The set that `letter` names; nothing if it names none.
#[inline]
pub(super) fn named_class(letter: u8) -> Option<ByteClass> {
    let class =
        CLASSES.get(usize::from(letter | 0x20).wrapping_sub(usize::from(b'a')))?.as_ref()?;
    // Capital letters name the opposite.
    Some(if letter & 0x20 != 0 { *class } else { class.complement() })
}

/// By letter, from `a`.
const CLASSES: [Option<ByteClass>; 26] = {
    let mut classes = [None; 26];
    let mut letter = 0;
    while letter < 26 {
        classes[letter] = class_of(b'a' + letter as u8);
        letter += 1;
    }
    classes
};

const fn class_of(letter: u8) -> Option<ByteClass> {
    let mut class = ByteClass([0; 4]);
    let mut byte = 0u8;
    while byte < 128 {
        let is_in = match letter {
            b'a' => byte.is_ascii_alphabetic(),
            b'c' => byte.is_ascii_control(),
            b'd' => byte.is_ascii_digit(),
            b'g' => byte.is_ascii_graphic(),
            b'l' => byte.is_ascii_lowercase(),
            b'p' => byte.is_ascii_punctuation(),
            b's' => matches!(byte, b' ' | 9..=13),
            b'u' => byte.is_ascii_uppercase(),
            b'w' => byte.is_ascii_alphanumeric(),
            b'x' => byte.is_ascii_hexdigit(),
            b'z' => byte == 0,
            _ => return None,
        };
        if is_in {
            class.add(byte);
        }
        byte += 1;
    }
    Some(class)
}
