//! The client while subrequests are under way for it.

use crate::nginx::Request;
use crate::nginx::http::{callback, client};
use crate::runtime::Context;

/// Lets subrequests see what happens to the client's connection.
///
/// The connection's events reach the main request only, and one that runs Lua code blocks them. A
/// subrequest to another server checks whether the client has closed the connection, unless its
/// location says otherwise (`proxy_ignore_client_abort` and similar directives): so the events are
/// passed on to it. A request that watches its client itself (`lua_check_client_abort`) keeps its
/// own handler.
pub fn pass_events_on(parent: Request) {
    let mut request = Some(parent);
    while let Some(r) = request {
        client::replace_blocked_reading(r, callback::event(client_event));
        request = r.parent();
    }
}

/// nginx's read event of a request whose subrequests are under way.
fn client_event(request: Request) {
    let Some(context) = Context::of(request) else { return };
    let subrequests = context.captures.requests.borrow().clone();
    for subrequest in subrequests {
        // Ending one subrequest may have ended all others.
        if context.is_released() {
            return;
        }
        if context.captures.requests.borrow().contains(&subrequest) {
            client::run_read_handler(subrequest);
        }
    }
}
