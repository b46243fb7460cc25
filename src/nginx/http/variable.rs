//! nginx's variables, and the captures of the last regex that nginx matched.

use std::ops::Range;

use codec::fallible;
use codec::uri::escape_controls;

use crate::nginx::core::bits;
use crate::nginx::core::conf::Conf;
use crate::nginx::core::pool::OutOfMemory;
use crate::nginx::core::strings::{self, PoolStr};
use crate::nginx::http::configuration::Configuration;
use crate::nginx::http::headers_in;
use crate::nginx::http::request::Request;
use crate::nginx::sys::{
    NGX_HTTP_VAR_CHANGEABLE, NGX_HTTP_VAR_INDEXED, ngx_hash_find, ngx_http_get_variable,
    ngx_http_get_variable_index, ngx_http_request_t, ngx_http_variable_t,
    ngx_http_variable_value_t, ngx_str_t, ngx_uint_t,
};

/// The lower case of each byte.
static LOWER: [u8; 256] = {
    let mut table = [0; 256];
    let mut byte = 0;
    while byte < 256 {
        table[byte] = (byte as u8).to_ascii_lowercase();
        byte += 1;
    }
    table
};

/// The name of a variable in lower case, with nginx's hash of it.
pub struct Name<'a> {
    lower: &'a mut [u8],
    hash: ngx_uint_t,
}

impl<'a> Name<'a> {
    /// The name `name`, in lower case in `buf`.
    ///
    /// # Safety
    /// `name` must be valid for `len` bytes, and `buf` for writing `len` bytes and for `'a`.
    #[inline]
    #[expect(clippy::indexing_slicing, reason = "a byte, in a table of 256")]
    pub unsafe fn new(name: *const u8, len: usize, buf: *mut u8) -> Name<'a> {
        // Does what nginx's `ngx_hash_strlow` does, in half as many instructions.
        let mut hash: ngx_uint_t = 0;
        // SAFETY: both are valid, the contract of this function. They may be the same bytes: each
        // is read before it is written.
        unsafe {
            for at in 0..len {
                let byte = LOWER[usize::from(name.add(at).read())];
                buf.add(at).write(byte);
                hash = hash.wrapping_mul(31).wrapping_add(byte.into());
            }
            Name { lower: std::slice::from_raw_parts_mut(buf, len), hash }
        }
    }

    /// `name` is made lower case where it stands.
    pub fn in_place(name: &'a mut [u8]) -> Name<'a> {
        let data = name.as_mut_ptr();
        // SAFETY: a live slice, borrowed mutably for `'a`.
        unsafe { Name::new(data, name.len(), data) }
    }

    pub fn bytes(&self) -> &[u8] {
        self.lower
    }
}

/// The index of the variable `name` in each request's table, which nginx gives it in the
/// configuration that is being read.
pub fn index(cf: Conf, name: &[u8]) -> Option<usize> {
    let mut name = strings::borrowed(name);
    // SAFETY: the live parser, within the `http` block; nginx copies the name.
    usize::try_from(unsafe { ngx_http_get_variable_index(cf.as_ptr(), &mut name) }).ok()
}

/// The value of a variable; nothing where it does not exist or has none.
///
/// The bytes belong to the request, the configuration or nginx itself; they are valid until the
/// variable is set or read again.
pub fn value(request: Request, name: &mut Name<'_>) -> Option<PoolStr> {
    let mut text = ngx_str_t { len: name.lower.len(), data: name.lower.as_mut_ptr() };
    // SAFETY: a live request; nginx reads the name during the call only.
    unsafe {
        let value = ngx_http_get_variable(request.as_ptr(), &mut text, name.hash).as_ref()?;
        if value.not_found() != 0 {
            let authority = headers_in::authority(&request).filter(|_| name.lower == b"http_host");
            return authority.map(|name| PoolStr::new(name));
        }
        Some(PoolStr::new(ngx_str_t { len: bits::value_len(value), data: value.data }))
    }
}

/// Capture `number` (from 1) of the last regex that nginx matched for the request; empty where
/// the group took no part in the match.
#[cfg(ngx_feature = "pcre")]
pub fn capture(request: Request, number: usize) -> Option<PoolStr> {
    let r = request.get();
    let at = number.checked_mul(2)?;
    if number == 0 || r.captures.is_null() || r.captures_data.is_null() {
        return None;
    }
    if at.checked_add(1)? >= r.ncaptures {
        return None;
    }
    // SAFETY: nginx keeps `ncaptures` offsets, which lie within the subject that it matched.
    unsafe {
        let (from, to) = (*r.captures.add(at), *r.captures.add(at + 1));
        let text = match (usize::try_from(from), usize::try_from(to)) {
            (Ok(from), Ok(to)) if from < to => {
                ngx_str_t { len: to - from, data: r.captures_data.add(from) }
            }
            _ => ngx_str_t::empty(),
        };
        Some(PoolStr::new(text))
    }
}

/// nginx was built without regular expressions: there are no captures.
#[cfg(not(ngx_feature = "pcre"))]
pub fn capture(_request: Request, _number: usize) -> Option<PoolStr> {
    None
}

/// Why a variable could not be set.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum SetError {
    NotChangeable,
    CannotBeAssigned,
    NotFound,
    TooLong,
    NoMemory,
}

