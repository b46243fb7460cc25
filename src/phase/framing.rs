//! The filters after all Lua code: they capture the responses of subrequests, and make sure that the body of
//! others has the length that its header says. Both are one pair of filters, because most responses pass.
//!
//! The body is counted if a script has set the Content-Length or filters the body. Excess bytes are
//! not sent. If bytes are missing, the connection (in HTTP/2, the stream) is closed, so that the
//! client does not take the next response for the rest of this one.

use super::header_filter::context_of;
use crate::api::subrequest;
use crate::nginx::http::filters::FRAMING;
use crate::nginx::http::framing;
use crate::nginx::{Chain, Level, Request, Status};
use crate::ngx_log;
use crate::runtime::context::response_state::BodyCount;
use crate::runtime::{Context, Phase};

/// Puts the filters on top of nginx's; once per configuration. `captures`: code may make subrequests.
pub fn install(captures: bool) {
    if captures {
        FRAMING.install_header(is_captured_or_has_length, captured_header);
        FRAMING.install_body(is_captured_or_counted, captured_body);
    } else {
        FRAMING.install_header(has_length, header);
        FRAMING.install_body(is_counted, body);
    }
}

#[inline(always)]
fn is_captured_or_has_length(request: Request) -> bool {
    subrequest::captures_header(request) || has_length(request)
}

fn captured_header(request: Request) -> Status {
    if subrequest::is_captured(request) {
        return subrequest::capture_header(request);
    }
    header(request)
}

#[inline(always)]
fn is_captured_or_counted(request: Request) -> bool {
    subrequest::captures_body(request) || is_counted(request)
}

fn captured_body(request: Request, input: Chain) -> Status {
    if subrequest::is_captured(request) {
        return subrequest::capture_body(request, input);
    }
    body(request, input)
}

/// Whether a script may have set the Content-Length.
#[inline(always)]
fn has_length(request: Request) -> bool {
    framing::has_listed_length(request)
}

/// Called by nginx's chain of header filters.
fn header(request: Request) -> Status {
    if framing::settle_length(request) {
        send_counted(request, |request| FRAMING.next_header(request))
    } else {
        FRAMING.next_header(request)
    }
}

/// Sends the header with `next`, and has the body after it counted.
pub fn send_counted(request: Request, next: impl FnOnce(Request) -> Status) -> Status {
    let finalized = request.filter_finalized();
    let rc = next(request);
    // A filter may have sent a page of its own meanwhile, header and body.
    if rc == Status::ERROR || request.filter_finalized() != finalized {
        return rc;
    }
    let Some(length) = framing::promised_length(request) else { return rc };
    let Ok(context) = context_of(request, Phase::HeaderFilter) else { return Status::ERROR };
    context.output.body_count.set(BodyCount::Left(length));
    rc
}

/// Whether the body of the response is counted.
#[inline(always)]
fn is_counted(request: Request) -> bool {
    Context::of(request.main())
        .is_some_and(|context| context.output.body_count.get() != BodyCount::Off)
}

/// Called by nginx's chain of body filters.
fn body(request: Request, input: Chain) -> Status {
    let Some(context) = Context::of(request.main()) else { return Status::ERROR };
    let size = input.size();
    let left = match context.output.body_count.get() {
        BodyCount::Off => return FRAMING.next_body(request, input),
        BodyCount::Left(left) => left,
        BodyCount::Exceeded => 0,
    };
    if size > left {
        return cut(&context, request, input, left);
    }
    let left = left - size;
    if size > 0 {
        context.output.body_count.set(BodyCount::Left(left));
    }
    if left > 0 && framing::ends_with(request, input) {
        ngx_log!(
            request.log(),
            Level::Err,
            "response body ends {left} bytes before its Content-Length"
        );
        if request.is_multiplexed() {
            return Status::ERROR;
        }
        framing::close_connection(request);
    }
    FRAMING.next_body(request, input)
}

/// Sends only as many bytes as the header still allows.
fn cut(context: &Context, request: Request, input: Chain, left: u64) -> Status {
    if context.output.body_count.replace(BodyCount::Exceeded) != BodyCount::Exceeded {
        let text = b"response body longer than its header says, the rest is not sent";
        request.log().write(Level::Err, text);
    }
    match input.first(request.pool(), left) {
        Ok(Chain::EMPTY) => Status::OK,
        Ok(first) => FRAMING.next_body(request, first),
        Err(_) => Status::ERROR,
    }
}
