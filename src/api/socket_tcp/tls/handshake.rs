//! The handshake: at once on a connection that has had one, else a wait for the other side.
//!
//! Whatever fails in a handshake fails in its event, where the result has a place for OpenSSL's
//! number, even if it failed before the caller could yield.

use std::ffi::{CStr, CString, c_int};
use std::ptr::null_mut;
use std::rc::Rc;

use crate::api::socket_tcp::cancel::Waiting;
use crate::api::socket_tcp::connect::Stage;
use crate::api::socket_tcp::socket::{Socket, wake_with};
use crate::nginx::Level;
use crate::nginx::core::log::Shown;
use crate::nginx::event::stream::{Direction, Stream};
use crate::nginx::event::tls::{Connection, Handshake, Session};
use crate::nginx::sys::{EVP_PKEY, SSL_SESSION, stack_st_X509};
use crate::runtime::Task;
use crate::{ngx_debug, ngx_log};

/// What a handshake is to do. The pointers are null or live.
pub struct Wanted<'a> {
    /// The session to take up again.
    pub session: *mut SSL_SESSION,
    /// Whether the caller wants this connection's session.
    pub keep_session: bool,
    pub server_name: Option<&'a [u8]>,
    pub verify: bool,
    /// Whether to ask for the OCSP status of the server's certificate.
    pub status: bool,
    pub certificates: *mut stack_st_X509,
    pub key: *mut EVP_PKEY,
}

/// How far it has come.
pub enum Progress {
    Complete,
    /// The connection has had its handshake, and the caller has a session.
    Known,
    /// The caller yields.
    Waiting,
}

/// Why a handshake failed: OpenSSL's number of what is wrong with the certificate, or 0.
#[derive(Clone, Copy)]
pub struct Failure {
    pub code: c_int,
    pub text: &'static CStr,
}

/// A cosocket's last handshake.
#[derive(Default)]
pub struct Tls {
    verify: bool,
    keep_session: bool,
    /// The name that the certificate must be for; empty for any.
    host: Vec<u8>,
    failure: Option<Failure>,
    session: Kept,
}

/// The session that the caller wants.
#[derive(Default)]
enum Kept {
    #[default]
    None,
    Here(Session),
    /// Lua owns it, and may ask for it once more.
    Given(*mut SSL_SESSION),
}

impl Tls {
    fn begin(&mut self, wanted: &Wanted) {
        let host = wanted.server_name.unwrap_or_default().to_vec();
        let keep_session = wanted.keep_session || !wanted.session.is_null();
        *self = Tls { verify: wanted.verify, keep_session, host, ..Tls::default() };
    }

    /// How the last handshake ended; where it succeeded, its session, or null, which is the
    /// caller's from now on.
    pub fn take_result(&mut self) -> Result<*mut SSL_SESSION, Failure> {
        if let Some(failure) = self.failure {
            return Err(failure);
        }
        let session = match std::mem::take(&mut self.session) {
            Kept::None => return Ok(null_mut()),
            Kept::Here(session) => session.into_raw(),
            Kept::Given(session) => session,
        };
        self.session = Kept::Given(session);
        Ok(session)
    }

    fn save_session(&mut self, connection: Connection, stream: Stream) {
        if !self.keep_session {
            return;
        }
        let Some(session) = connection.session() else { return };
        ngx_debug!(stream.log(), "lua ssl save session: {:016X}", session.as_ptr() as usize);
        self.session = Kept::Here(session);
    }

    /// Whether the server is the one that was meant; logged where it is not.
    fn verify(&self, connection: Connection, socket: &Socket) -> Result<(), Failure> {
        if !self.verify {
            return Ok(());
        }
        let log = socket.request.get().log();
        if let Some(error) = connection.verify_error() {
            let failure = Failure { code: error.code, text: error.text };
            if socket.logs_errors() {
                let text = Shown(failure.text.to_bytes());
                ngx_log!(
                    log,
                    Level::Err,
                    "lua ssl certificate verify error: ({}: {text})",
                    failure.code
                );
            }
            return Err(failure);
        }
        if self.host.is_empty() || connection.is_for_host(&self.host) {
            return Ok(());
        }
        if socket.logs_errors() {
            let host = Shown(&self.host);
            ngx_log!(log, Level::Err, "lua ssl certificate does not match host \"{host}\"");
        }
        Err(Failure { code: 0, text: c"certificate host mismatch" })
    }
}

