//! What is common to the content handlers that run no Lua code: answers at once, and answers once
//! something is done, while nginx serves others.

use std::cell::Cell;
use std::rc::Rc;

use crate::api::formats::{Answer, Done};
use crate::api::slices::{Slices, Work};
use crate::nginx::core::pool::OutOfMemory;
use crate::nginx::http::request::PostedRequests;
use crate::nginx::http::send;
use crate::nginx::{Level, Request, Status};

/// Answers a request for the handler of `directive`, if its method is GET or HEAD.
pub fn answer(
    request: Request,
    directive: &'static str,
    make: impl FnOnce() -> Result<Status, OutOfMemory>,
) -> Status {
    if !request.is_get_or_head() {
        return Status::HTTP_NOT_ALLOWED;
    }
    make().unwrap_or_else(|OutOfMemory| no_memory(request, directive))
}

fn no_memory(request: Request, directive: &'static str) -> Status {
    request.log().write_pieces(Level::Err, &[b"no memory for ", directive.as_bytes()]);
    Status::HTTP_INTERNAL_SERVER_ERROR
}

/// Sends a whole response.
pub fn send(request: Request, answer: &Answer) -> Status {
    send::respond(request, answer.status, answer.format.content_type(), &answer.body)
}

/// Answers with what `start` gives to the function that it gets, now or later.
fn when_done(request: Request, directive: &'static str, start: impl FnOnce(Done)) -> Status {
    let progress = Rc::new(Cell::new(AnswerProgress::Started));
    let its = progress.clone();
    start(Box::new(move |answer| {
        let rc = match answer {
            Ok(answer) => send(request, &answer),
            Err(OutOfMemory) => no_memory(request, directive),
        };
        match its.replace(AnswerProgress::Done(rc)) {
            AnswerProgress::Waits => finish(request, rc),
            AnswerProgress::Started | AnswerProgress::Done(_) => {}
        }
    }));
    match progress.replace(AnswerProgress::Waits) {
        AnswerProgress::Done(rc) => rc,
        AnswerProgress::Started | AnswerProgress::Waits => {
            request.add_reference();
            Status::DONE
        }
    }
}

/// Answers with what comes of `work`. The request's end ends it.
pub fn in_slices<T: Work>(
    request: Request,
    directive: &'static str,
    work: T,
) -> Result<Status, OutOfMemory> {
    let work = Slices::new(work);
    request.pool().own(work.clone())?;
    Ok(when_done(request, directive, |done| work.start(done)))
}

/// How far a request is.
#[derive(Clone, Copy)]
enum AnswerProgress {
    /// Its handler has not returned.
    Started,
    /// nginx waits for the answer.
    Waits,
    /// The handler's result.
    Done(Status),
}

/// The answer to a request that nginx waits for is there.
fn finish(request: Request, rc: Status) {
    let posted = PostedRequests::of(request);
    request.finalize(rc);
    if let Some(posted) = posted {
        posted.run();
    }
}
