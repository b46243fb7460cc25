//! `ngx.say`, `ngx.print`, `ngx.flush`, `ngx.eof`, `ngx.send_headers`.

mod lua;
pub mod pieces;

pub use lua::inject;
