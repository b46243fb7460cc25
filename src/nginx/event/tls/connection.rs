//! TLS on a connection that this module made, as the client.

use std::ffi::{CStr, c_int, c_long};
use std::marker::PhantomData;
use std::net::IpAddr;
use std::ptr::{NonNull, null_mut};

use codec::fallible;

use super::objects::{Certificate, Owned};
use super::{BorrowedSession, Context, Session, Store, clear_errors};
use crate::nginx::core::strings;
use crate::nginx::event::peer;
use crate::nginx::event::peer::Peer;
use crate::nginx::event::stream::Stream;
use crate::nginx::sys::{
    EVP_PKEY, NGX_AGAIN, NGX_OK, NGX_SSL_BUFFER, NGX_SSL_CLIENT, OPENSSL_STACK, OPENSSL_sk_num,
    OPENSSL_sk_value, SSL, SSL_CTRL_CHAIN_CERT, SSL_CTRL_SET_TLSEXT_HOSTNAME,
    SSL_CTRL_SET_TLSEXT_STATUS_REQ_TYPE, SSL_CTRL_SET_VERIFY_CERT_STORE, SSL_CTX, SSL_certs_clear,
    SSL_ctrl, SSL_get_SSL_CTX, SSL_get_certificate, SSL_get_verify_result,
    SSL_get1_peer_certificate, SSL_use_PrivateKey, SSL_use_certificate, TLSEXT_NAMETYPE_host_name,
    TLSEXT_STATUSTYPE_ocsp, X509, X509_V_OK, X509_check_ip, X509_cmp,
    X509_verify_cert_error_string, ngx_ssl_check_host, ngx_ssl_connection_t,
    ngx_ssl_create_connection, ngx_ssl_get_session, ngx_ssl_handshake, ngx_ssl_set_session,
    ngx_ssl_shutdown, stack_st_X509,
};

/// The state of a handshake.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Handshake {
    Done,
    /// The connection's user gets an `on_read` when it has finished, or the read timer runs out.
    Waiting,
    /// nginx has logged why.
    Failed,
}

/// The IP address that a server is called by, if it is: IPv6 also in brackets.
pub fn ip_address(name: &[u8]) -> Option<IpAddr> {
    let bare = name.strip_prefix(b"[").and_then(|rest| rest.strip_suffix(b"]"));
    std::str::from_utf8(bare.unwrap_or(name)).ok()?.parse().ok()
}

/// Why the other side's certificate is not trusted.
pub struct VerifyError {
    /// OpenSSL's number and text.
    pub code: c_int,
    pub text: &'static CStr,
}

/// A certificate that a client presents, with those that lead to its issuer, and its key.
#[derive(Clone, Copy)]
pub struct ClientCertificate<'a> {
    chain: NonNull<stack_st_X509>,
    key: *mut EVP_PKEY,
    owner: PhantomData<&'a EVP_PKEY>,
}

impl ClientCertificate<'_> {
    /// None where `chain` is null.
    ///
    /// # Safety
    /// `chain` and `key` must be null, or live as long as the value.
    pub unsafe fn from_ptr(chain: *mut stack_st_X509, key: *mut EVP_PKEY) -> Option<Self> {
        let chain = NonNull::new(chain)?;
        Some(ClientCertificate { chain, key, owner: PhantomData })
    }

    fn stack(self) -> *mut OPENSSL_STACK {
        self.chain.as_ptr().cast()
    }
}

/// A connection with TLS, during or after its handshake. As with [`Stream`], the owner of the
/// connection drops every copy before it closes it.
#[derive(Clone, Copy)]
pub struct Connection(Stream);

impl Connection {
    /// The TLS of a connection; `None` if it has none.
    pub fn of(stream: Stream) -> Option<Connection> {
        // SAFETY: a live connection.
        let has_tls = unsafe { !(*stream.as_ptr()).ssl.is_null() };
        has_tls.then_some(Connection(stream))
    }

