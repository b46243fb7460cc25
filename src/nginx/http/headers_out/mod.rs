//! The response's headers: reading and setting them, and those that nginx writes itself.

pub mod captured;
mod known;
mod location;
mod own;
mod read;
mod set;

pub use location::add_location;
pub use own::{OWN, for_each_own};
pub use read::{
    connection, content_length, content_type, for_each_named, is_chunked, last_modified, nodes,
};
pub use set::set;

use crate::nginx::http::headers::indexed::Indexed;
use crate::nginx::http::headers::list::HeaderList;
use crate::nginx::http::request::Request;

/// The response's list of headers.
fn list(request: Request) -> HeaderList {
    // SAFETY: the list is a part of a live request.
    let list = unsafe { HeaderList::from_ptr(&raw mut (*request.as_ptr()).headers_out.headers) };
    match list {
        Some(list) => list,
        None => unreachable!("a part of a structure is nowhere near null"),
    }
}

/// The list, for finding headers in it by their names, all of which are set.
fn indexed(request: Request) -> Indexed {
    location::complete(request);
    Indexed::of_response(list(request))
}
