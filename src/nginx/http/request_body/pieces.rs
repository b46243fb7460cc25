//! The bytes of a body that has been read, wherever they are: in memory or in a file.

use std::ops::ControlFlow;

use crate::nginx::core::buf::Buf;
use crate::nginx::core::chain::Chain;
use crate::nginx::core::pool::OutOfMemory;
use crate::nginx::http::request::Request;
use crate::nginx::http::request_body::structure;
use crate::nginx::sys::ngx_errno;

/// As much of a file is read at once.
const PIECE: usize = 64 * 1024;

/// Why not all bytes could be had.
pub enum Unreadable {
    NoMemory,
    /// The system's error number; 0 where the file is shorter than it was.
    File(i32),
}

impl From<OutOfMemory> for Unreadable {
    fn from(_: OutOfMemory) -> Unreadable {
        Unreadable::NoMemory
    }
}

/// Passes the bytes to `sink`, piece by piece, until that breaks off.
pub fn for_each_piece(
    request: Request,
    mut sink: impl FnMut(&[u8]) -> Result<ControlFlow<()>, OutOfMemory>,
) -> Result<(), Unreadable> {
    let Some(body) = structure(request) else { return Ok(()) };
    // SAFETY: the structure and its buffers live in the request's pool.
    let bufs = unsafe { Chain::from_ptr((*body).bufs) };
    for buf in bufs.bufs() {
        let flow = match buf.get().in_file() != 0 && buf.memory().is_empty() {
            true => for_each_piece_of_file(&buf, &mut sink)?,
            false => sink(buf.memory())?,
        };
        if flow.is_break() {
            break;
        }
    }
    Ok(())
}

fn for_each_piece_of_file(
    buf: &Buf,
    sink: &mut impl FnMut(&[u8]) -> Result<ControlFlow<()>, OutOfMemory>,
) -> Result<ControlFlow<()>, Unreadable> {
    let mut piece = codec::fallible::with_capacity(PIECE)?;
    let (mut at, end) = (buf.get().file_pos, buf.get().file_last);
    while at < end {
        read_at(buf, at, end, &mut piece)?;
        at += piece.len() as i64;
        if sink(&piece)?.is_break() {
            return Ok(ControlFlow::Break(()));
        }
    }
    Ok(ControlFlow::Continue(()))
}

/// Reads what is in the file between `at` and `end`, or the first part of it, into `piece`.
fn read_at(buf: &Buf, at: i64, end: i64, piece: &mut Vec<u8>) -> Result<(), Unreadable> {
    piece.clear();
    let wanted = usize::try_from(end - at).unwrap_or(PIECE).min(piece.capacity());
    // SAFETY: a buffer in a file has that file, which is open as long as the body is there; the
    // kernel writes into the spare capacity, and no more than is wanted.
    let n = unsafe {
        let fd = (*buf.get().file).fd;
        libc::pread(fd, piece.spare_capacity_mut().as_mut_ptr().cast(), wanted, at)
    };
    match usize::try_from(n) {
        Ok(0) => Err(Unreadable::File(0)),
        Ok(n) => {
            // SAFETY: the kernel has written that many bytes.
            unsafe { piece.set_len(n.min(wanted)) };
            Ok(())
        }
        Err(_) => Err(Unreadable::File(ngx_errno())),
    }
}
