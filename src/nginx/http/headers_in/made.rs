//! The header of an HTTP/2 or HTTP/3 request in the form that it would have in HTTP/1: it does not
//! come over the wire as text. It is made of nginx's list of headers, before the first of them
//! changes.

use std::rc::Rc;

use codec::fallible::Grow;

use super::{authority, nodes};
use crate::nginx::core::pool::{OutOfMemory, may_fail};
use crate::nginx::core::strings;
use crate::nginx::http::cleanup::{SharedWithPool, shares};
use crate::nginx::http::headers::node::Node;
use crate::nginx::http::request::Request;
use crate::nginx::sys::ngx_http_request_t;

/// The header as it came, without the request line, of a request whose headers may have changed.
pub(in crate::nginx::http) struct Original(Vec<u8>);

impl SharedWithPool for Original {
    fn at_end(&self) {}

    fn let_go(self: Rc<Self>) {}
}

/// To be called before a header of the request changes.
pub fn keep_original(request: Request) -> Result<(), OutOfMemory> {
    let main = request.main();
    if !main.is_multiplexed() || shares::<Original>(main).next().is_some() {
        return Ok(());
    }
    let mut text = Vec::new();
    append_headers(main, &mut text)?;
    may_fail()?;
    main.share(Rc::new(Original(text))).map(drop)
}

/// The header of the request, with or without the request line; empty if nginx could not read the
/// line.
pub(super) fn text(main: Request, without_request_line: bool) -> Result<Vec<u8>, OutOfMemory> {
    let mut text = Vec::new();
    // SAFETY: nginx keeps the line in the request's pool.
    let line = unsafe { strings::bytes(main.get().request_line) };
    if line.is_empty() {
        return Ok(text);
    }
    if !without_request_line {
        append(&mut text, &[line, b"\r\n"])?;
    }
    match shares::<Original>(main).next() {
        Some(original) => text.try_append(&original.0)?,
        None => append_headers(main, &mut text)?,
    }
    Ok(text)
}

fn append_headers(main: Request, text: &mut Vec<u8>) -> Result<(), OutOfMemory> {
    if let Some(server) = authority(&main) {
        // SAFETY: nginx keeps the name in the request's pool.
        let name = unsafe { sent_authority(main.get()).unwrap_or_else(|| strings::bytes(server)) };
        append(text, &[b"host: ", name, b"\r\n"])?;
    }
    // The name of the server is what the client sends first; where nginx has it in the list
    // differs.
    for of_server in [true, false] {
        let is_next = |node: &Node| !node.is_hidden() && node.is_named(b"host") == of_server;
        for node in nodes(main).filter(is_next) {
            append(text, &[node.name(), b": ", node.value(), b"\r\n"])?;
        }
    }
    append(text, &[b"\r\n"])
}

fn append(text: &mut Vec<u8>, pieces: &[&[u8]]) -> Result<(), OutOfMemory> {
    pieces.iter().try_for_each(|piece| text.try_append(piece))
}

/// The server's name with its port, as the client sent it.
///
/// # Safety
/// The bytes must not be used once the request is freed.
unsafe fn sent_authority<'a>(r: &ngx_http_request_t) -> Option<&'a [u8]> {
    let len = (r.host_end as usize).checked_sub(r.host_start as usize)?;
    // SAFETY: nginx keeps what its parser points at as long as the request, which lives, the
    // contract of this function.
    (!r.host_start.is_null()).then(|| unsafe { strings::raw(r.host_start, len) })
}
