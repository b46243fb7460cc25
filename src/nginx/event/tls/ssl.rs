//! A client's TLS connection, as Lua code sees it: addresses, protocol, server name, certificates.

use std::cell::Cell;
use std::ffi::{CStr, c_int};
use std::ptr::{NonNull, addr_of, null_mut};
use std::rc::Rc;

use super::chain::Chain;
use super::objects::{Certificate, Owned, PrivateKey, Result, Source, clearing_errors};
use crate::nginx::core::log::Log;
use crate::nginx::core::pool::{OutOfMemory, Pool};
use crate::nginx::core::strings;
use crate::nginx::event::alarm;
use crate::nginx::http::request::Request;
use crate::nginx::sys::{
    CRYPTO_EX_INDEX_SSL, CRYPTO_get_ex_new_index, SSL, SSL_CTRL_CHAIN_CERT, SSL_CTX,
    SSL_certs_clear, SSL_ctrl, SSL_get_ex_data, SSL_get_servername, SSL_set_ex_data,
    SSL_use_PrivateKey, SSL_use_certificate, SSL_version, TLS1_3_VERSION,
    TLSEXT_NAMETYPE_host_name, ngx_connection_local_sockaddr, ngx_connection_t,
    ngx_ssl_connection_index, sockaddr, socklen_t,
};
use crate::own_thread;

/// A connection's state in OpenSSL; copies are the same one. It is alive as long as a copy is used:
/// whoever calls `from_ptr` promises that, and the methods rely on it.
#[derive(Clone, Copy)]
pub struct Ssl(NonNull<SSL>);

own_thread! {
    /// The index of this module's data in a connection (`SSL_get_ex_new_index`); negative before it
    /// is registered.
    static SLOT: Cell<c_int> = Cell::new(-1);
}

/// What this module keeps of a client's connection.
///
/// # Safety
/// It must be the only type that is kept this way.
pub unsafe trait Kept: 'static {
    /// The connection has ended.
    fn end(&self);
}

/// The share of a connection's pool, which is destroyed after OpenSSL's part of the connection.
struct PoolShare<T: Kept>(Rc<T>);

impl<T: Kept> Drop for PoolShare<T> {
    fn drop(&mut self) {
        self.0.end();
    }
}

/// Registers the index of this module's data with OpenSSL, once per process.
pub fn register_slot() -> std::result::Result<(), OutOfMemory> {
    if SLOT.get() < 0 {
        // SAFETY: no callbacks, no data.
        SLOT.set(unsafe {
            CRYPTO_get_ex_new_index(CRYPTO_EX_INDEX_SSL as c_int, 0, null_mut(), None, None, None)
        });
    }
    if SLOT.get() < 0 { Err(OutOfMemory) } else { Ok(()) }
}

/// The bytes of an address and their kind, as lua-resty-core numbers the kinds.
pub struct RawAddress<'a> {
    pub kind: c_int,
    pub bytes: &'a [u8],
}

impl Ssl {
    /// The TLS connection of `request`, which may be a fake request.
    pub fn of(request: Request) -> Result<Ssl> {
        // nginx may have closed the client's connection, and freed what this module kept with it.
        if request.is_detached() {
            return Err(c"bad request");
        }
        // SAFETY: a live request has a live connection, whose ssl is null or live.
        unsafe {
            let ssl = request.connection().as_ref().and_then(|c| c.ssl.as_ref());
            let ssl = ssl.ok_or(c"bad request")?;
            Ssl::from_ptr(ssl.connection).ok_or(c"bad ssl conn")
        }
    }

