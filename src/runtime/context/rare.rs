//! What most requests do not use of their context. As long as nobody has looked at it, it is as new: it
//! need not be looked through when the request ends, nor reset for the next one.

use std::cell::{Cell, OnceCell, RefCell};
use std::rc::Weak;

use super::{Captures, FakeEnd, RequestBody};
use crate::nginx::core::strings::PoolStr;
use crate::nginx::event::peer::Events;
#[cfg(ngx_feature = "http_ssl")]
use crate::nginx::event::tls::Verification;
use crate::nginx::http::upstream::Peer;
use crate::runtime::ctx::CtxRef;
use crate::runtime::filter::BodyFilter;
use crate::runtime::filter_run::{FilterRun, FilterRuns};
use crate::runtime::pending_log::Counted;
use crate::runtime::resources::Resources;

/// The part of a context that most requests do not use.
#[derive(Default)]
pub struct Rare {
    /// Counts a request that lives on for code of the log phase.
    pub(in crate::runtime) pending_log: Cell<Option<Counted>>,
    pub captures: Captures,
    pub body: RequestBody,
    /// The state of `body_filter_by_lua*`.
    pub filter: BodyFilter,
    /// The runs of filters' code for the request.
    pub filter_runs: FilterRuns,
    /// In the context of such a run: what is known of it.
    pub filter_run: OnceCell<Box<FilterRun>>,
    pub fake_end: FakeEnd,
    pub(in crate::runtime) resources: Resources,

    /// lua-resty-core's reference of the `ngx.ctx` table, if there is one.
    pub ctx_ref: Cell<CtxRef>,
    /// Whether the request's headers may change: a subrequest has its own, instead of its parent's; of a main
    /// request, the header as it came is kept where `ngx.req.raw_header` needs that.
    pub owns_request_headers: Cell<bool>,
    /// What gets the events of the client's connection (`ngx.req.socket`).
    pub client_user: RefCell<Option<Weak<dyn Events>>>,
    /// The arguments of the running `set_by_lua*`.
    pub set_arguments: RefCell<Vec<PoolStr>>,
    /// The try that the running `balancer_by_lua*` decides on.
    pub upstream_peer: Cell<Option<Peer>>,
    /// The server's certificate that the running `proxy_ssl_verify_by_lua*` is asked about.
    #[cfg(ngx_feature = "http_ssl")]
    pub verification: Cell<Option<Verification>>,
}

impl Rare {
    /// Resets it to its default, but keeps small capacities. Every part is named here, so that a
    /// forgotten one does not compile.
    pub(super) fn reset(&mut self) {
        let Rare {
            pending_log,
            captures,
            body,
            filter,
            filter_runs,
            filter_run,
            fake_end,
            resources,
            ctx_ref,
            owns_request_headers,
            client_user,
            set_arguments,
            upstream_peer,
            #[cfg(ngx_feature = "http_ssl")]
            verification,
        } = self;
        pending_log.take();
        captures.reset();
        body.reset();
        *filter = BodyFilter::default();
        filter_runs.reset();
        filter_run.take();
        *fake_end = FakeEnd::default();
        resources.empty();
        ctx_ref.set(CtxRef::default());
        owns_request_headers.set(false);
        *client_user.get_mut() = None;
        set_arguments.get_mut().clear();
        upstream_peer.set(None);
        #[cfg(ngx_feature = "http_ssl")]
        verification.set(None);
    }
}
