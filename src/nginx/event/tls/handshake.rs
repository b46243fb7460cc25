//! OpenSSL's callbacks in a handshake with a server of nginx's: one generic trampoline for each,
//! with a panic guard. The functions given here capture nothing, as in `nginx::http::callback`.

use std::ffi::{c_int, c_uchar, c_void};
use std::ptr::{NonNull, addr_of, null_mut};

use export::callback;

use super::Session;
use super::early_choice;
use super::ssl::{Client, Ssl};
use crate::nginx::core::conf::Conf;
use crate::nginx::core::function::instance;
use crate::nginx::core::guard::fault_point;
use crate::nginx::core::strings;
use crate::nginx::http::configuration::{Configuration, Configured, Scope};
use crate::nginx::http::fake::Origin;
use crate::nginx::sys::{
    SSL, SSL_CTX, SSL_CTX_sess_set_get_cb, SSL_CTX_sess_set_new_cb, SSL_CTX_set_cert_cb,
    SSL_CTX_set_client_hello_cb, SSL_SESSION, ngx_http_connection_t, ngx_http_core_srv_conf_t,
    ngx_http_ssl_module, ngx_http_ssl_srv_conf_t,
};

/// How a handshake goes on after a callback.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Verdict {
    Accept,
    Refuse,
    /// OpenSSL asks again when nginx continues the handshake.
    Wait,
}

impl Verdict {
    /// OpenSSL's number, the same for the certificate callback and the ClientHello callback.
    pub fn code(self) -> c_int {
        match self {
            Verdict::Accept => 1,
            Verdict::Refuse => 0,
            Verdict::Wait => -1,
        }
    }
}

/// A client's connection in a handshake with one of nginx's HTTP servers.
#[derive(Clone, Copy)]
pub struct Handshaking {
    pub ssl: Ssl,
    pub client: Client,
    /// Whether the server is the address's default one, even if the client asks for another.
    of_default: bool,
}

impl Handshaking {
    /// # Safety
    /// `ssl` must be what OpenSSL passed to a callback, for a connection of a server of nginx's
    /// http module on which no request has begun.
    unsafe fn from_ptr(ssl: *mut SSL) -> Option<Handshaking> {
        // SAFETY: OpenSSL passed `ssl` for such a connection, the contract of this function.
        let ssl = unsafe { Ssl::from_ptr(ssl) }?;
        Some(Handshaking { ssl, client: ssl.client()?, of_default: false })
    }

    /// The same handshake, as that of the default server of the address.
    pub fn of_default_server(self) -> Handshaking {
        Handshaking { of_default: true, ..self }
    }
}

// SAFETY: a connection lives no longer than the cycle that accepted it.
unsafe impl Configured for Handshaking {
    /// That of the server that the client asks for, as far as that is known.
    fn configuration(&self) -> Configuration {
        // SAFETY: until a request begins, the data of a client's connection is nginx's record of
        // it, with the configuration of its server, and its address, which has a default server. No
        // request has begun: `from_ptr`'s contract.
        unsafe {
            let hc: *const ngx_http_connection_t = (*self.client.as_ptr()).data.cast();
            if self.of_default {
                return Configuration::from_ctx((*(*(*hc).addr_conf).default_server).ctx);
            }
            Configuration::from_ctx((*hc).conf_ctx)
        }
    }
}

impl Handshaking {
    /// The origin of a fake request that runs code in this handshake.
    pub fn origin(self) -> Origin {
        // SAFETY: a live connection.
        unsafe { Origin::of_connection(self.client.as_ptr(), self.configuration()) }
    }

    /// The configured name of the server that the client asks for, as far as that is known.
    pub fn configured_name(&self) -> &[u8] {
        // SAFETY: nginx's core module has a configuration in every server.
        unsafe {
            let core: *const ngx_http_core_srv_conf_t = self.configuration().core_server();
            strings::bytes((*core).server_name)
        }
    }
}

/// A session that OpenSSL has made, on a client's connection.
pub struct NewSession {
    pub ssl: Ssl,
    pub client: Client,
    pub session: Session,
    /// The handshake that it comes of. `None` with TLS 1.3: its sessions may come after the
    /// handshake, when a request has begun on the connection, if nginx takes early data.
    pub handshaking: Option<Handshaking>,
}

impl NewSession {
    /// # Safety
    /// `ssl` and `session` must be what OpenSSL passed to its callback for new sessions, for a
    /// connection of a server of nginx's http module.
    unsafe fn from_ptr(ssl: *mut SSL, session: *mut SSL_SESSION) -> Option<NewSession> {
        // SAFETY: OpenSSL passed both, the contract of this function; of the session, a reference is
        // taken. Before TLS 1.3, the session is part of the handshake.
        unsafe {
            let session = Session::share(session)?;
            let of_connection = Ssl::from_ptr(ssl)?;
            let handshaking = match of_connection.is_tls13_or_newer() {
                true => None,
                false => Some(Handshaking::from_ptr(ssl)?),
            };
            let client = of_connection.client()?;
            Some(NewSession { ssl: of_connection, client, session, handshaking })
        }
    }
}

/// OpenSSL's context of the `server` block that is being merged.
#[derive(Clone, Copy)]
pub struct ServerContext(NonNull<SSL_CTX>);

