//! Addresses of peers: IP addresses with ports, and unix domain sockets.

use std::mem::size_of;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::ptr::NonNull;

use codec::fallible::{self, Shown};

use crate::nginx::core::log::cycle_log;
use crate::nginx::core::strings;
use crate::nginx::sys::{
    ngx_create_pool, ngx_destroy_pool, ngx_errno, ngx_parse_url, ngx_pool_t, ngx_sock_ntop,
    ngx_url_t, sockaddr, socklen_t,
};

/// The longest text of an address: `unix:` and a path, or an IPv6 address with brackets and port.
const MAX_TEXT: usize = 160;

/// A socket address.
#[derive(Clone, Copy)]
pub struct Address {
    storage: libc::sockaddr_storage,
    len: socklen_t,
}

/// What the host that Lua code gave is.
pub enum Host {
    Address(Address),
    /// A name, for the resolver.
    Name,
}

/// The text is neither an address nor a name; nginx's reason, where it gives one.
#[derive(Clone, Copy, Debug)]
pub struct BadHost(pub Option<&'static str>);

impl Address {
    fn empty(len: usize) -> Address {
        // SAFETY: all zero is a valid sockaddr_storage.
        Address { storage: unsafe { std::mem::zeroed() }, len: len as socklen_t }
    }

    fn v4(ip: Ipv4Addr, port: u16) -> Address {
        let mut address = Address::empty(size_of::<libc::sockaddr_in>());
        let v4 = (&raw mut address.storage).cast::<libc::sockaddr_in>();
        // SAFETY: the storage is large and aligned enough for every kind of address.
        unsafe {
            (*v4).sin_family = libc::AF_INET as libc::sa_family_t;
            (*v4).sin_port = port.to_be();
            (*v4).sin_addr.s_addr = u32::from(ip).to_be();
        }
        address
    }

    fn v6(ip: Ipv6Addr, port: u16) -> Address {
        let mut address = Address::empty(size_of::<libc::sockaddr_in6>());
        let v6 = (&raw mut address.storage).cast::<libc::sockaddr_in6>();
        // SAFETY: as in `v4`.
        unsafe {
            (*v6).sin6_family = libc::AF_INET6 as libc::sa_family_t;
            (*v6).sin6_port = port.to_be();
            (*v6).sin6_addr.s6_addr = ip.octets();
        }
        address
    }

    pub fn of_ip(ip: IpAddr, port: u16) -> Address {
        match ip {
            IpAddr::V4(ip) => Address::v4(ip, port),
            IpAddr::V6(ip) => Address::v6(ip, port),
        }
    }

    /// Reads an IP address without a port, as `bind` takes it.
    pub fn ip(text: &[u8]) -> Option<Address> {
        let text = std::str::from_utf8(text).ok()?;
        text.parse().ok().map(|ip| Address::of_ip(ip, 0))
    }

    /// A copy of an address that nginx holds; `None` if it is too long for an address.
    ///
    /// # Safety
    /// `data` must be valid for `len` bytes.
    pub unsafe fn copy(data: *const sockaddr, len: socklen_t) -> Option<Address> {
        let bytes = len as usize;
        if data.is_null() || bytes > size_of::<libc::sockaddr_storage>() {
            return None;
        }
        let mut address = Address::empty(bytes);
        // SAFETY: `data` is valid for `len` bytes, the contract of this function; the length is
        // checked.
        unsafe {
            std::ptr::copy_nonoverlapping(
                data.cast::<u8>(),
                (&raw mut address.storage).cast::<u8>(),
                bytes,
            );
        }
        Some(address)
    }

    /// The peer's address of a connected socket, and the local one as `bind` takes it (`None` for a
    /// unix domain socket). Fails with the system's error number.
    pub fn of_connection(fd: i32) -> Result<(Address, Option<Address>), i32> {
        let ask = |get: unsafe extern "C" fn(i32, *mut libc::sockaddr, *mut socklen_t) -> i32| {
            let mut address = Address::empty(size_of::<libc::sockaddr_storage>());
            // SAFETY: the kernel writes no more than the length that it is given.
            let rc = unsafe { get(fd, (&raw mut address.storage).cast(), &raw mut address.len) };
            if rc == -1 { Err(ngx_errno()) } else { Ok(address) }
        };
        let (peer, own) = (ask(libc::getpeername)?, ask(libc::getsockname)?);
        let from = (peer.family() != libc::AF_UNIX).then(|| own.with_port(0));
        Ok((peer, from))
    }

    /// The same with a port; unix domain sockets have none.
    pub fn with_port(mut self, port: u16) -> Address {
        let storage = &raw mut self.storage;
        // SAFETY: as in `v4`; the family says which kind it is.
        unsafe {
            match i32::from((*storage).ss_family) {
                libc::AF_INET => (*storage.cast::<libc::sockaddr_in>()).sin_port = port.to_be(),
                libc::AF_INET6 => (*storage.cast::<libc::sockaddr_in6>()).sin6_port = port.to_be(),
                _ => {}
            }
        }
        self
    }

    pub fn port(&self) -> u16 {
        let storage = &raw const self.storage;
        // SAFETY: as in `with_port`.
        unsafe {
            match i32::from((*storage).ss_family) {
                libc::AF_INET => u16::from_be((*storage.cast::<libc::sockaddr_in>()).sin_port),
                libc::AF_INET6 => u16::from_be((*storage.cast::<libc::sockaddr_in6>()).sin6_port),
                _ => 0,
            }
        }
    }

    /// The system's number of the kind of address (`AF_INET`, …).
    pub fn family(&self) -> i32 {
        i32::from(self.storage.ss_family)
    }

    pub(in crate::nginx) fn as_ptr(&self) -> *mut sockaddr {
        (&raw const self.storage).cast_mut().cast()
    }

    pub(in crate::nginx) fn len(&self) -> socklen_t {
        self.len
    }

    /// The address as nginx writes it; `with_port` says whether its port is part of the text.
    pub fn text(&self, with_port: bool) -> String {
        let mut text = [0u8; MAX_TEXT];
        // SAFETY: nginx reads an address of the given length, and writes no more than the given
        // size.
        let len = unsafe {
            ngx_sock_ntop(
                self.as_ptr(),
                self.len,
                text.as_mut_ptr(),
                text.len(),
                usize::from(with_port),
            )
        };
        fallible::text(format_args!("{}", Shown(text.get(..len).unwrap_or_default())))
    }

    /// The address without its port, an IPv6 one in brackets.
    pub fn bare_text(&self) -> String {
        let mut text = self.text(true);
        if let (1.., Some(end)) = (self.port(), text.rfind(':')) {
            text.truncate(end);
        }
        text
    }
}

/// A pool for the time of one call.
struct Scratch(NonNull<ngx_pool_t>);

impl Scratch {
    fn new() -> Option<Scratch> {
        // SAFETY: the cycle's log is live.
        NonNull::new(unsafe { ngx_create_pool(1024, cycle_log().as_ptr()) }).map(Scratch)
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        // SAFETY: made by `new`, destroyed once.
        unsafe { ngx_destroy_pool(self.0.as_ptr()) }
    }
}

/// Reads an IP address, `unix:PATH` or a name, as nginx reads it in a configuration.
pub fn parse_host(host: &[u8], port: u16) -> Result<Host, BadHost> {
    let ip = std::str::from_utf8(host).ok().and_then(|text| text.parse::<Ipv4Addr>().ok());
    if let Some(ip) = ip {
        return Ok(Host::Address(Address::v4(ip, port)));
    }
    let scratch = Scratch::new().ok_or(BadHost(Some("no memory")))?;
    // A NUL follows, as it does each word of a configuration.
    let text = fallible::concat(&[host, b"\0"]);
    let mut text = text.map_err(|_| BadHost(Some("no memory")))?;
    // SAFETY: a zeroed ngx_url_t is what nginx starts from; its results live in the scratch pool,
    // and are copied before that goes. Its error texts are static.
    unsafe {
        let mut url: ngx_url_t = std::mem::zeroed();
        url.url = strings::borrowed(host);
        url.url.data = text.as_mut_ptr();
        url.default_port = port;
        url.set_no_resolve(1);
        if ngx_parse_url(scratch.0.as_ptr(), &mut url) != 0 {
            let reason = (!url.err.is_null()).then(|| std::ffi::CStr::from_ptr(url.err));
            return Err(BadHost(reason.and_then(|reason| reason.to_str().ok())));
        }
        match url.addrs.as_ref() {
            Some(first) if url.naddrs > 0 => Address::copy(first.sockaddr, first.socklen)
                .map(Host::Address)
                .ok_or(BadHost(Some("bad address"))),
            _ => Ok(Host::Name),
        }
    }
}
