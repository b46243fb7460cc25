//! Exported C symbols whose features are not built yet.
//!
//! lua-resty-core binds many symbols while it loads, so none may be absent, and none here pretends:
//! each returns the failing value of its convention and says what is missing, in the caller's error
//! text where the prototype has one, else as a line in the error log. Whoever builds a feature
//! deletes its lines; the table ends empty.
//!
//! A line reads: how the error is told, the symbol with its prototype, the failing value, the
//! feature. Every pointer that is not an error's is a plain [`Ptr`], for nothing reads it.

use std::ffi::{CStr, c_char, c_int, c_uint, c_void};
use std::ptr::null;

use crate::api::ffi::{self, ERROR};
use crate::lua::resty_core;
use crate::nginx::{Level, guard, log};

/// Any pointer argument or result: never read.
type Ptr = *const c_void;
/// `char **err`.
type Message = *mut *const c_char;
/// `u_char *err`.
type Buffer = *mut u8;
/// `size_t *errlen`.
type Length = *mut usize;
type Int = c_int;
type Size = usize;

/// Tells the error through `char **err`.
///
/// # Safety
/// `err` must be null or valid for one pointer.
unsafe fn message(text: &'static CStr, _symbol: &str, err: Message) {
    // SAFETY: the caller's.
    unsafe { ffi::set_message(err, text) }
}

/// Tells the error through `u_char *err, size_t *errlen`.
///
/// # Safety
/// As for [`ffi::write_error`].
unsafe fn buffer(text: &'static CStr, _symbol: &str, err: Buffer, errlen: Length) {
    // SAFETY: the caller's.
    unsafe { ffi::write_error(err, errlen, text.to_str().unwrap_or_default()) }
}

/// The same for a symbol that has `err` in another place since release 0.10.27, where arguments
/// came before it.
///
/// # Safety
/// As for [`message`], of whichever holds by the release presented; the other is not read.
unsafe fn moved(text: &'static CStr, _symbol: &str, before: Message, since: Message) {
    let err = if resty_core::presented() < 10_027 { before } else { since };
    // SAFETY: the caller's.
    unsafe { ffi::set_message(err, text) }
}

/// The same for a symbol that has `err` since release 0.10.29 only; before, in the error log.
///
/// # Safety
/// As for [`message`], from that release on; before, `err` is not read.
unsafe fn added(text: &'static CStr, symbol: &str, err: Message) {
    // SAFETY: the caller's.
    unsafe {
        if resty_core::presented() < 10_029 {
            line(text, symbol)
        } else {
            message(text, symbol, err)
        }
    }
}

/// Tells the error in the error log.
///
/// # Safety
/// None; the others' signature.
unsafe fn line(text: &'static CStr, symbol: &str) {
    let text = text.to_str().unwrap_or_default();
    crate::ngx_log!(log::cycle_log(), Level::Err, "{symbol}: {text}");
}

macro_rules! unsupported {
    ($($told:ident($($error:ident),*)
       $symbol:ident($($argument:ident: $type:ty),*) -> $result:ty = $failure:expr, $feature:literal;
    )*) => {$(
        #[doc = concat!("Always fails with `", stringify!($failure), "`: ", $feature)]
        #[doc = " is not built yet. Takes no ownership."]
        #[unsafe(no_mangle)]
        pub unsafe extern "C" fn $symbol($($argument: $type),*) -> $result {
            const TEXT: &CStr = text(concat!($feature, " is not supported by this module yet\0"));
            $(let _ = $argument;)*
            guard($failure, || {
                // SAFETY: lua-resty-core passes an error's place of the size that it tells.
                unsafe { $told(TEXT, stringify!($symbol), $($error),*) };
                $failure
            })
        }
    )*};
}