    /// Starts TLS on a connection that has none; `None` without memory.
    pub fn start(peer: &Peer, context: &Context) -> Option<Connection> {
        peer.make_pool().ok()?;
        let c = peer.stream().as_ptr();
        let flags = (NGX_SSL_BUFFER | NGX_SSL_CLIENT) as usize;
        // SAFETY: a live connection with a pool, and a live context.
        unsafe {
            if ngx_ssl_create_connection(context.as_ptr(), c, flags) != NGX_OK {
                return None;
            }
            (*c).set_sendfile(0);
        }
        Connection::of(peer.stream())
    }

    fn ssl(self) -> *mut ngx_ssl_connection_t {
        // SAFETY: a live connection; `of` and `start` made sure that it has TLS.
        unsafe { (*self.0.as_ptr()).ssl }
    }

    pub fn as_ptr(self) -> *mut SSL {
        // SAFETY: as in `ssl`.
        unsafe { (*self.ssl()).connection }
    }

    /// Removes TLS from the connection, before a handshake has begun.
    pub fn abandon(self) {
        clear_errors();
        // SAFETY: as in `ssl`; nginx sends nothing where no handshake has begun.
        unsafe { ngx_ssl_shutdown(self.0.as_ptr()) };
    }

    /// Whether the handshake has succeeded.
    pub fn is_established(self) -> bool {
        // SAFETY: as in `ssl`.
        unsafe { (*self.ssl()).handshaked() != 0 }
    }

    /// Offers to resume a session; false if OpenSSL refuses.
    pub fn set_session(self, session: BorrowedSession<'_>) -> bool {
        // SAFETY: a live session, by its type; as in `ssl`.
        unsafe { ngx_ssl_set_session(self.0.as_ptr(), session.as_ptr()) == NGX_OK }
    }

    /// The session, for other connections.
    pub fn session(self) -> Option<Session> {
        // SAFETY: as in `ssl`; the share that nginx takes is ours.
        unsafe { Session::from_raw(ngx_ssl_get_session(self.0.as_ptr())) }
    }