impl Socket {
    /// Begins a handshake for `task`.
    ///
    /// # Safety
    /// The pointers in `wanted` must be live, or null.
    pub unsafe fn handshake(
        self: &Rc<Self>,
        task: &Rc<Task>,
        wanted: &Wanted,
    ) -> Result<Progress, &'static CStr> {
        let stream = self.stream.get().ok_or(c"closed")?;
        if let Some(connection) = Connection::of(stream).filter(|c| c.is_established()) {
            if !wanted.session.is_null() {
                return Ok(Progress::Known);
            }
            let mut tls = self.tls.borrow_mut();
            tls.begin(wanted);
            tls.save_session(connection, stream);
            return Ok(Progress::Complete);
        }
        // SAFETY: the caller's.
        let connection = unsafe { self.put_tls_on(wanted) }?;
        self.tls.borrow_mut().begin(wanted);
        let progress = connection.handshake();
        ngx_debug!(self.request.get().log(), "ngx_ssl_handshake returned: {}", code(progress));
        match progress {
            Handshake::Done if !wanted.verify => {
                self.tls.borrow_mut().save_session(connection, stream);
                return Ok(Progress::Complete);
            }
            Handshake::Done | Handshake::Failed => stream.post_read(),
            Handshake::Waiting => {
                stream.clear_timer(Direction::Write);
                stream.set_timer(Direction::Read, self.timeouts.get().connect);
            }
        }
        self.stage.replace(Stage::Handshaking);
        *self.connecting.borrow_mut() = Some(Rc::downgrade(task));
        task.wait_for(Box::new(Waiting::to_connect(self)));
        Ok(Progress::Waiting)
    }

    /// # Safety
    /// As for [`Socket::handshake`].
    unsafe fn put_tls_on(&self, wanted: &Wanted) -> Result<Connection, &'static CStr> {
        const NOT_MADE: &CStr = c"failed to create ssl connection";
        let peer = self.peer.borrow();
        let peer = peer.as_ref().ok_or(c"closed")?;
        let context = self.conf.get().tls_context().ok_or(NOT_MADE)?;
        let connection = Connection::start(peer, context).ok_or(NOT_MADE)?;
        // SAFETY: the caller's.
        unsafe { self.prepare(connection, wanted) }.inspect_err(|_| connection.abandon())?;
        Ok(connection)
    }

    /// # Safety
    /// As for [`Socket::handshake`].
    unsafe fn prepare(&self, connection: Connection, wanted: &Wanted) -> Result<(), &'static CStr> {
        let log = self.request.get().log();
        // SAFETY: the caller's.
        unsafe {
            if !wanted.session.is_null() {
                if !connection.set_session(wanted.session) {
                    return Err(c"ssl set session failed");
                }
                ngx_debug!(log, "lua ssl set session: {:016X}", wanted.session as usize);
            }
            if !wanted.certificates.is_null() {
                connection.present(wanted.certificates, wanted.key)?;
            }
        }
        if let Some(name) = wanted.server_name {
            ngx_debug!(log, "lua ssl server name: \"{}\"", Shown(name));
            // What follows a NUL is no part of a name for the server.
            let name = name.split(|byte| *byte == 0).next().unwrap_or_default();
            let name = CString::new(name).map_err(|_| c"no memory")?;
            if !connection.set_server_name(&name) {
                return Err(c"SSL_set_tlsext_host_name failed");
            }
        }
        if wanted.status {
            connection.request_status();
        }
        Ok(())
    }

    /// The handshake is over, or has taken too long.
    pub fn handshake_event(self: &Rc<Self>) {
        let Some(stream) = self.stream.get() else { return };
        let result = self.conclude(stream);
        let waiter = Socket::take_waiter(&self.connecting);
        if let Err(failure) = result {
            ngx_debug!(self.request.get().log(), "lua tcp socket handle connect error");
            self.tls.borrow_mut().failure = Some(failure);
            self.finalize();
        }
        let Some(task) = waiter else { return };
        ngx_debug!(self.request.get().log(), "lua tcp socket waking up the current request");
        wake_with(&task, 0, |_| {});
    }

    fn conclude(&self, stream: Stream) -> Result<(), Failure> {
        const FAILED: Failure = Failure { code: 0, text: c"handshake failed" };
        if stream.take_timeout(Direction::Read) {
            return Err(Failure { code: 0, text: c"timeout" });
        }
        stream.clear_timer(Direction::Read);
        let connection = Connection::of(stream).filter(|c| c.is_established()).ok_or(FAILED)?;
        let mut tls = self.tls.borrow_mut();
        tls.verify(connection, self)?;
        tls.save_session(connection, stream);
        Ok(())
    }
}

/// nginx's number of how a handshake stands.
fn code(progress: Handshake) -> i32 {
    match progress {
        Handshake::Done => 0,
        Handshake::Waiting => -2,
        Handshake::Failed => -1,
    }
}
