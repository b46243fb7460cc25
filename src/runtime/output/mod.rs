//! What Lua code sends: the header when it is due, body chains, the last buffer, flushes.
//!
//! All output goes through nginx's filter chain, in the order that the script gave it. HTTP/1.0
//! replies of unknown length are held back until the end, so that they carry a Content-Length.
//! Otherwise each piece of a body is a separate call of the filters, and a chunk of its own in the
//! chunked encoding. A small piece is held back as long as nginx's last filter would hold it: until
//! the code waits, flushes or ends, or until there are `postpone_output` bytes. So for a response
//! of one piece, the filters run once, with the piece and the end. With `lua_coalesce_output on`,
//! small pieces are joined meanwhile.

mod body;
mod flush;
mod header;
mod hold;

pub use body::{send_last, write};
pub use flush::{finish_sending, flush, is_pending, wait_for_flush, write_event};
pub use header::send_header_if_needed;
pub use hold::{Held, mend_connection, release_held};
