//! The request's header as it came over the wire, from nginx's buffers.

use codec::fallible::{self, Grow, OutOfMemory};

use crate::nginx::core::strings;
use crate::nginx::http::request::Request;
use crate::nginx::sys::ngx_buf_t;

/// The header of the main request, with or without its first line; empty if nginx could not read
/// that line.
pub fn raw(request: Request, without_request_line: bool) -> Result<Vec<u8>, OutOfMemory> {
    let main = request.main();
    if main.is_multiplexed() {
        return super::made::text(main, without_request_line);
    }
    // SAFETY: a live request; its first line, where there is one, is in one of nginx's buffers.
    let line = unsafe { strings::bytes(main.get().request_line) };
    if line.is_empty() {
        return Ok(Vec::new());
    }
    let mut buffers = buffers(main)?;
    let pieces = pieces(&mut buffers, line.as_ptr());
    let pieces = fallible::collect(pieces.iter().map(Piece::bytes))?;
    let blank_line = pieces.last().and_then(|last| blank_line(main, last));
    codec::raw_header::restore(&pieces, blank_line, without_request_line)
}

/// The parsed part of a buffer.
#[derive(Clone, Copy)]
struct Piece {
    start: *const u8,
    end: *const u8,
}

impl Piece {
    fn of(buf: &ngx_buf_t) -> Piece {
        Piece { start: buf.start, end: buf.pos }
    }

    fn contains(&self, at: *const u8) -> bool {
        self.start <= at && at < self.end
    }

    fn bytes(&self) -> &[u8] {
        let len = (self.end as usize).saturating_sub(self.start as usize);
        // SAFETY: made from a live buffer's own pointers, which live as long as the request.
        unsafe { strings::raw(self.start, len) }
    }
}

/// nginx's header buffers, oldest first: the connection's, then the large ones, up to the last byte
/// that nginx has parsed.
fn buffers(main: Request) -> Result<Vec<Piece>, OutOfMemory> {
    let mut buffers = Vec::new();
    // SAFETY: a live request and connection; nginx keeps the large buffers that are in use in
    // a chain, the last one first.
    unsafe {
        let current = main.get().header_in;
        let mut busy = match main.get().http_connection.as_ref() {
            Some(connection) => connection.busy,
            None => std::ptr::null_mut(),
        };
        while let Some(link) = busy.as_ref() {
            if let Some(buf) = link.buf.as_ref() {
                if std::ptr::eq(buf, current) {
                    buffers.clear();
                }
                buffers.try_push(Piece::of(buf))?;
            }
            busy = link.next;
        }
        let first = (*main.connection()).buffer;
        if let Some(buf) = first.as_ref() {
            if std::ptr::eq(buf, current) {
                buffers.clear();
            }
            buffers.try_push(Piece::of(buf))?;
        }
    }
    buffers.reverse();
    Ok(buffers)
}

/// What `buffers` hold from the request line on.
fn pieces(buffers: &mut [Piece], line: *const u8) -> &mut [Piece] {
    let first = buffers.iter().position(|piece| piece.contains(line));
    let pieces = first.and_then(|first| buffers.get_mut(first..)).unwrap_or_default();
    if let Some(first) = pieces.first_mut() {
        first.start = line;
    }
    pieces
}

/// Where in `last` the header's blank line starts.
///
/// nginx's parser records it, but the record is lost when an upstream's response is parsed for the
/// same request.
fn blank_line(main: Request, last: &[u8]) -> Option<usize> {
    let end = main.get().header_end as usize;
    let at = end.checked_sub(last.as_ptr() as usize)?;
    let follows_line = at == 0 || matches!(last.get(at - 1), Some(b'\n' | 0));
    let is_line_end = matches!(last.get(at), Some(b'\r' | b'\n'));
    (follows_line && is_line_end).then_some(at)
}
