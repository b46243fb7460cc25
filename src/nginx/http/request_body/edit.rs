//! Replacing the request body, whole or piece by piece.
//!
//! Everything that can fail happens before the old body is touched, so an error leaves it as it
//! was. The length in the request's headers is always updated; a subrequest must be given headers
//! of its own first. A body that others have too (a subrequest and its parent, an upstream that
//! sends it) stays theirs.

use std::ffi::c_void;
use std::fs::File;
use std::ops::Range;
use std::os::fd::{FromRawFd, IntoRawFd};
use std::ptr::{fn_addr_eq, null_mut};

use codec::fallible::{self, Shown};

use crate::nginx::core::buf::Buf;
use crate::nginx::core::log::{Level, Line};
use crate::nginx::core::pool::{OutOfMemory, Pool};
use crate::nginx::http::configuration::Configuration;
use crate::nginx::http::request::Request;
use crate::nginx::http::request_body::structure;
use crate::nginx::http::send::tag;
use crate::nginx::http::variable;
use crate::nginx::sys::{
    NGX_INVALID_FILE as INVALID_FILE, ngx_alloc_chain_link, ngx_buf_t, ngx_buf_tag_t, ngx_chain_t,
    ngx_create_temp_buf, ngx_http_request_body_t, ngx_list_push, ngx_pfree, ngx_pool_cleanup_add,
    ngx_pool_cleanup_file, ngx_pool_cleanup_file_t, ngx_pool_cleanup_t, ngx_pool_delete_file,
    ngx_str_t, ngx_table_elt_t, ngx_temp_file_t, ngx_write_chain_to_temp_file,
};

