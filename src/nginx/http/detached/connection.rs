//! The connection of a detached request: what its client's was, as far as code can see.

use std::ptr::null_mut;

use super::memory::Moved;
use super::{DESCRIPTOR, OwnLog};
use crate::nginx::core::pool::{OutOfMemory, Pool};
use crate::nginx::http::request::Request;
#[cfg(ngx_feature = "http_ssl")]
use crate::nginx::sys::{SSL_free, SSL_up_ref, ngx_ssl_connection_t};
use crate::nginx::sys::{
    ngx_buf_t, ngx_chain_t, ngx_connection_local_sockaddr, ngx_connection_t, ngx_event_t,
    ngx_http_connection_t, ngx_proxy_protocol_t, sockaddr, socklen_t,
};

/// A copy of the connection of `request` in the request's pool, which logs to `log`.
///
/// # Safety
/// The request must be a live client's.
pub(super) unsafe fn copy(
    request: Request,
    log: &OwnLog,
    moved: &mut Moved,
) -> Result<*mut ngx_connection_t, OutOfMemory> {
    let pool = request.pool();
    // SAFETY: a live request's connection and zeroed nginx structures in its pool, for which zero
    // is valid.
    unsafe {
        let c = &mut *request.connection();
        // Its own address, while the descriptor is there to ask.
        ngx_connection_local_sockaddr(c, null_mut(), 0);
        let copy = pool.zeroed::<ngx_connection_t>()?.as_mut();
        copy.read = event(pool, copy, log)?;
        copy.write = event(pool, copy, log)?;
        (*copy.write).set_write(1);
        (*copy.write).set_ready(1);
        copy.data = request.as_ptr().cast();
        copy.fd = DESCRIPTOR;
        copy.listening = c.listening;
        copy.sent = c.sent;
        copy.log = log.as_ptr();
        copy.pool = pool.as_ptr();
        copy.type_ = c.type_;
        copy.sockaddr = address(pool, c.sockaddr, c.socklen)?;
        copy.socklen = c.socklen;
        copy.addr_text = moved.copy_text(pool, c.addr_text)?;
        copy.proxy_protocol = proxy_protocol(pool, c.proxy_protocol, moved)?;
        copy.local_sockaddr = address(pool, c.local_sockaddr, c.local_socklen)?;
        copy.local_socklen = c.local_socklen;
        copy.number = c.number;
        copy.start_time = c.start_time;
        copy.requests = c.requests;
        copy.set_error(1);
        #[cfg(ngx_feature = "http_ssl")]
        {
            copy.ssl = tls(pool, c.ssl, moved)?;
        }
        Ok(copy)
    }
}

/// An event of the copied connection `c`, which nothing waits for.
///
/// # Safety
/// `c` must live as long as `pool`.
unsafe fn event(
    pool: Pool,
    c: *mut ngx_connection_t,
    log: &OwnLog,
) -> Result<*mut ngx_event_t, OutOfMemory> {
    // SAFETY: a zeroed nginx structure, which is valid.
    let event = unsafe { pool.zeroed::<ngx_event_t>()?.as_mut() };
    event.data = c.cast();
    event.log = log.as_ptr();
    Ok(event)
}

/// A copy of an address; null for null.
///
/// # Safety
/// `from` must be null or point to `len` bytes.
unsafe fn address(
    pool: Pool,
    from: *mut sockaddr,
    len: socklen_t,
) -> Result<*mut sockaddr, OutOfMemory> {
    if from.is_null() {
        return Ok(null_mut());
    }
    let copy = pool.bytes_aligned(len as usize)?;
    // SAFETY: the copy is fresh and has room for the address, the contract of this function.
    unsafe { std::ptr::copy_nonoverlapping(from.cast(), copy.as_ptr(), len as usize) };
    Ok(copy.as_ptr().cast())
}

/// A copy of the addresses and ports that came by the PROXY protocol; null for null.
///
/// # Safety
/// `from` must be null or live.
unsafe fn proxy_protocol(
    pool: Pool,
    from: *mut ngx_proxy_protocol_t,
    moved: &mut Moved,
) -> Result<*mut ngx_proxy_protocol_t, OutOfMemory> {
    // SAFETY: `from` is null or live, the contract of this function; zero is valid for the copy.
    unsafe {
        let Some(from) = from.as_ref() else { return Ok(null_mut()) };
        let copy = pool.zeroed::<ngx_proxy_protocol_t>()?.as_mut();
        copy.src_addr = moved.copy_text(pool, from.src_addr)?;
        copy.dst_addr = moved.copy_text(pool, from.dst_addr)?;
        #[cfg(ngx_proxy_protocol_tlvs)]
        {
            copy.tlvs = moved.copy_text(pool, from.tlvs)?;
        }
        copy.src_port = from.src_port;
        copy.dst_port = from.dst_port;
        Ok(copy)
    }
}

