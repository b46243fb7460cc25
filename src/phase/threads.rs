//! `lua_threads`: a content handler that runs no Lua code, and lists that of its worker.

use std::cell::Cell;
use std::rc::Rc;

use crate::api::status::{Format, Wanted};
use crate::api::threads::{self, Listing};
use crate::nginx::core::conf::Conf;
use crate::nginx::core::pool::OutOfMemory;
use crate::nginx::http::request::PostedRequests;
use crate::nginx::http::{callback, send};
use crate::nginx::{Level, Request, Status};

/// Makes it the content handler of the location that is being read.
pub fn install(cf: Conf) {
    cf.set_content_handler(callback::handler(enter));
}

fn enter(request: Request) -> Status {
    if !request.is_get_or_head() {
        return Status::HTTP_NOT_ALLOWED;
    }
    start(request).unwrap_or_else(|OutOfMemory| no_memory(request))
}

fn no_memory(request: Request) -> Status {
    request.log().write(Level::Err, b"no memory for lua_threads");
    Status::HTTP_INTERNAL_SERVER_ERROR
}

fn start(request: Request) -> Result<Status, OutOfMemory> {
    let format = match Wanted::by(request.args())? {
        Ok(Wanted { format: Format::Text, .. }) => threads::Format::Text,
        Ok(Wanted { format: Format::Json, .. }) => threads::Format::Json,
        _ => return Ok(Status::HTTP_BAD_REQUEST),
    };
    let listing = Listing::new(format)?;
    // The request's end ends the work.
    request.pool().own(listing.clone())?;
    let progress = Rc::new(Cell::new(Progress::Started));
    let its = progress.clone();
    listing.make(Box::new(move |text| {
        let rc = text.map_or_else(
            |OutOfMemory| no_memory(request),
            |text| send::respond(request, content_type(format), text),
        );
        match its.replace(Progress::Done(rc)) {
            Progress::Waits => finish(request, rc),
            Progress::Started | Progress::Done(_) => {}
        }
    }));
    match progress.replace(Progress::Waits) {
        Progress::Done(rc) => Ok(rc),
        Progress::Started | Progress::Waits => {
            request.add_reference();
            Ok(Status::DONE)
        }
    }
}

/// How far a request is.
#[derive(Clone, Copy)]
enum Progress {
    /// Its handler has not returned.
    Started,
    /// nginx waits for the list.
    Waits,
    /// The handler's result.
    Done(Status),
}

/// The list of a request that nginx waits for is there.
fn finish(request: Request, rc: Status) {
    let posted = PostedRequests::of(request);
    request.finalize(rc);
    posted.run();
}

fn content_type(format: threads::Format) -> &'static [u8] {
    match format {
        threads::Format::Text => b"text/plain",
        threads::Format::Json => b"application/json",
    }
}
