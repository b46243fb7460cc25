//! Where a line of the error log comes from: what nginx adds to the text of a line, as fields.

use std::sync::atomic::{AtomicUsize, Ordering};

use crate::nginx::core::log::{Line, Log};
use crate::nginx::core::strings;
use crate::nginx::event::server_log;
use crate::nginx::http::configuration::Configuration;
use crate::nginx::http::log_context;
use crate::nginx::http::request::Request;
use crate::nginx::sys::{
    ngx_connection_t, ngx_http_get_indexed_variable, ngx_http_log_ctx_t, ngx_log_t,
};

/// The fields; empty where there is nothing.
#[derive(Default)]
pub struct Origin<'a> {
    pub client: &'a [u8],
    pub server: &'a [u8],
    /// The request line.
    pub line: &'a [u8],
    /// The URI of the subrequest, if it is one.
    pub subrequest: &'a [u8],
    pub upstream: Line,
    pub host: &'a [u8],
    pub referrer: &'a [u8],
    /// What nginx is doing.
    pub action: &'a [u8],
    /// What a log of another kind adds.
    pub other: Line,
    /// The request or subrequest.
    pub request: Option<Request>,
}

/// The address of nginx's function that adds a client's request to a line; 0 until that is known.
static OF_CLIENTS: AtomicUsize = AtomicUsize::new(0);

/// Notes, from a client's request, which handler nginx gives the logs of clients' connections: by
/// it, [`Origin::of`] knows them.
pub fn learn(request: Request) {
    // SAFETY: a live request and its connection; the data of the log of a client's connection is
    // nginx's context of it.
    unsafe {
        let log = &*(*request.connection()).log;
        let context = log.data.cast::<ngx_http_log_ctx_t>().as_ref();
        let is_of = context.is_some_and(|context| context.connection == request.connection());
        if let (true, Some(handler)) = (is_of, log.handler) {
            OF_CLIENTS.store(handler as usize, Ordering::Relaxed);
        }
    }
}

impl Origin<'_> {
    /// The fields for a line that goes to `log`. Their bytes live as long as the log's connection
    /// and request.
    pub fn of(log: &Log) -> Origin<'_> {
        let mut origin = Origin::default();
        // SAFETY: a `Log` is null or live, and whoever gave it its handler keeps the data that
        // belongs to the handler.
        unsafe { origin.add(log.as_ptr()) }
        origin
    }

    /// The value of the variable with this index; `None` if it has none, or the line is of no
    /// client's request.
    pub fn variable(&self, index: usize) -> Option<&[u8]> {
        let main = self.request?.main();
        if main.get().variables.is_null() {
            return None;
        }
        // SAFETY: a live request, with nginx's table of variables.
        unsafe {
            let value = ngx_http_get_indexed_variable(main.as_ptr(), index).as_ref()?;
            let is_found = value.not_found() == 0 && value.valid() != 0;
            is_found.then(|| strings::raw(value.data, value.len() as usize))
        }
    }
}

impl<'a> Origin<'a> {
    /// # Safety
    /// `log` must be null or live, with live data.
    unsafe fn add(&mut self, log: *mut ngx_log_t) {
        // SAFETY: the log is live, the contract of this function; its handler tells of what type
        // its data is.
        unsafe {
            let Some(found) = log.as_ref() else { return };
            let Some(handler) = found.handler else { return };
            if handler as usize == OF_CLIENTS.load(Ordering::Relaxed) {
                self.add_action(found);
                self.add_client(&*found.data.cast());
            } else if let Some((server, behind)) = server_log::parts(found) {
                self.upstream = server;
                self.add(behind.as_ptr());
            } else if log_context::is_fake(handler) {
                self.add_action(found);
                self.add_fake(&*found.data.cast());
            } else {
                let mut buffer = [0; 1024];
                let end = handler(log, buffer.as_mut_ptr(), buffer.len());
                let len = end.offset_from(buffer.as_ptr()).max(0) as usize;
                self.other.append(buffer.get(..len).unwrap_or_default());
            }
        }
    }

    /// # Safety
    /// The action must be null or a text that lives.
    unsafe fn add_action(&mut self, log: &ngx_log_t) {
        if !log.action.is_null() {
            // SAFETY: the action is a C string that lives, the contract of this function.
            self.action = unsafe { std::ffi::CStr::from_ptr(log.action) }.to_bytes();
        }
    }

    /// # Safety
    /// What the context refers to must be live.
    unsafe fn add_client(&mut self, context: &'a ngx_http_log_ctx_t) {
        // SAFETY: nginx's context of the log of a client's connection, which is live; nginx takes a
        // request out of it before it frees that.
        unsafe {
            let c = &*context.connection;
            self.client = strings::bytes(c.addr_text);
            let Some(main) = Request::from_ptr(context.request).filter(|_| c.destroyed() == 0)
            else {
                if let Some(listening) = c.listening.as_ref() {
                    self.server = strings::bytes(listening.addr_text);
                }
                return;
            };
            self.server = strings::bytes((*Configuration::of(main).core_server()).server_name);
            self.line = strings::bytes(main.get().request_line);
            let headers = &main.get().headers_in;
            self.host = headers.host.as_ref().map_or(b"", |host| strings::bytes(host.value));
            self.referrer = headers.referer.as_ref().map_or(b"", |from| strings::bytes(from.value));
            let current = Request::from_ptr(context.current_request).unwrap_or(main);
            if current != main {
                self.subrequest = strings::bytes(current.get().uri);
            }
            self.add_upstream(current);
            self.request = Some(current);
        }
    }

    /// # Safety
    /// The request must be live.
    unsafe fn add_upstream(&mut self, request: Request) {
        // SAFETY: nginx's upstream of a live request.
        unsafe {
            let Some(upstream) = request.get().upstream.as_ref() else { return };
            let Some(name) = upstream.peer.name.as_ref() else { return };
            for piece in [upstream.schema, *name] {
                self.upstream.append(strings::bytes(piece));
            }
            if strings::bytes(*name).starts_with(b"unix:") {
                self.upstream.append(b":");
            }
            self.upstream.append(strings::bytes(upstream.uri));
        }
    }

    /// # Safety
    /// The connection must be that of a fake request.
    unsafe fn add_fake(&mut self, c: &'a ngx_connection_t) {
        self.client = b"";
        // SAFETY: the connection lives, the contract of this function, and its request lives until
        // the connection is marked as destroyed.
        unsafe {
            self.client = strings::bytes(c.addr_text);
            if let Some(listening) = c.listening.as_ref() {
                self.server = strings::bytes(listening.addr_text);
            }
            self.request = Request::from_ptr(c.data.cast()).filter(|_| c.destroyed() == 0);
        }
    }
}