    /// The TLS connection to the server that `request` is passed to. The texts say that there is no
    /// upstream, no connection, no TLS on it.
    pub fn of_upstream(request: Request, texts: [&'static CStr; 3]) -> Result<Ssl> {
        let [no_upstream, no_connection, no_tls] = texts;
        // SAFETY: a live request, whose upstream, its connection and that one's ssl are null or live.
        unsafe {
            let upstream = request.get().upstream.as_ref().ok_or(no_upstream)?;
            let c = upstream.peer.connection.as_ref().ok_or(no_connection)?;
            let ssl = c.ssl.as_ref().and_then(|ssl| Ssl::from_ptr(ssl.connection));
            ssl.ok_or(no_tls)
        }
    }

    /// # Safety
    /// `ssl` must be null, or live as long as the value is used.
    pub(super) unsafe fn from_ptr(ssl: *mut SSL) -> Option<Ssl> {
        NonNull::new(ssl).map(Ssl)
    }

    pub fn as_ptr(self) -> *mut SSL {
        self.0.as_ptr()
    }

    /// nginx's connection.
    pub fn client(self) -> Option<Client> {
        // SAFETY: nginx stores its connection there when it makes the TLS connection.
        let c = unsafe { SSL_get_ex_data(self.as_ptr(), *addr_of!(ngx_ssl_connection_index)) };
        NonNull::new(c.cast()).map(Client)
    }

    /// What this module keeps of the connection.
    pub fn kept<T: Kept>(self) -> Option<Rc<T>> {
        if SLOT.get() < 0 {
            return None;
        }
        // SAFETY: a live connection, and our index; the value is an Rc's of this type, the
        // contract of `Kept`, of which the connection's pool has a share.
        unsafe {
            let value: *const T = SSL_get_ex_data(self.as_ptr(), SLOT.get()).cast_const().cast();
            if value.is_null() {
                return None;
            }
            Rc::increment_strong_count(value);
            Some(Rc::from_raw(value))
        }
    }

    /// Keeps `value` as long as the connection lives.
    pub fn keep<T: Kept>(self, value: Rc<T>) -> std::result::Result<(), OutOfMemory> {
        let data = Rc::as_ptr(&value).cast_mut().cast();
        let client = self.client().ok_or(OutOfMemory)?;
        client.own(PoolShare(value))?;
        // SAFETY: as in `kept`; OpenSSL does nothing with the data, which the pool has a share of.
        let set = unsafe { SSL_set_ex_data(self.as_ptr(), SLOT.get(), data) };
        if set == 0 { Err(OutOfMemory) } else { Ok(()) }
    }

    /// The protocol's version as OpenSSL numbers it: 0x0303 for TLS 1.2.
    pub fn version(self) -> c_int {
        // SAFETY: a live connection.
        unsafe { SSL_version(self.as_ptr()) }
    }

    /// Whether that is TLS 1.3 or newer.
    pub fn is_tls13_or_newer(self) -> bool {
        self.version() >= TLS1_3_VERSION as c_int
    }

    /// The name of the server that the client asked for.
    pub fn server_name(&self) -> Option<&[u8]> {
        // SAFETY: a live connection, which keeps the name.
        unsafe {
            let name = SSL_get_servername(self.as_ptr(), TLSEXT_NAMETYPE_host_name as c_int);
            (!name.is_null()).then(|| CStr::from_ptr(name).to_bytes())
        }
    }

    /// Removes all certificates and keys.
    pub fn clear_certificates(self) {
        // SAFETY: a live connection.
        unsafe { SSL_certs_clear(self.as_ptr()) }
    }

    /// Sets a certificate and the rest of its chain, in DER, one after the other.
    pub fn use_der_chain(self, der: &[u8]) -> Result<()> {
        clearing_errors(|| {
            let source = Source::new(der)?;
            self.use_certificate(&source.der_certificate()?)?;
            while !source.is_at_end() {
                let certificate = source.der_certificate()?;
                let raw = certificate.as_ptr().cast();
                // SAFETY: a live connection, which takes ownership of the certificate if it returns
                // 1.
                let rc = unsafe { SSL_ctrl(self.as_ptr(), SSL_CTRL_CHAIN_CERT as c_int, 0, raw) };
                if rc == 0 {
                    return Err(c"SSL_add0_chain_cert() failed");
                }
                certificate.into_ptr();
            }
            Ok(())
        })
    }

    /// Sets a certificate and the rest of its chain.
    pub fn use_chain(self, chain: &Chain) -> Result<()> {
        clearing_errors(|| {
            let mut certificates = chain.iter();
            let first = certificates.next().ok_or(c"invalid certificate chain")??;
            self.use_certificate(&first)?;
            for certificate in certificates {
                let certificate = certificate?;
                let raw = certificate.as_ptr().cast();
                // SAFETY: a live connection, which takes a reference of its own.
                let rc = unsafe { SSL_ctrl(self.as_ptr(), SSL_CTRL_CHAIN_CERT as c_int, 1, raw) };
                if rc == 0 {
                    return Err(c"SSL_add1_chain_cert() failed");
                }
            }
            Ok(())
        })
    }

    fn use_certificate(self, certificate: &Certificate) -> Result<()> {
        // SAFETY: a live connection and certificate, of which it takes a reference of its own.
        match unsafe { SSL_use_certificate(self.as_ptr(), certificate.as_ptr()) } {
            0 => Err(c"SSL_use_certificate() failed"),
            _ => Ok(()),
        }
    }

    /// Sets a private key in DER.
    pub fn use_der_private_key(self, der: &[u8]) -> Result<()> {
        clearing_errors(|| self.use_private_key(&Source::new(der)?.der_private_key()?))
    }

    pub fn use_private_key(self, key: &PrivateKey) -> Result<()> {
        clearing_errors(|| {
            // SAFETY: a live connection and key, of which it takes a reference of its own.
            match unsafe { SSL_use_PrivateKey(self.as_ptr(), key.as_ptr()) } {
                0 => Err(c"SSL_use_PrivateKey() failed"),
                _ => Ok(()),
            }
        })
    }
}

/// nginx's connection with a client; copies are the same one. It comes from OpenSSL's state of the
/// connection, and is alive as long as that.
#[derive(Clone, Copy)]
pub struct Client(NonNull<ngx_connection_t>);

impl Client {
    pub(super) fn as_ptr(self) -> *mut ngx_connection_t {
        self.0.as_ptr()
    }

