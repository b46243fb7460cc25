//! The pointers in a request's structures to memory that is moved (`memory.rs`).

use super::memory::Moved;
use crate::nginx::http::configuration::Configuration;
use crate::nginx::http::request::Request;
use crate::nginx::sys::{ngx_http_request_t, ngx_list_t, ngx_str_t, ngx_table_elt_t};

/// Has the pointers in `r` point to the new places.
///
/// # Safety
/// `r` must be a live request, whose pool has what it refers to, except for what is moved.
pub(super) unsafe fn adjust(moved: &Moved, r: *mut ngx_http_request_t) {
    // SAFETY: plain fields of a live request, the contract of this function.
    unsafe {
        for text in [
            &raw mut (*r).request_line,
            &raw mut (*r).uri,
            &raw mut (*r).args,
            &raw mut (*r).exten,
            &raw mut (*r).unparsed_uri,
            &raw mut (*r).method_name,
            &raw mut (*r).http_protocol,
            &raw mut (*r).schema,
            &raw mut (*r).headers_in.server,
            &raw mut (*r).headers_in.user,
            &raw mut (*r).headers_in.passwd,
            &raw mut (*r).headers_out.status_line,
            &raw mut (*r).headers_out.content_type,
            &raw mut (*r).headers_out.charset,
        ] {
            adjust_text(moved, text);
        }
        for at in [
            &raw mut (*r).header_name_start,
            &raw mut (*r).header_name_end,
            &raw mut (*r).header_start,
            &raw mut (*r).header_end,
            &raw mut (*r).uri_start,
            &raw mut (*r).uri_end,
            &raw mut (*r).uri_ext,
            &raw mut (*r).args_start,
            &raw mut (*r).request_start,
            &raw mut (*r).request_end,
            &raw mut (*r).method_end,
            &raw mut (*r).schema_start,
            &raw mut (*r).schema_end,
            &raw mut (*r).host_start,
            &raw mut (*r).host_end,
        ] {
            *at = moved.place(*at);
        }
        #[cfg(ngx_feature = "pcre")]
        {
            (*r).captures_data = moved.place((*r).captures_data);
        }
        // nginx and its modules do not set `lowcase_key` in all response headers: it may hold
        // anything.
        adjust_list(moved, &raw mut (*r).headers_in.headers, true);
        adjust_list(moved, &raw mut (*r).headers_out.headers, false);
        adjust_list(moved, &raw mut (*r).headers_out.trailers, false);
        adjust_variables(moved, r);
        adjust_body(moved, r);
    }
}

/// # Safety
/// `text` must point to a live string.
unsafe fn adjust_text(moved: &Moved, text: *mut ngx_str_t) {
    // SAFETY: the string is live, the contract of this function.
    unsafe { (*text).data = moved.place((*text).data) }
}

/// Adjusts the headers of a list; with `lower`, their names in lower case too.
///
/// # Safety
/// `list` must be a live list of headers, or one that nginx has not made yet.
unsafe fn adjust_list(moved: &Moved, list: *mut ngx_list_t, lower: bool) {
    // SAFETY: nginx's list, whose parts have `nelts` headers each.
    unsafe {
        let mut part = &raw mut (*list).part;
        while !part.is_null() {
            let headers: *mut ngx_table_elt_t = (*part).elts.cast();
            let count = if headers.is_null() { 0 } else { (*part).nelts };
            for index in 0..count {
                let header = headers.add(index);
                adjust_text(moved, &raw mut (*header).key);
                adjust_text(moved, &raw mut (*header).value);
                if lower {
                    (*header).lowcase_key = moved.place((*header).lowcase_key);
                }
            }
            part = (*part).next;
        }
    }
}

/// The values of variables that nginx keeps with the request.
///
/// # Safety
/// `r` must be a live request.
unsafe fn adjust_variables(moved: &Moved, r: *mut ngx_http_request_t) {
    // SAFETY: nginx sizes the array by the number of variables that the configuration has.
    unsafe {
        let Some(request) = Request::from_ptr(r) else { return };
        let Some(main) = Configuration::of(request).core_main().as_ref() else { return };
        if (*r).variables.is_null() {
            return;
        }
        for index in 0..main.variables.nelts {
            let value = (*r).variables.add(index);
            (*value).data = moved.place((*value).data);
        }
    }
}

/// The part of the request body that came with the header, and the log of the body's file.
///
/// # Safety
/// `r` must be a live request.
unsafe fn adjust_body(moved: &Moved, r: *mut ngx_http_request_t) {
    // SAFETY: nginx's record of the body, with its chain of buffers; the record's own buffer may be
    // one of them: what has been moved is not moved again.
    unsafe {
        let Some(body) = (*r).request_body.as_mut() else { return };
        let mut next = body.bufs;
        while let Some(link) = next.as_ref() {
            moved.adjust_buffer(link.buf);
            next = link.next;
        }
        if !body.buf.is_null() {
            moved.adjust_buffer(body.buf);
        }
        if let Some(temp) = body.temp_file.as_mut() {
            temp.file.log = (*(*r).connection).log;
        }
    }
}
