//! The request's headers, for subrequests.

use std::ffi::c_void;

use crate::nginx::core::pool::OutOfMemory;
use crate::nginx::core::strings;
use crate::nginx::http::configuration::Configuration;
use crate::nginx::http::headers::list::HeaderList;
use crate::nginx::http::headers_in;
use crate::nginx::http::request::Request;
use crate::nginx::sys::{
    ngx_hash_find, ngx_http_core_main_conf_t, ngx_http_header_t, ngx_http_request_t, ngx_int_t,
    ngx_str_t, ngx_table_elt_t,
};

/// A handler of a request header in nginx's table.
type Handler =
    unsafe extern "C" fn(*mut ngx_http_request_t, *mut ngx_table_elt_t, usize) -> ngx_int_t;

/// Copies the headers of `from` to `to`, except for those that frame the body.
///
/// # Errors
/// Out of memory.
pub fn copy(from: Request, to: Request) -> Result<(), OutOfMemory> {
    // SAFETY: two live requests, which share one pool: so values need no copies.
    unsafe {
        (*to.as_ptr()).headers_in.server = from.get().headers_in.server;
        if let Some(name) = headers_in::authority(&from) {
            add_named(to, b"Host", b"host", name)?;
        }
        for header in list_of(from)?.nodes() {
            let frames_body =
                header.is_named(b"content-length") || header.is_named(b"transfer-encoding");
            if header.is_hidden() || frames_body {
                continue;
            }
            let copy = push(to, *header.as_ptr())?;
            if std::ptr::eq(header.as_ptr(), from.get().headers_in.user_agent) {
                (*to.as_ptr()).headers_in.user_agent = copy;
                copy_browser(from, to);
            } else {
                process(to, copy)?;
            }
        }
    }
    Ok(())
}

/// Adds the header that frames a body of `length` bytes.
pub fn set_content_length(request: Request, length: i64) -> Result<(), OutOfMemory> {
    let value = request.pool().copy_str(itoa::Buffer::new().format(length).as_bytes())?;
    // SAFETY: the value is in the request's pool; a plain field of a live request.
    unsafe {
        add_named(request, b"Content-Length", b"content-length", value)?;
        (*request.as_ptr()).headers_in.content_length_n = length;
    }
    Ok(())
}

/// Adds the header `name`, which is `lowcase` in lower case.
///
/// # Safety
/// The value must live in the request's pool.
unsafe fn add_named(
    request: Request,
    name: &[u8],
    lowcase: &[u8],
    value: ngx_str_t,
) -> Result<(), OutOfMemory> {
    let pool = request.pool();
    // SAFETY: zero is a valid header node; every field that nginx reads is set.
    unsafe {
        let mut header: ngx_table_elt_t = std::mem::zeroed();
        header.hash = codec::headers::lowcase_hash(lowcase);
        header.key = pool.copy_str(name)?;
        header.value = value;
        header.lowcase_key = pool.copy_str(lowcase)?.data;
        process(request, push(request, header)?)
    }
}

/// Copies what nginx has found in the User-Agent header: it would look for the same names again.
fn copy_browser(from: Request, to: Request) {
    let from = &from.get().headers_in;
    // SAFETY: plain fields of a live request.
    unsafe {
        let to = &mut (*to.as_ptr()).headers_in;
        to.set_msie(from.msie());
        to.set_msie6(from.msie6());
        to.set_opera(from.opera());
        to.set_gecko(from.gecko());
        to.set_chrome(from.chrome());
        to.set_safari(from.safari());
        to.set_konqueror(from.konqueror());
    }
}

/// Adds a header.
///
/// # Safety
/// The header's strings must live in the request's pool.
unsafe fn push(
    request: Request,
    header: ngx_table_elt_t,
) -> Result<*mut ngx_table_elt_t, OutOfMemory> {
    let node = list_of(request)?.push_blank()?.as_ptr();
    // SAFETY: a fresh node of the list.
    unsafe {
        (*node).hash = header.hash;
        (*node).key = header.key;
        (*node).value = header.value;
        (*node).lowcase_key = header.lowcase_key;
    }
    Ok(node)
}

/// Lets nginx process a header as it does with those from a client; but those that it refuses, for
/// which it would end the request, are only in the list.
///
/// # Safety
/// `node` must be one of the request's list.
unsafe fn process(request: Request, node: *mut ngx_table_elt_t) -> Result<(), OutOfMemory> {
    // SAFETY: the header is one of the request, the contract of this function; nginx's table of
    // known headers says how each is processed, and which field of `headers_in` begins with a
    // pointer for it.
    unsafe {
        let r = request.as_ptr();
        if (*node).lowcase_key.is_null() {
            return Ok(());
        }
        let lowcase = strings::raw((*node).lowcase_key, (*node).key.len);
        let Some(known) = known_header(request, (*node).hash, lowcase) else { return Ok(()) };
        if lowcase == b"host" {
            // nginx's own handler would look for a server, and may end the request.
            (*r).headers_in.host = node;
            return Ok(());
        }
        let Some(file) = known.handler else { return Ok(()) };
        if known.offset == 0 {
            // Without a field (Proxy-Connection), there is nothing but a reason to refuse.
            return Ok(());
        }
        let headers = &raw mut (*r).headers_in;
        let field: *mut *mut c_void = headers.cast::<u8>().add(known.offset).cast();
        if !(*field).is_null() && comes_once(request, file) {
            return Ok(());
        }
        if file(r, node, known.offset) == 0 { Ok(()) } else { Err(OutOfMemory) }
    }
}

/// Whether `file` is nginx's handler of headers that must not come twice, which Content-Length is
/// in all versions.
fn comes_once(request: Request, file: Handler) -> bool {
    let name = b"content-length";
    known_header(request, codec::headers::lowcase_hash(name), name)
        .and_then(|known| known.handler)
        .is_some_and(|once| std::ptr::fn_addr_eq(once, file))
}

/// What nginx knows of the header `lowcase`, which is in lower case.
fn known_header(request: Request, hash: usize, lowcase: &[u8]) -> Option<&ngx_http_header_t> {
    // SAFETY: nginx's table of known headers lives as long as the configuration; the name is only
    // read.
    unsafe {
        let conf: *mut ngx_http_core_main_conf_t = Configuration::of(request).core_main();
        let table = &raw mut (*conf).headers_in_hash;
        ngx_hash_find(table, hash, lowcase.as_ptr().cast_mut(), lowcase.len())
            .cast::<ngx_http_header_t>()
            .as_ref()
    }
}

fn list_of(request: Request) -> Result<HeaderList, OutOfMemory> {
    // SAFETY: the header list of a live request.
    unsafe { HeaderList::from_ptr(&raw mut (*request.as_ptr()).headers_in.headers) }
        .ok_or(OutOfMemory)
}