/// Why the body could not be changed; the texts are the C module's.
#[derive(Debug)]
pub enum BodyError {
    Discarded,
    Unread,
    NotInitialized,
    NoMemory,
    /// A file could not be opened: what failed, and the file's name.
    File(&'static str, Vec<u8>),
    Write,
}

impl BodyError {
    pub fn message(&self) -> Vec<u8> {
        match self {
            BodyError::Discarded => b"request body already discarded asynchronously".into(),
            BodyError::Unread => b"request body not read yet".into(),
            BodyError::NotInitialized => b"request_body not initialized".into(),
            BodyError::NoMemory => b"no memory".into(),
            BodyError::File(what, name) => {
                let pieces = [what.as_bytes(), b" \"", name, b"\" failed"];
                fallible::concat(&pieces).unwrap_or_else(|_| fallible::reason(what.as_bytes()))
            }
            BodyError::Write => b"fail to write file".into(),
        }
    }
}

impl From<OutOfMemory> for BodyError {
    fn from(_: OutOfMemory) -> Self {
        BodyError::NoMemory
    }
}

type Structure = *mut ngx_http_request_body_t;

/// The structure for a new body, provided that the old one has been read and not discarded: the
/// request's own, whose memory and file are given back then, or an empty one if others have the
/// body too: the request's parent, one of `subrequests`, or an upstream, which sends the same
/// memory and file. The caller puts it into the request.
fn replaceable(request: Request, subrequests: &[Request]) -> Result<Structure, BodyError> {
    if request.is_discarding_body() {
        return Err(BodyError::Discarded);
    }
    let body = structure(request).ok_or(BodyError::Unread)?;
    let r = request.get();
    let is_sent = !r.upstream.is_null() && r.reading_body() == 0;
    // SAFETY: a subrequest's parent lives as long as it does, and so do subrequests under way; zero
    // is a valid structure.
    unsafe {
        let with_parent = r.parent.as_ref().is_some_and(|parent| shares(parent.request_body, body));
        let with_subrequest = || subrequests.iter().any(|sub| shares(sub.get().request_body, body));
        if is_sent || with_parent || with_subrequest() {
            return Ok(request.pool().zeroed::<ngx_http_request_body_t>()?.as_ptr());
        }
    }
    Ok(body)
}

/// Whether two bodies are one, or are in one file.
///
/// # Safety
/// Each must be null or a live request's.
unsafe fn shares(one: Structure, other: Structure) -> bool {
    // SAFETY: null, or live with its file, the contract of this function.
    let file = |body: Structure| unsafe { Some(body.as_ref()?.temp_file.as_ref()?.file.fd) };
    one == other || file(one).is_some_and(|fd| fd != INVALID_FILE && file(other) == Some(fd))
}

/// A list of one buffer, both fresh; the buffer is all zero.
fn fresh_link(pool: Pool) -> Result<(*mut ngx_chain_t, *mut ngx_buf_t), OutOfMemory> {
    // SAFETY: a live pool; zero is a valid buffer.
    unsafe {
        let buf = pool.zeroed::<ngx_buf_t>()?.as_ptr();
        Ok((link_to(pool, buf)?, buf))
    }
}

/// # Safety
/// `buf` must live in `pool`.
unsafe fn link_to(pool: Pool, buf: *mut ngx_buf_t) -> Result<*mut ngx_chain_t, OutOfMemory> {
    // SAFETY: the pool is live, and the buffer in it, the contract of this function; the link is
    // fresh.
    unsafe {
        let link = ngx_alloc_chain_link(pool.as_ptr()).as_mut().ok_or(OutOfMemory)?;
        link.buf = buf;
        link.next = null_mut();
        Ok(link)
    }
}

/// Replaces the body by a copy of `data`. Here and below, `subrequests` are those under way, which
/// may have been given the old one.
pub fn set_data(request: Request, subrequests: &[Request], data: &[u8]) -> Result<(), BodyError> {
    let body = replaceable(request, subrequests)?;
    let pool = request.pool();
    let new = if data.is_empty() {
        None
    } else {
        let (link, buf) = fresh_link(pool)?;
        Some((link, buf, pool.copy_str(data)?))
    };
    let length = Length::prepare(request, data.len() as u64)?;
    // SAFETY: the structures live in the request's pool; the new buffer is ours alone.
    unsafe {
        (*request.as_ptr()).request_body = body;
        close_temp_file(pool, body);
        free_own_buffers(request, subrequests, body);
        (*body).bufs = null_mut();
        (*body).buf = null_mut();
        if let Some((link, buf, text)) = new {
            (*buf).start = text.data;
            (*buf).pos = text.data;
            (*buf).last = text.data.add(text.len);
            (*buf).end = (*buf).last;
            (*buf).set_temporary(1);
            (*buf).tag = tag();
            (*body).bufs = link;
            (*body).buf = buf;
        }
        length.set(request);
    }
    Ok(())
}

/// Replaces the body by what the file `name` holds now. With `delete`, nginx deletes the file when
/// the request ends.
pub fn set_file(
    request: Request,
    subrequests: &[Request],
    name: &[u8],
    delete: bool,
) -> Result<(), BodyError> {
    let body = replaceable(request, subrequests)?;
    let pool = request.pool();
    let (link, buf) = fresh_link(pool)?;
    // SAFETY: zero is a valid structure, and filled below; the cleanup has no handler yet.
    let (temp, cleanup) = unsafe {
        let temp = pool.zeroed::<ngx_temp_file_t>()?.as_ptr();
        let size = size_of::<ngx_pool_cleanup_file_t>();
        let cleanup = ngx_pool_cleanup_add(pool.as_ptr(), size);
        (temp, cleanup.as_mut().ok_or(OutOfMemory)?)
    };
    let stored = pool.copy_str(name)?;
    let (file, size) = open(name)?;
    let length = Length::prepare(request, size)?;
    // SAFETY: as in `set_data`; nginx closes the descriptor with the pool.
    unsafe {
        (*request.as_ptr()).request_body = body;
        close_temp_file(pool, body);
        free_own_buffers(request, subrequests, body);
        (*temp).file.fd = INVALID_FILE;
        (*temp).file.name = stored;
        (*temp).file.log = request.log().as_ptr();
        (*body).temp_file = temp;
        (*body).bufs = null_mut();
        (*body).buf = null_mut();
        if size == 0 {
            drop(file);
            if delete {
                delete_file(request, name);
            }
        } else {
            (*temp).file.fd = file.into_raw_fd();
            close_with_pool(cleanup, pool, &(*temp).file, delete);
            (*buf).tag = tag();
            (*buf).set_in_file(1);
            (*buf).set_last_in_chain(1);
            (*buf).file = &mut (*temp).file;
            (*buf).file_last = size as i64;
            (*body).bufs = link;
        }
        length.set(request);
    }
    Ok(())
}

/// Opens a plain file and tells its size.
fn open(name: &[u8]) -> Result<(File, u64), BodyError> {
    let failed = |what| BodyError::File(what, fallible::reason(name));
    if name.contains(&0) {
        return Err(failed("stat()"));
    }
    // The standard library would copy a long name infallibly.
    let path = fallible::c_string(name)?;
    // Not to hang on a pipe; no effect on plain files.
    let flags = libc::O_RDONLY | libc::O_CLOEXEC | libc::O_NONBLOCK;
    // SAFETY: the name ends with a NUL; zero is a valid `stat`; the descriptor is the `File`'s.
    let file = unsafe {
        let mut info: libc::stat = std::mem::zeroed();
        if libc::stat(path.as_ptr(), &mut info) != 0 {
            return Err(failed("stat()"));
        }
        let fd = libc::open(path.as_ptr(), flags);
        if fd < 0 {
            return Err(failed("open()"));
        }
        File::from_raw_fd(fd)
    };
    let metadata = file.metadata().map_err(|_| failed("fstat()"))?;
    if metadata.is_dir() {
        return Err(failed("reading the directory"));
    }
    Ok((file, metadata.len()))
}

fn delete_file(request: Request, name: &[u8]) {
    let Ok(path) = fallible::c_string(name) else { return };
    // SAFETY: a string ended by NUL.
    if unsafe { libc::unlink(path.as_ptr()) } != 0 && crate::nginx::sys::ngx_errno() != libc::ENOENT
    {
        let errno = crate::nginx::sys::ngx_errno();
        let mut line = Line::new();
        line.add(format_args!("unlink() \"{}\" failed", Shown(name)));
        request.log().write_errno(Level::Crit, errno, line.bytes());
    }
}

/// # Safety
/// `cleanup` must be fresh, with room for nginx's file record; `file` open and in `pool`.
unsafe fn close_with_pool(
    cleanup: &mut ngx_pool_cleanup_t,
    pool: Pool,
    file: &crate::nginx::sys::ngx_file_t,
    delete: bool,
) {
    // SAFETY: the arguments are live and this request's, the contract of this function.
    unsafe {
        let record: *mut ngx_pool_cleanup_file_t = cleanup.data.cast();
        (*record).fd = file.fd;
        (*record).name = file.name.data;
        (*record).log = (*pool.as_ptr()).log;
    }
    cleanup.handler = Some(if delete { ngx_pool_delete_file } else { ngx_pool_cleanup_file });
}

/// Starts a body of pieces, kept in memory up to `size` bytes (`None`: as many as
/// `client_body_buffer_size` says); 0: in a file at once.
pub fn start(
    request: Request,
    subrequests: &[Request],
    size: Option<usize>,
) -> Result<(), BodyError> {
    let body = replaceable(request, subrequests)?;
    let pool = request.pool();
    // SAFETY: the structures live in the request's pool, the configuration as long as the cycle.
    unsafe {
        let size =
            size.unwrap_or((*Configuration::of(request).core_location()).client_body_buffer_size);
        let buf = ngx_create_temp_buf(pool.as_ptr(), size);
        if buf.is_null() {
            return Err(BodyError::NoMemory);
        }
        let link = link_to(pool, buf)?;
        let r = request.as_ptr();
        if size == 0 {
            (*r).set_request_body_in_file_only(1);
        }
        (*r).set_request_body_in_clean_file(1);
        (*r).headers_in.content_length_n = 0;
        (*r).request_body = body;
        close_temp_file(pool, body);
        free_own_buffers(request, subrequests, body);
        (*body).buf = buf;
        (*body).bufs = link;
    }
    Ok(())
}

/// The body that [`start`] began.
fn started(request: Request) -> Result<Structure, BodyError> {
    let body = structure(request).ok_or(BodyError::NotInitialized)?;
    // SAFETY: it lives in the request's pool.
    let ready = unsafe { !(*body).buf.is_null() && !(*body).bufs.is_null() };
    if ready { Ok(body) } else { Err(BodyError::NotInitialized) }
}

/// Adds a piece; what does not fit into memory goes to a temporary file.
pub fn append(request: Request, data: &[u8]) -> Result<(), BodyError> {
    let body = started(request)?;
    if request.get().request_body_in_file_only() != 0 {
        // SAFETY: buffer and list live for the call, during which nginx writes them to the file.
        unsafe {
            let mut buf: ngx_buf_t = std::mem::zeroed();
            buf.start = data.as_ptr().cast_mut();
            buf.pos = buf.start;
            buf.last = buf.start.add(data.len());
            buf.end = buf.last;
            buf.set_memory(1);
            let mut link = ngx_chain_t { buf: &mut buf, next: null_mut() };
            write(request, body, &mut link)?;
            (*request.as_ptr()).headers_in.content_length_n += data.len() as i64;
        }
        return Ok(());
    }
    let mut rest = data;
    while !rest.is_empty() {
        // SAFETY: the buffer is the one that `start` made, with room from `last` to `end`.
        unsafe {
            let buf = (*body).buf;
            if (*buf).last == (*buf).end {
                write(request, body, (*body).bufs)?;
                (*buf).last = (*buf).start;
            }
            let room = (*buf).end.offset_from((*buf).last).max(0) as usize;
            let (piece, more) = rest.split_at(room.min(rest.len()));
            if piece.is_empty() {
                return Err(BodyError::NotInitialized);
            }
            std::ptr::copy_nonoverlapping(piece.as_ptr(), (*buf).last, piece.len());
            (*buf).last = (*buf).last.add(piece.len());
            (*request.as_ptr()).headers_in.content_length_n += piece.len() as i64;
            rest = more;
        }
    }
    Ok(())
}

/// Ends the new body, and gives it to the request.
pub fn finish(request: Request) -> Result<(), BodyError> {
    let body = started(request)?;
    let pool = request.pool();
    let total = u64::try_from(request.get().headers_in.content_length_n).unwrap_or(0);
    // SAFETY: the structures live in the request's pool.
    unsafe {
        if (*body).temp_file.is_null() {
            Length::prepare(request, total)?.set(request);
            if total == 0 {
                // nginx's filters log an alert for an empty buffer.
                (*body).bufs = null_mut();
            }
        } else {
            let buf = pool.zeroed::<ngx_buf_t>()?.as_ptr();
            write(request, body, (*body).bufs)?;
            Length::prepare(request, total)?.set(request);
            (*buf).set_in_file(1);
            (*buf).file = &mut (*(*body).temp_file).file;
            (*buf).file_last = (*(*body).temp_file).file.offset;
            (*(*body).bufs).buf = buf;
            (*(*body).bufs).next = null_mut();
            (*body).buf = null_mut();
        }
    }
    Ok(())
}

/// Writes a list of memory buffers to the body's temporary file, made at the first call.
///
/// # Safety
/// `body` must be the request's, `chain` live.
unsafe fn write(
    request: Request,
    body: Structure,
    chain: *mut ngx_chain_t,
) -> Result<(), BodyError> {
    // SAFETY: the arguments are live and this request's, the contract of this function.
    unsafe {
        if (*body).temp_file.is_null() {
            (*body).temp_file = new_temp_file(request)?;
        }
        let temp = (*body).temp_file;
        let written = ngx_write_chain_to_temp_file(temp, chain);
        if written < 0 {
            return Err(BodyError::Write);
        }
        (*temp).offset += written as i64;
    }
    Ok(())
}

/// A temporary file as nginx makes one for a body; it is created with the first write.
fn new_temp_file(request: Request) -> Result<*mut ngx_temp_file_t, OutOfMemory> {
    let r = request.get();
    // SAFETY: zero is a valid structure; path and pool outlive the request.
    unsafe {
        let temp = request.pool().zeroed::<ngx_temp_file_t>()?.as_ptr();
        (*temp).file.fd = INVALID_FILE;
        (*temp).file.log = request.log().as_ptr();
        (*temp).path = (*Configuration::of(request).core_location()).client_body_temp_path;
        (*temp).pool = r.pool;
        let warning = c"a client request body is buffered to a temporary file";
        (*temp).warn = warning.as_ptr().cast_mut();
        (*temp).set_log_level(r.request_body_file_log_level());
        (*temp).set_persistent(1);
        (*temp).set_clean(1);
        if r.request_body_file_group_access() != 0 {
            (*temp).access = 0o660;
        }
        Ok(temp)
    }
}

/// Closes the body's file now, and deletes it if nginx would have done so at the request's end.
///
/// # Safety
/// `body` must be that of the request with this pool.
unsafe fn close_temp_file(pool: Pool, body: Structure) {
    // SAFETY: the body is of a request with this pool, the contract of this function; a pool's list
    // of cleanups ends with null.
    unsafe {
        let temp = std::mem::replace(&mut (*body).temp_file, null_mut());
        let Some(temp) = temp.as_mut() else { return };
        let fd = std::mem::replace(&mut temp.file.fd, INVALID_FILE);
        let mut next = (*pool.as_ptr()).cleanup;
        while let Some(cleanup) = next.as_mut() {
            next = cleanup.next;
            if fd != INVALID_FILE && closes(cleanup, fd) {
                if let Some(handler) = cleanup.handler.take() {
                    handler(cleanup.data);
                }
                return;
            }
        }
    }
}

/// Whether a cleanup closes the descriptor `fd`.
///
/// # Safety
/// `cleanup` must be one of a live pool's.
unsafe fn closes(cleanup: &ngx_pool_cleanup_t, fd: i32) -> bool {
    type CleanupHandler = unsafe extern "C" fn(*mut c_void);
    let Some(handler) = cleanup.handler else { return false };
    if !fn_addr_eq(handler, ngx_pool_cleanup_file as CleanupHandler)
        && !fn_addr_eq(handler, ngx_pool_delete_file as CleanupHandler)
    {
        return false;
    }
    // SAFETY: the data of these two handlers is nginx's record of a file.
    unsafe { (*cleanup.data.cast::<ngx_pool_cleanup_file_t>()).fd == fd }
}

/// Frees memory that an earlier replacement has taken, unless a variable of the request, or of one of its
/// `subrequests` under way, is in it.
///
/// # Safety
/// `body` must be that of `request`.
unsafe fn free_own_buffers(request: Request, subrequests: &[Request], body: Structure) {
    let is_read = |memory: &Range<*mut u8>| {
        variable::is_within(request, memory)
            || subrequests.iter().any(|sub| variable::is_within(*sub, memory))
    };
    // SAFETY: the body is that of a live request, the contract of this function; our tag is only on
    // buffers whose memory this file took from the pool.
    unsafe {
        let mut next = (*body).bufs;
        while let Some(link) = next.as_mut() {
            next = link.next;
            let buf = &mut *link.buf;
            if buf.tag == tag() && buf.temporary() != 0 && !is_read(&(buf.start..buf.end)) {
                ngx_pfree(request.pool().as_ptr(), buf.start.cast());
                buf.tag = null_mut();
                buf.set_temporary(0);
            }
        }
    }
}

/// Keeps the memory of one buffer of a body as long as it lives, even if the body is replaced meanwhile.
pub struct Kept {
    buf: *mut ngx_buf_t,
    tag: ngx_buf_tag_t,
}

impl Kept {
    pub fn new(buf: Buf) -> Kept {
        let buf = buf.as_ptr();
        // SAFETY: a live buffer, to whose fields no reference exists; `free_own_buffers` leaves one
        // without our tag.
        let tag = unsafe { std::mem::replace(&mut (*buf).tag, null_mut()) };
        Kept { buf, tag }
    }
}

impl Drop for Kept {
    fn drop(&mut self) {
        // SAFETY: as in `new`; the buffer is its request's until that ends.
        unsafe { (*self.buf).tag = self.tag }
    }
}

/// A new length for the request's headers, with the memory for it. To be made last, because it may
/// add a node to the list that must be filled.
struct Length {
    bytes: u64,
    text: ngx_str_t,
    /// The header to set: the existing one, or a new one at the list's end.
    header: *mut ngx_table_elt_t,
}

impl Length {
    fn prepare(request: Request, bytes: u64) -> Result<Length, OutOfMemory> {
        let text = request.pool().copy_str(itoa::Buffer::new().format(bytes).as_bytes())?;
        // SAFETY: a live request's list; `set` fills the fresh node before anyone looks.
        unsafe {
            let headers = &mut (*request.as_ptr()).headers_in;
            let mut header = headers.content_length;
            if header.is_null() {
                header = ngx_list_push(&mut headers.headers).cast();
                if header.is_null() {
                    return Err(OutOfMemory);
                }
                std::ptr::write_bytes(header, 0, 1);
            }
            Ok(Length { bytes, text, header })
        }
    }

    /// # Safety
    /// `request` must be the one that it was prepared for.
    unsafe fn set(self, request: Request) {
        const NAME: &[u8] = b"Content-Length";
        const LOWER: &[u8] = b"content-length";
        // SAFETY: the arguments are live and this request's, the contract of this function.
        unsafe {
            let headers = &mut (*request.as_ptr()).headers_in;
            headers.content_length_n = self.bytes as i64;
            let header = &mut *self.header;
            if headers.content_length.is_null() {
                header.hash = codec::headers::lowcase_hash(NAME);
                header.key = crate::nginx::core::strings::borrowed(NAME);
                header.lowcase_key = LOWER.as_ptr().cast_mut();
                headers.content_length = header;
            }
            header.value = self.text;
        }
    }
}