    /// Sets the certificate chain to present to a server that asks for one. Errors are texts of the
    /// C module's.
    pub fn present(self, client: ClientCertificate<'_>) -> Result<(), &'static CStr> {
        let ssl = self.as_ptr();
        let stack = client.stack();
        // SAFETY: a live chain, and a live key or none, by their type; OpenSSL takes shares of its own
        // in what it keeps, and looks at null pointers before it follows them.
        unsafe {
            let count = OPENSSL_sk_num(stack);
            if count < 1 {
                return Err(c"invalid client certificate chain");
            }
            let certificate = OPENSSL_sk_value(stack, 0);
            if certificate.is_null() {
                return Err(c"ssl fetch client certificate from chain failed");
            }
            // The configured ones give way, of whatever kind they are.
            SSL_certs_clear(ssl);
            if SSL_use_certificate(ssl, certificate.cast()) == 0 {
                return Err(c"ssl set client certificate failed");
            }
            for index in 1..count {
                let issuer = OPENSSL_sk_value(stack, index);
                if issuer.is_null() {
                    return Err(c"ssl fetch client intermediate certificate from chain failed");
                }
                // `SSL_add1_chain_cert`, which takes a reference.
                if SSL_ctrl(ssl, SSL_CTRL_CHAIN_CERT as c_int, 1, issuer) == 0 {
                    return Err(c"ssl set client intermediate certificate failed");
                }
            }
            if SSL_use_PrivateKey(ssl, client.key) == 0 {
                return Err(c"ssl set client private key failed");
            }
        }
        Ok(())
    }

    /// Whether it has a certificate to present.
    pub fn has_certificate(self) -> bool {
        // SAFETY: as in `ssl`.
        unsafe { !SSL_get_certificate(self.as_ptr()).is_null() }
    }

    /// Whether it has presented, or would have, the certificate of `client`.
    pub fn presents(self, client: ClientCertificate<'_>) -> bool {
        // SAFETY: as in `ssl`; a live chain, by its type.
        unsafe {
            let own = SSL_get_certificate(self.as_ptr());
            let wanted = OPENSSL_sk_value(client.stack(), 0).cast::<X509>();
            !own.is_null() && !wanted.is_null() && X509_cmp(own, wanted) == 0
        }
    }

    /// Trusts the authorities of `store` instead of the context's; false where OpenSSL refuses.
    pub fn trust(self, store: &Store) -> bool {
        let command = SSL_CTRL_SET_VERIFY_CERT_STORE as c_int;
        // SAFETY: as in `ssl`; this is `SSL_set1_verify_cert_store`, which takes a reference of its
        // own.
        let trusts = unsafe { SSL_ctrl(self.as_ptr(), command, 1, store.as_ptr().cast()) != 0 };
        if !trusts {
            clear_errors();
        }
        trusts
    }

    /// OpenSSL's context of the connection, which keeps its reference.
    pub fn context_ptr(self) -> *mut SSL_CTX {
        // SAFETY: as in `ssl`.
        unsafe { SSL_get_SSL_CTX(self.as_ptr()) }
    }

    /// Tells the server which name is meant (SNI); false where OpenSSL refuses it.
    pub fn set_server_name(self, name: &CStr) -> bool {
        let kind = c_long::from(TLSEXT_NAMETYPE_host_name);
        let name = name.as_ptr().cast_mut().cast();
        // SAFETY: as in `ssl`; OpenSSL copies the name.
        unsafe { SSL_ctrl(self.as_ptr(), SSL_CTRL_SET_TLSEXT_HOSTNAME as c_int, kind, name) != 0 }
    }

    /// Asks the server for the OCSP status of its certificate.
    pub fn request_status(self) {
        let command = SSL_CTRL_SET_TLSEXT_STATUS_REQ_TYPE as c_int;
        let kind = c_long::from(TLSEXT_STATUSTYPE_ocsp);
        // SAFETY: as in `ssl`.
        unsafe { SSL_ctrl(self.as_ptr(), command, kind, null_mut()) };
    }

    /// Begins the handshake.
    pub fn handshake(self) -> Handshake {
        let c = self.0.as_ptr();
        // SAFETY: as in `ssl`; nginx sets its own handlers on the connection's events only if it
        // waits, and calls ours once.
        match unsafe { ngx_ssl_handshake(c) } {
            NGX_OK => Handshake::Done,
            NGX_AGAIN => {
                // SAFETY: as above.
                unsafe { (*self.ssl()).handler = Some(peer::take_events_back) };
                Handshake::Waiting
            }
            _ => Handshake::Failed,
        }
    }

    /// What is wrong with the server's certificate.
    pub fn verify_error(self) -> Option<VerifyError> {
        // SAFETY: as in `ssl`; OpenSSL's texts are static.
        unsafe {
            let code = SSL_get_verify_result(self.as_ptr());
            let trusted = code == c_long::from(X509_V_OK);
            let error = || VerifyError {
                code: c_int::try_from(code).unwrap_or(-1),
                text: CStr::from_ptr(X509_verify_cert_error_string(code)),
            };
            (!trusted).then(error)
        }
    }

    /// Whether the server's certificate is for `host`.
    pub fn is_for_host(self, host: &[u8]) -> bool {
        // nginx may look one byte beyond the name.
        if host.contains(&0) {
            return false;
        }
        let Ok(host) = fallible::c_string(host) else { return false };
        let mut name = strings::borrowed(host.as_bytes());
        // SAFETY: as in `ssl`; nginx only reads the name, during the call.
        let matches = unsafe { ngx_ssl_check_host(self.0.as_ptr(), &mut name) == NGX_OK };
        matches || ip_address(host.as_bytes()).is_some_and(|address| self.is_for_address(address))
    }

    fn is_for_address(self, address: IpAddr) -> bool {
        let octets: &[u8] = match &address {
            IpAddr::V4(address) => &address.octets(),
            IpAddr::V6(address) => &address.octets(),
        };
        // SAFETY: as in `ssl`; the certificate's share is ours, or there is none.
        unsafe {
            let certificate = SSL_get1_peer_certificate(self.as_ptr());
            let certificate = Certificate::from_ptr(certificate);
            certificate.is_some_and(|certificate| {
                X509_check_ip(certificate.as_ptr(), octets.as_ptr(), octets.len(), 0) == 1
            })
        }
    }
}