    /// The context that OpenSSL's part of the connection began with: the default server's. Its sessions are those
    /// of the connection, whichever server is chosen.
    pub(super) fn first_context(self) -> Option<NonNull<SSL_CTX>> {
        // SAFETY: a live connection, whose ssl is null or live.
        unsafe { (*self.as_ptr()).ssl.as_ref().and_then(|record| NonNull::new(record.session_ctx)) }
    }

    pub fn log(self) -> Log {
        // SAFETY: a live connection has a log.
        unsafe { Log::from_ptr((*self.as_ptr()).log) }
    }

    /// Sets the action that nginx's lines in the error log name (`while …`).
    pub fn set_action(self, action: &'static CStr) {
        self.log().set_action(action);
    }

    pub fn is_reusable(self) -> bool {
        // SAFETY: a live connection.
        unsafe { (*self.as_ptr()).reusable() != 0 }
    }

    /// Whether it is a QUIC connection, whose handshake nginx does not continue later.
    pub fn is_quic(self) -> bool {
        // SAFETY: a live connection.
        unsafe { !(*self.as_ptr()).udp.is_null() }
    }

    /// Moves `value` into the connection's pool.
    fn own<T: 'static>(self, value: T) -> std::result::Result<NonNull<T>, OutOfMemory> {
        // SAFETY: a live connection has a pool.
        unsafe { Pool::from_ptr((*self.as_ptr()).pool) }.ok_or(OutOfMemory)?.own(value)
    }

    /// Has nginx continue the handshake, in this round of its event loop.
    pub fn go_on(self) {
        // SAFETY: a live connection has a write event; closing it takes that out.
        unsafe { alarm::post((*self.as_ptr()).write) }
    }

    /// The local address of the connection and its length, if known.
    fn local(self) -> Option<(*const sockaddr, socklen_t)> {
        let c = self.as_ptr();
        // SAFETY: a live connection; nginx fills in its address.
        unsafe {
            let known = ngx_connection_local_sockaddr(c, null_mut(), 0) == 0;
            (known && !(*c).local_sockaddr.is_null())
                .then(|| ((*c).local_sockaddr.cast_const(), (*c).local_socklen))
        }
    }

    pub fn server_address(&self) -> Option<RawAddress<'_>> {
        // SAFETY: an address in the connection's pool or nginx's configuration.
        self.local().map(|(address, len)| unsafe { raw_address(address, len) })
    }

    pub fn client_address(&self) -> Option<RawAddress<'_>> {
        let c = self.as_ptr();
        // SAFETY: a live connection, and its client's address.
        unsafe { (!(*c).sockaddr.is_null()).then(|| raw_address((*c).sockaddr, (*c).socklen)) }
    }

    /// The port that the client connected to.
    pub fn server_port(self) -> Result<u16> {
        let (address, _) = self.local().ok_or(c"no server address")?;
        // SAFETY: an address of nginx's; the family says which type it is.
        unsafe {
            match i32::from((*address).sa_family) {
                libc::AF_UNIX => Err(c"unix domain has no port"),
                libc::AF_INET6 => {
                    Ok(u16::from_be((*address.cast::<libc::sockaddr_in6>()).sin6_port))
                }
                _ => Ok(u16::from_be((*address.cast::<libc::sockaddr_in>()).sin_port)),
            }
        }
    }
}

/// # Safety
/// `address` must be a socket address of `len` bytes that lives for `'a`.
unsafe fn raw_address<'a>(address: *const sockaddr, len: socklen_t) -> RawAddress<'a> {
    // SAFETY: the address is valid, the contract of this function; the family says which type it
    // is.
    unsafe {
        match i32::from((*address).sa_family) {
            libc::AF_UNIX => {
                let path = std::mem::offset_of!(libc::sockaddr_un, sun_path);
                let room = (len as usize).saturating_sub(path);
                let bytes = strings::raw(address.cast::<u8>().add(path), room);
                let end = bytes.iter().position(|&byte| byte == 0).unwrap_or(bytes.len());
                RawAddress { kind: 0, bytes: bytes.get(..end).unwrap_or_default() }
            }
            libc::AF_INET6 => {
                let address = addr_of!((*address.cast::<libc::sockaddr_in6>()).sin6_addr);
                RawAddress { kind: 2, bytes: strings::raw(address.cast(), 16) }
            }
            _ => {
                let address = addr_of!((*address.cast::<libc::sockaddr_in>()).sin_addr);
                RawAddress { kind: 1, bytes: strings::raw(address.cast(), 4) }
            }
        }
    }
}