impl ServerContext {
    /// `None` if the block has no TLS.
    pub fn of(cf: Conf) -> Option<ServerContext> {
        // SAFETY: nginx's own module, whose configuration of the block is merged before ours.
        unsafe {
            let conf: *const ngx_http_ssl_srv_conf_t = Configuration::under(cf)
                .slot(Scope::Server, &*addr_of!(ngx_http_ssl_module))
                .cast();
            conf.as_ref().and_then(|conf| NonNull::new(conf.ssl.ctx)).map(ServerContext)
        }
    }

    /// Has `F` called once a ClientHello has been read, and nginx has chosen the server, if it does so early:
    /// [`early_choice`].
    pub fn on_client_hello<F: Fn(Handshaking) -> Verdict + Copy + 'static>(self, _function: F) {
        const { assert!(size_of::<F>() == 0, "a callback captures nothing") };
        // SAFETY: a live server's context.
        unsafe { SSL_CTX_set_client_hello_cb(self.0.as_ptr(), Some(client_hello::<F>), null_mut()) }
    }

    /// Has `F` called before the server's certificate is chosen.
    pub fn on_certificate<F: Fn(Handshaking) -> Verdict + Copy + 'static>(self, _function: F) {
        const { assert!(size_of::<F>() == 0, "a callback captures nothing") };
        // SAFETY: a live server's context.
        unsafe { SSL_CTX_set_cert_cb(self.0.as_ptr(), Some(certificate::<F>), null_mut()) }
    }

    /// Has `F` called with the id of a session that a client wants to resume.
    pub fn on_lookup<F>(self, _function: F)
    where
        F: Fn(Handshaking, &[u8]) -> Option<Session> + Copy + 'static,
    {
        const { assert!(size_of::<F>() == 0, "a callback captures nothing") };
        // SAFETY: a live server's context.
        unsafe { SSL_CTX_sess_set_get_cb(self.0.as_ptr(), Some(lookup::<F>)) }
    }

    /// Has `F` called with each new session.
    pub fn on_new_session<F>(self, _function: F)
    where
        F: Fn(NewSession) + Copy + 'static,
    {
        const { assert!(size_of::<F>() == 0, "a callback captures nothing") };
        // SAFETY: a live server's context.
        unsafe { SSL_CTX_sess_set_new_cb(self.0.as_ptr(), Some(new_session::<F>)) }
    }
}

/// Asks `F` for a verdict.
///
/// # Safety
/// As for [`Handshaking::from_ptr`], and `F` must be the type of a function that was given for this.
unsafe fn ask<F: Fn(Handshaking) -> Verdict + Copy + 'static>(ssl: *mut SSL) -> c_int {
    fault_point::<F>();
    // SAFETY: OpenSSL passed `ssl` for such a connection, and `F` is a function that was given, the contract
    // of this function.
    let (handshaking, function) = unsafe { (Handshaking::from_ptr(ssl), instance::<F>()) };
    handshaking.map_or(Verdict::Refuse, function).code()
}

/// # Safety
/// Only OpenSSL may call this, as the callback that it was registered as.
#[callback(Verdict::Refuse.code())]
unsafe extern "C" fn client_hello<F: Fn(Handshaking) -> Verdict + Copy + 'static>(
    ssl: *mut SSL,
    alert: *mut c_int,
    _data: *mut c_void,
) -> c_int {
    // SAFETY: OpenSSL passed `ssl`, for a server that `on_client_hello` was called for, and a place for an alert.
    unsafe {
        if early_choice::choose_server(ssl, alert) { ask::<F>(ssl) } else { Verdict::Refuse.code() }
    }
}

/// # Safety
/// Only OpenSSL may call this, as the callback that it was registered as.
#[callback(Verdict::Refuse.code())]
unsafe extern "C" fn certificate<F: Fn(Handshaking) -> Verdict + Copy + 'static>(
    ssl: *mut SSL,
    _data: *mut c_void,
) -> c_int {
    // SAFETY: OpenSSL passed `ssl`, for a server that `on_certificate` was called for.
    unsafe { ask::<F>(ssl) }
}

/// # Safety
/// Only OpenSSL may call this, as the callback that it was registered as.
#[callback(null_mut())]
unsafe extern "C" fn lookup<F>(
    ssl: *mut SSL,
    id: *const c_uchar,
    len: c_int,
    copy: *mut c_int,
) -> *mut SSL_SESSION
where
    F: Fn(Handshaking, &[u8]) -> Option<Session> + Copy + 'static,
{
    fault_point::<F>();
    // SAFETY: OpenSSL passes an id of `len` bytes, and a place for whether it must take a
    // reference of its own.
    let (id, handshaking) = unsafe {
        if let Some(copy) = copy.as_mut() {
            *copy = 0;
        }
        (strings::raw(id, usize::try_from(len).unwrap_or(0)), Handshaking::from_ptr(ssl))
    };
    // SAFETY: `on_lookup` was given the function.
    let function = unsafe { instance::<F>() };
    let found = handshaking.and_then(|handshaking| function(handshaking, id));
    found.map_or(null_mut(), Session::into_raw)
}

/// # Safety
/// Only OpenSSL may call this, as the callback that it was registered as.
#[callback(0)]
unsafe extern "C" fn new_session<F>(ssl: *mut SSL, session: *mut SSL_SESSION) -> c_int
where
    F: Fn(NewSession) + Copy + 'static,
{
    fault_point::<F>();
    // SAFETY: OpenSSL passes both, for a server that `on_new_session` was called for, with the function.
    let (new, function) = unsafe { (NewSession::from_ptr(ssl, session), instance::<F>()) };
    if let Some(new) = new {
        function(new);
    }
    // OpenSSL keeps its own reference.
    0
}