/// A share of OpenSSL's connection.
#[cfg(ngx_feature = "http_ssl")]
struct TlsShare(*mut ngx_ssl_connection_t);

#[cfg(ngx_feature = "http_ssl")]
impl Drop for TlsShare {
    fn drop(&mut self) {
        // SAFETY: the share that `tls` took, in the pool that is being destroyed.
        unsafe { SSL_free((*self.0).connection) }
    }
}

/// For nginx's variables about the connection's TLS; nothing is read or written through it.
///
/// # Safety
/// `from` must be null or live.
#[cfg(ngx_feature = "http_ssl")]
unsafe fn tls(
    pool: Pool,
    from: *mut ngx_ssl_connection_t,
    #[cfg_attr(not(ngx_ssl_ocsp), expect(unused_variables))] moved: &Moved,
) -> Result<*mut ngx_ssl_connection_t, OutOfMemory> {
    if from.is_null() {
        return Ok(null_mut());
    }
    // SAFETY: `from` is live, the contract of this function and the check above; OpenSSL counts the
    // shares of its connection.
    unsafe {
        let size = size_of::<ngx_ssl_connection_t>();
        let copy: *mut ngx_ssl_connection_t = pool.bytes_aligned(size)?.cast().as_ptr();
        copy.write(from.read());
        // What OCSP has found, for `$ssl_client_verify`: in the connection's memory.
        #[cfg(ngx_ssl_ocsp)]
        {
            let old = (*copy).ocsp;
            let place = moved.place(old.cast());
            let is_moved = !std::ptr::eq(place, old.cast());
            (*copy).ocsp = if is_moved { place.cast() } else { null_mut() };
        }
        SSL_up_ref((*copy).connection);
        // Where there is no memory, the value is dropped, and its share with it.
        pool.own(TlsShare(copy))?;
        Ok(copy)
    }
}

/// nginx's record of the connection's server and header buffers.
///
/// # Safety
/// The request must be live.
pub(super) unsafe fn copy_http(
    request: Request,
    moved: &Moved,
) -> Result<*mut ngx_http_connection_t, OutOfMemory> {
    let pool = request.pool();
    // SAFETY: a live request's record and buffers; zero is valid for the copies.
    unsafe {
        let Some(from) = request.get().http_connection.as_ref() else { return Ok(null_mut()) };
        let copy = pool.zeroed::<ngx_http_connection_t>()?.as_mut();
        copy.addr_conf = from.addr_conf;
        copy.conf_ctx = from.conf_ctx;
        copy.set_ssl(from.ssl());
        copy.set_proxy_protocol(from.proxy_protocol());
        let mut end = &raw mut copy.busy;
        let mut next = from.busy;
        while let Some(link) = next.as_ref() {
            let new = pool.zeroed::<ngx_chain_t>()?.as_ptr();
            (*new).buf = moved.copy_of(pool, link.buf)?;
            *end = new;
            end = &raw mut (*new).next;
            copy.nbusy += 1;
            next = link.next;
        }
        Ok(copy)
    }
}

/// The copy of the buffer that the request's header was read into.
///
/// # Safety
/// The request must be live, and the others come from [`copy`] and [`copy_http`].
pub(super) unsafe fn header_in(
    request: Request,
    connection: *mut ngx_connection_t,
    http_connection: *mut ngx_http_connection_t,
) -> Result<*mut ngx_buf_t, OutOfMemory> {
    // SAFETY: live structures, the contract of this function; zero is a valid buffer.
    unsafe {
        let r = request.get();
        if std::ptr::eq(r.header_in, (*r.connection).buffer) && !r.header_in.is_null() {
            return Ok((*connection).buffer);
        }
        let mut old = r.http_connection.as_ref().map_or(null_mut(), |from| from.busy);
        let mut new = http_connection.as_ref().map_or(null_mut(), |copy| copy.busy);
        while let (Some(from), Some(copy)) = (old.as_ref(), new.as_ref()) {
            if std::ptr::eq(from.buf, r.header_in) {
                return Ok(copy.buf);
            }
            (old, new) = (from.next, copy.next);
        }
        Ok(request.pool().zeroed::<ngx_buf_t>()?.as_ptr())
    }
}
