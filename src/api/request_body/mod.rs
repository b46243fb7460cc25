//! The request body: `ngx.req.read_body`, `discard_body`, looking at it, and replacing it.

mod lua;
mod read;

pub use lua::inject;
