//! The comparison. What is compared is written by build.rs, in C and in Rust, in the same order.

use std::mem::{offset_of, size_of};

use nginx_sys::*;

/// A structure's size, or where its member is.
pub struct Place {
    name: &'static str,
    value: usize,
}

/// A bit field: what sets and gets it in Rust.
pub struct BitField {
    name: &'static str,
    size: usize,
    /// Sets all its bits.
    set: unsafe fn(*mut u8),
    get: unsafe fn(*mut u8) -> u64,
}

macro_rules! place {
    ($type:ident) => {
        Place { name: concat!("size of ", stringify!($type)), value: size_of::<$type>() }
    };
    ($type:ident, $member:ident) => {
        Place {
            name: concat!(stringify!($type), ".", stringify!($member)),
            value: offset_of!($type, $member),
        }
    };
}

macro_rules! bit_field {
    ($type:ident, $field:ident, $set:ident) => {
        BitField {
            name: concat!(stringify!($type), ".", stringify!($field)),
            size: size_of::<$type>(),
            // SAFETY: the tests pass memory that is large and aligned enough for the structure, and
            // initialised; any bits are valid in a bit field.
            set: |p| unsafe { (*p.cast::<$type>()).$set(!0) },
            // SAFETY: as above.
            get: |p| unsafe { (*p.cast::<$type>()).$field() as u64 },
        }
    };
}

include!(concat!(env!("OUT_DIR"), "/layouts.rs"));

/// The same, in C.
#[repr(C)]
struct CBitField {
    set: unsafe extern "C" fn(*mut u8),
    get: unsafe extern "C" fn(*mut u8) -> u64,
}

unsafe extern "C" {
    static layouts_places: [usize; PLACES.len()];
    static layouts_bit_fields: [CBitField; BIT_FIELDS.len()];
}

/// Room for any of nginx's structures.
#[repr(C, align(16))]
struct Memory([u8; 65536]);

impl Memory {
    fn filled(byte: u8) -> Box<Memory> {
        Box::new(Memory([byte; 65536]))
    }

    fn ones(&self) -> u32 {
        self.0.iter().map(|byte| byte.count_ones()).sum()
    }

    fn as_ptr(&mut self) -> *mut u8 {
        self.0.as_mut_ptr()
    }
}

#[test]
fn members_are_where_c_has_them() {
    // SAFETY: build.rs writes both lists at the same length.
    let in_c = unsafe { &layouts_places };
    assert!(PLACES.len() > 1000, "only {} members found in nginx's headers", PLACES.len());
    let different: Vec<_> = PLACES
        .iter()
        .zip(in_c)
        .filter(|(place, c)| place.value != **c)
        .map(|(place, c)| format!("{}: {} in Rust, {c} in C", place.name, place.value))
        .collect();
    assert!(different.is_empty(), "{different:#?}");
}

#[test]
fn bit_fields_are_the_bits_that_c_has() {
    // SAFETY: as above.
    let in_c = unsafe { &layouts_bit_fields };
    assert!(BIT_FIELDS.len() > 100, "only {} bit fields found", BIT_FIELDS.len());
    let different: Vec<_> = BIT_FIELDS
        .iter()
        .zip(in_c)
        .filter(|(field, c)| !is_same(field, c))
        .map(|(field, _)| field.name)
        .collect();
    assert!(different.is_empty(), "other bits in Rust than in C: {different:#?}");
}

/// Whether Rust sets the bits that C sets, and reads all of them and no others.
fn is_same(field: &BitField, c: &CBitField) -> bool {
    let (mut rust_bits, mut c_bits) = (Memory::filled(0), Memory::filled(0));
    assert!(field.size <= rust_bits.0.len(), "{} needs more memory", field.name);
    // SAFETY: the memory is large enough, and aligned as any structure, in which all bits are zero.
    let (rust_value, c_value) = unsafe {
        (field.set)(rust_bits.as_ptr());
        (c.set)(c_bits.as_ptr());
        ((field.get)(c_bits.as_ptr()), (c.get)(c_bits.as_ptr()))
    };
    // bindgen does not extend a sign: of `ngx_http_upstream_conf_t`, `cache` and `store` have one.
    let value = u64::MAX >> (u64::BITS - c_bits.ones());
    if rust_bits.0 != c_bits.0 || (rust_value ^ c_value) & value != 0 {
        return false;
    }
    let mut others = Memory::filled(0);
    for (other, bits) in others.0.iter_mut().zip(c_bits.0) {
        *other = !bits;
    }
    // SAFETY: as above; no member but the bit field is read.
    unsafe { (field.get)(others.as_ptr()) == 0 }
}

/// `src/nginx/core/bits.rs` reads and writes these two by the word that they begin.
#[test]
fn wide_bit_fields_come_first() {
    let fields = [
        ("ngx_variable_value_t.len", offset_of!(ngx_http_variable_value_t, _bitfield_1), 28),
        ("ngx_http_request_t.count", offset_of!(ngx_http_request_t, _bitfield_1), 16),
    ];
    for (name, place, width) in fields {
        let index = BIT_FIELDS.iter().position(|field| field.name == name).expect(name);
        let mut bits = Memory::filled(0);
        // SAFETY: as in `is_same`.
        unsafe { (layouts_bit_fields[index].set)(bits.as_ptr()) };
        let word = bits.0[place..place + 4].try_into().expect("four bytes");
        assert_eq!(
            u32::from_le_bytes(word),
            (1 << width) - 1,
            "{name} is not the first {width} bits"
        );
        assert_eq!(bits.ones(), width, "{name} has other bits");
    }
}
