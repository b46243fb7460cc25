//! `ngx.proxyssl`, `ngx.ssl.proxysslcert`, `ngx.ssl.proxysslverify`: the handshake with the server
//! that a request is passed to.

mod ffi;