impl SetError {
    /// The message for Lua, in the C module's words.
    pub fn message(self, name: &[u8]) -> Vec<u8> {
        let concat = |pieces: &[&[u8]]| {
            fallible::concat(pieces).unwrap_or_else(|_| fallible::reason(b"no memory"))
        };
        let quoted = |end: &str| concat(&[b"variable \"", name, b"\" ", end.as_bytes()]);
        match self {
            SetError::NotChangeable => quoted("not changeable"),
            SetError::CannotBeAssigned => quoted("cannot be assigned a value"),
            SetError::TooLong => quoted("cannot hold a value of 256 megabytes or more"),
            SetError::NoMemory => b"no memory".into(),
            SetError::NotFound => concat(&[
                &quoted(
                    "not found for writing; maybe it is a built-in variable that is not \
                     changeable or you forgot to use \"set $",
                ),
                name,
                b" '';\" in the config file to define it first",
            ]),
        }
    }
}

impl From<OutOfMemory> for SetError {
    fn from(_: OutOfMemory) -> Self {
        SetError::NoMemory
    }
}

/// Whether the value of a variable that nginx keeps, or the text of the last regex that it matched, is in `memory`:
/// `$request_body` is the body itself where that is one buffer.
pub(in crate::nginx) fn is_within(request: Request, memory: &Range<*mut u8>) -> bool {
    // SAFETY: nginx sizes the array by the number of variables that the configuration has.
    let has_value = unsafe {
        let count = (*Configuration::of(request).core_main()).variables.nelts;
        let values = request.get().variables;
        !values.is_null() && (0..count).any(|index| memory.contains(&(*values.add(index)).data))
    };
    has_value || is_matched(request, memory)
}

#[cfg(ngx_feature = "pcre")]
fn is_matched(request: Request, memory: &Range<*mut u8>) -> bool {
    memory.contains(&request.get().captures_data)
}

#[cfg(not(ngx_feature = "pcre"))]
fn is_matched(_request: Request, _memory: &Range<*mut u8>) -> bool {
    false
}

/// nginx keeps the length of a value in 28 bits.
const MAX_LEN: usize = (1 << 28) - 1;

/// Sets a variable to a copy of `value`, or unsets it (`None`).
#[inline]
pub fn set(request: Request, name: &mut Name<'_>, value: Option<&[u8]>) -> Result<(), SetError> {
    let variable = find(&request, name).ok_or(SetError::NotFound)?;
    if variable.flags & NGX_HTTP_VAR_CHANGEABLE as usize == 0 {
        return Err(SetError::NotChangeable);
    }
    if value.is_some_and(|value| value.len() > MAX_LEN) {
        return Err(SetError::TooLong);
    }
    if let Some(handler) = variable.set_handler {
        return set_by(handler, request, variable, value);
    }
    if variable.flags & NGX_HTTP_VAR_INDEXED as usize == 0 {
        return Err(SetError::CannotBeAssigned);
    }
    let new = content(request, value)?;
    // SAFETY: nginx sizes `variables` for every index that it gave out.
    unsafe { fill(request.get().variables.add(variable.index), new) };
    Ok(())
}

/// Sets a variable that has a function of its own for that.
#[inline(never)]
fn set_by(
    handler: SetHandler,
    request: Request,
    variable: &ngx_http_variable_t,
    value: Option<&[u8]>,
) -> Result<(), SetError> {
    // A query string goes to other servers as it is.
    // SAFETY: the name is of the configuration.
    let is_query = unsafe { strings::bytes(variable.name) } == b"args";
    let escaped = value.filter(|_| is_query).map(escape_controls).transpose()?;
    let new = content(request, escaped.as_deref().or(value))?;
    // SAFETY: zero is a valid value structure; the handler gets what nginx would pass.
    unsafe {
        let slot = request.pool().zeroed::<ngx_http_variable_value_t>()?.as_ptr();
        fill(slot, new);
        handler(request.as_ptr(), slot, variable.data);
    }
    Ok(())
}

type SetHandler =
    unsafe extern "C" fn(*mut ngx_http_request_t, *mut ngx_http_variable_value_t, usize);

/// The variable as the configuration knows it; those with a dynamic prefix are not there.
fn find<'r>(request: &'r Request, name: &mut Name<'_>) -> Option<&'r ngx_http_variable_t> {
    // SAFETY: the core module's main configuration is live as long as the cycle, and the hash
    // holds variables of the configuration.
    unsafe {
        let core = Configuration::of(*request).core_main();
        let hash = &raw mut (*core).variables_hash;
        ngx_hash_find(hash, name.hash, name.lower.as_mut_ptr(), name.lower.len())
            .cast::<ngx_http_variable_t>()
            .as_ref()
    }
}

/// `value` in the request's pool.
fn content(request: Request, value: Option<&[u8]>) -> Result<Option<ngx_str_t>, OutOfMemory> {
    value.map(|value| request.pool().copy_str(value)).transpose()
}

/// # Safety
/// `slot` must be a value structure that nginx's one thread may write now.
unsafe fn fill(slot: *mut ngx_http_variable_value_t, value: Option<ngx_str_t>) {
    // SAFETY: the slot may be written now, the contract of this function.
    let slot = unsafe { &mut *slot };
    slot.set_valid(u32::from(value.is_some()));
    slot.set_not_found(u32::from(value.is_none()));
    slot.set_no_cacheable(0);
    let value = value.unwrap_or(ngx_str_t { len: 0, data: std::ptr::null_mut() });
    bits::set_value_len(slot, value.len);
    slot.data = value.data;
}
