//! The early choice of the server. Newer nginxes choose it by the name in the ClientHello, in a callback of their
//! own, so that the server's `ssl_protocols` count. This module's callback takes its place, and has to call it.

use std::ffi::c_int;

use crate::nginx::sys::SSL;

/// Whether nginx chooses the server when the ClientHello has been read. OpenSSL's context of the connection is that
/// server's from then on, and with it the callback that OpenSSL calls if this one tells it to ask again.
pub const CHOOSES_EARLY: bool = cfg!(ngx_ssl_client_hello_callback);

/// Has nginx choose the server, if it does so early. False if it refuses the handshake: it has set the alert then.
///
/// # Safety
/// OpenSSL must have passed both to its ClientHello callback, for a connection of a server of nginx's http module.
#[cfg(ngx_ssl_client_hello_callback)]
pub(super) unsafe fn choose_server(ssl: *mut SSL, alert: *mut c_int) -> bool {
    use std::ptr::{addr_of, null_mut};

    use super::ssl::Ssl;
    use crate::nginx::sys::{
        SSL_CTX_get_ex_data, ngx_ssl_client_hello_arg_index, ngx_ssl_client_hello_callback,
    };

    // SAFETY: OpenSSL passed both for such a connection, the contract of this function. nginx's callback needs what
    // nginx keeps in the context that the connection began with.
    unsafe {
        let client = Ssl::from_ptr(ssl).and_then(Ssl::client);
        let Some(context) = client.and_then(|client| client.first_context()) else { return false };
        let index = *addr_of!(ngx_ssl_client_hello_arg_index);
        SSL_CTX_get_ex_data(context.as_ptr(), index).is_null()
            || ngx_ssl_client_hello_callback(ssl, alert, null_mut()) != 0
    }
}

/// nginx chooses the server later, by itself.
///
/// # Safety
/// None is needed; it is as above.
#[cfg(not(ngx_ssl_client_hello_callback))]
pub(super) unsafe fn choose_server(_ssl: *mut SSL, _alert: *mut c_int) -> bool {
    true
}
