//! `ngx.ssl.session`: the session that a client's handshake stores or resumes.

mod ffi;