/// `text`, which ends in a NUL, as a C string.
const fn text(text: &'static str) -> &'static CStr {
    match CStr::from_bytes_with_nul(text.as_bytes()) {
        Ok(text) => text,
        Err(_) => panic!("one NUL at the end"),
    }
}

macro_rules! nothing_to_release {
    ($($symbol:ident;)*) => {$(
        /// Releases an object of a feature that is not built yet: there is none, so nothing to do.
        #[unsafe(no_mangle)]
        pub unsafe extern "C" fn $symbol(_object: Ptr) {}
    )*};
}

#[rustfmt::skip]
unsupported! {
    // ngx.ssl
    message(err) ngx_http_lua_ffi_cert_pem_to_der(pem: Ptr, pem_len: Size, der: Ptr, err: Message) -> Int = ERROR, "ngx.ssl.cert_pem_to_der";
    added(err) ngx_http_lua_ffi_get_req_ssl_pointer(r: Ptr, err: Message) -> Ptr = null(), "ngx.ssl.get_req_ssl_pointer";
    message(err) ngx_http_lua_ffi_parse_pem_cert(pem: Ptr, pem_len: Size, err: Message) -> Ptr = null(), "ngx.ssl.parse_pem_cert";
    message(err) ngx_http_lua_ffi_parse_pem_priv_key(pem: Ptr, pem_len: Size, err: Message) -> Ptr = null(), "ngx.ssl.parse_pem_priv_key";
    message(err) ngx_http_lua_ffi_priv_key_pem_to_der(pem: Ptr, pem_len: Size, passphrase: Ptr, der: Ptr, err: Message) -> Int = ERROR, "ngx.ssl.priv_key_pem_to_der";
    message(err) ngx_http_lua_ffi_set_cert(r: Ptr, cdata: Ptr, err: Message) -> Int = ERROR, "ngx.ssl.set_cert";
    message(err) ngx_http_lua_ffi_set_priv_key(r: Ptr, cdata: Ptr, err: Message) -> Int = ERROR, "ngx.ssl.set_priv_key";
    message(err) ngx_http_lua_ffi_ssl_clear_certs(r: Ptr, err: Message) -> Int = ERROR, "ngx.ssl.clear_certs";
    message(err) ngx_http_lua_ffi_ssl_get_tls1_version(r: Ptr, err: Message) -> Int = ERROR, "ngx.ssl.get_tls1_version";
    message(err) ngx_http_lua_ffi_ssl_raw_client_addr(r: Ptr, addr: Ptr, len: Ptr, addrtype: Ptr, err: Message) -> Int = ERROR, "ngx.ssl.raw_client_addr";
    message(err) ngx_http_lua_ffi_ssl_raw_server_addr(r: Ptr, addr: Ptr, len: Ptr, addrtype: Ptr, err: Message) -> Int = ERROR, "ngx.ssl.raw_server_addr";
    message(err) ngx_http_lua_ffi_ssl_server_name(r: Ptr, name: Ptr, len: Ptr, err: Message) -> Int = ERROR, "ngx.ssl.server_name";
    message(err) ngx_http_lua_ffi_ssl_server_port(r: Ptr, port: Ptr, err: Message) -> Int = ERROR, "ngx.ssl.server_port";
    message(err) ngx_http_lua_ffi_ssl_set_der_certificate(r: Ptr, data: Ptr, len: Size, err: Message) -> Int = ERROR, "ngx.ssl.set_der_cert";
    message(err) ngx_http_lua_ffi_ssl_set_der_private_key(r: Ptr, data: Ptr, len: Size, err: Message) -> Int = ERROR, "ngx.ssl.set_der_priv_key";
    moved(depth, err) ngx_http_lua_ffi_ssl_verify_client(r: Ptr, certs: Ptr, trusted_or_depth: Ptr, depth: Message, err: Message) -> Int = ERROR, "ngx.ssl.verify_client";

    // ngx.ssl.clienthello
    message(err) ngx_http_lua_ffi_ssl_get_client_hello_ext(r: Ptr, kind: c_uint, out: Ptr, outlen: Ptr, err: Message) -> Int = ERROR, "ngx.ssl.clienthello.get_client_hello_ext";
    message(err) ngx_http_lua_ffi_ssl_get_client_hello_server_name(r: Ptr, name: Ptr, len: Ptr, err: Message) -> Int = ERROR, "ngx.ssl.clienthello.get_client_hello_server_name";
    message(err) ngx_http_lua_ffi_ssl_set_protocols(r: Ptr, protocols: Int, err: Message) -> Int = ERROR, "ngx.ssl.clienthello.set_protocols";

    // ngx.ssl.session
    message(err) ngx_http_lua_ffi_ssl_get_serialized_session(r: Ptr, buf: Ptr, err: Message) -> Int = ERROR, "ngx.ssl.session";
    message(err) ngx_http_lua_ffi_ssl_get_serialized_session_size(r: Ptr, err: Message) -> Int = ERROR, "ngx.ssl.session";
    message(err) ngx_http_lua_ffi_ssl_get_session_id(r: Ptr, buf: Ptr, err: Message) -> Int = ERROR, "ngx.ssl.session";
    message(err) ngx_http_lua_ffi_ssl_get_session_id_size(r: Ptr, err: Message) -> Int = ERROR, "ngx.ssl.session";
    message(err) ngx_http_lua_ffi_ssl_set_serialized_session(r: Ptr, buf: Ptr, len: Int, err: Message) -> Int = ERROR, "ngx.ssl.session";

    // ngx.ocsp
    message(err) ngx_http_lua_ffi_ssl_create_ocsp_request(chain: Ptr, chain_len: Size, out: Ptr, out_size: Ptr, err: Message) -> Int = ERROR, "ngx.ocsp.create_ocsp_request";
    message(err) ngx_http_lua_ffi_ssl_get_ocsp_responder_from_der_chain(chain: Ptr, chain_len: Size, out: Ptr, out_size: Ptr, err: Message) -> Int = ERROR, "ngx.ocsp.get_ocsp_responder_from_der_chain";
    message(err) ngx_http_lua_ffi_ssl_set_ocsp_status_resp(r: Ptr, resp: Ptr, len: Size, err: Message) -> Int = ERROR, "ngx.ocsp.set_ocsp_status_resp";
    buffer(err, errlen) ngx_http_lua_ffi_ssl_validate_ocsp_response(resp: Ptr, resp_len: Size, chain: Ptr, chain_len: Size, err: Buffer, errlen: Length) -> Int = ERROR, "ngx.ocsp.validate_ocsp_response";
}

nothing_to_release! {
    ngx_http_lua_ffi_free_cert;
    ngx_http_lua_ffi_free_priv_key;
}
