//! How Lua code ends a request: `ngx.exit`, `ngx.exec`, a jump to another URI, an error.
//!
//! Each function ends all tasks first; but [`jump`], and [`exit`] where another phase follows, leave coroutines to
//! that. All but [`replace_response`] return the status for the phase handler to return to nginx.

use std::rc::Rc;

use super::context::Context;
use super::{client_watch, output};
use crate::config::Phase;
use crate::nginx::core::log::Shown;
use crate::nginx::http::{filters, redirect, response_status};
use crate::nginx::{Level, Status};
use crate::{ngx_debug, ngx_log};

const HTTP_CONTINUE: isize = 100;
const HTTP_OK: isize = 200;
const HTTP_NO_CONTENT: isize = 204;
const HTTP_SPECIAL_RESPONSE: isize = 300;
const HTTP_REQUEST_TIME_OUT: isize = 408;
const HTTP_CLIENT_CLOSED_REQUEST: isize = 499;
const HTTP_CLOSE: isize = 444;

/// Ends all tasks, and puts the context back into nginx's slot if nginx has cleared that while
/// making a response of its own.
pub fn cleanup(context: &Context) {
    end_tasks(context, Context::remove_all_tasks);
}

fn end_tasks(context: &Context, end: fn(&Context)) {
    if context.request().filter_finalized() && !context.is_filter_run() {
        context.reattach();
    }
    end(context);
    super::fake_request::timer_ended(context);
}

/// `ngx.exit(code)`.
pub fn exit(context: &Rc<Context>, code: Status) -> Status {
    ngx_debug!(context.request().log(), "lua thread aborting request with status {}", code.0);
    let goes_on = matches!(code, Status::OK | Status::DECLINED);
    end_tasks(context, if goes_on { Context::end_threads } else { Context::remove_all_tasks });
    if context.is_alone() {
        return code;
    }
    let request = context.request();
    if !context.is_header_sent() && request.status() == 0 {
        match code.0 {
            HTTP_CONTINUE..HTTP_OK => response_status::set(request, code.0 as usize),
            HTTP_OK.. => request.set_status(code.0 as usize),
            _ => {}
        }
    }
    let drops_connection =
        matches!(code.0, HTTP_REQUEST_TIME_OUT | HTTP_CLIENT_CLOSED_REQUEST | HTTP_CLOSE);
    if context.output.buffering.get()
        && request.status() != 0
        && code != Status::ERROR
        && !drops_connection
    {
        let rc = output::send_last(context);
        if rc.is_failure() {
            return rc;
        }
        return if code.0 >= HTTP_OK { Status(HTTP_OK) } else { code };
    }
    let by_us = matches!(code.0, HTTP_CONTINUE..HTTP_SPECIAL_RESPONSE) && code.0 != HTTP_NO_CONTENT;
    if by_us || (code == Status::OK && context.has_entered(Phase::Content)) {
        let rc = output::send_last(context);
        if rc.is_failure() {
            return rc;
        }
    }
    if context.is_header_sent() && code.0 > 0 && !drops_connection {
        return if context.has_entered(Phase::Content) { Status::OK } else { Status(HTTP_OK) };
    }
    code
}

/// `ngx.exec(uri, args)`.
pub fn exec(context: &Rc<Context>, uri: &[u8], args: &[u8]) -> Status {
    ngx_debug!(context.request().log(), "lua thread initiated internal redirect to {}", Shown(uri));
    cleanup(context);
    let request = context.request();
    redirect::take_events_away(request, client_watch::is_watched(request));
    let rc = if uri.first() == Some(&b'@') {
        if !args.is_empty() {
            ngx_log!(
                request.log(),
                Level::Warn,
                "query strings {} ignored when exec'ing named location {}",
                Shown(args),
                Shown(uri)
            );
        }
        redirect::named_location(request, uri)
    } else {
        redirect::internal(request, uri, args)
    };
    if rc.is_failure() { rc } else { Status::DONE }
}

/// `ngx.exit(status)` in a filter that has waited before anything of the response was sent: ends
/// what makes the response, and has nginx make the page as if that had asked for it. The request
/// may be gone afterwards.
#[cold]
pub fn replace_response(context: &Rc<Context>, status: Status) {
    cleanup(context);
    let request = context.request();
    redirect::take_events_away(request, client_watch::is_watched(request));
    filters::drop_response(request);
    request.finalize(status);
}

/// `ngx.req.set_uri(uri, true)`: nginx looks for a location anew.
#[cold]
pub fn jump(context: &Rc<Context>) -> Status {
    let request = context.request();
    ngx_debug!(
        request.log(),
        "lua thread aborting request with URI rewrite jump: \"{}?{}\"",
        Shown(request.uri()),
        Shown(request.args())
    );
    end_tasks(context, Context::end_threads);
    context.restart();
    if !context.location().ctx_inherit() {
        context.release_ctx();
    }
    Status::OK
}

/// An error that nobody caught.
#[cold]
pub fn abort(context: &Rc<Context>) -> Status {
    cleanup(context);
    if context.ending.no_abort.replace(false) || context.is_header_sent() {
        return Status::ERROR;
    }
    Status::HTTP_INTERNAL_SERVER_ERROR
}
