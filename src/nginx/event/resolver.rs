//! Looking names up through the location's `resolver`.
//!
//! A resolution has one owner: dropping it removes it from nginx, so the callback never runs for an
//! owner that is gone.

use std::cell::Cell;
use std::ffi::CStr;
use std::ptr::null_mut;

use codec::fallible;

use crate::nginx::core::address::Address;
use crate::nginx::core::strings;
use crate::nginx::guard;
use crate::nginx::http::configuration::Configuration;
use crate::nginx::http::request::Request;
use crate::nginx::sys::{
    ngx_http_core_loc_conf_t, ngx_resolve_name, ngx_resolve_name_done, ngx_resolve_start,
    ngx_resolver_ctx_t, ngx_resolver_strerror, random,
};

/// `NGX_NO_RESOLVER`: a macro that casts to a pointer, which bindgen leaves out.
const NO_RESOLVER: usize = usize::MAX;

/// Why a name has no address.
#[derive(Clone, Copy, Debug)]
pub enum ResolveError {
    /// The location has no `resolver`.
    NoResolver,
    /// nginx could not start.
    NotStarted,
    /// nginx refused the name.
    Refused,
    /// The resolver's code and its text.
    Failed(isize, &'static str),
}

/// One of the name's addresses, without a port.
pub type Resolved = Result<Address, ResolveError>;

/// A name that is being looked up. It owns the name and nginx's request for it.
pub struct Resolution<T> {
    ctx: Cell<*mut ngx_resolver_ctx_t>,
    name: Vec<u8>,
    data: T,
    on_done: fn(&T, Resolved),
    /// The answer, if it came before [`start`] returned.
    early: Cell<Option<Resolved>>,
    starting: Cell<bool>,
}

/// How a resolution began.
pub enum Started<T> {
    Done(Resolved),
    /// The callback will run.
    Waiting(Box<Resolution<T>>),
}

/// Looks `name` up; `on_done` gets `data` and the answer, unless the answer is there at once.
pub fn start<T: 'static>(
    request: Request,
    name: &[u8],
    data: T,
    on_done: fn(&T, Resolved),
) -> Started<T> {
    let Ok(kept) = fallible::copy(name) else {
        return Started::Done(Err(ResolveError::NotStarted));
    };
    let resolution = Box::new(Resolution {
        ctx: Cell::new(null_mut()),
        name: kept,
        data,
        on_done,
        early: Cell::new(None),
        starting: Cell::new(true),
    });
    // SAFETY: the core module's own configuration; nginx copies what it needs of `wanted`, and the
    // name and the box stay in place until the resolution has finished.
    unsafe {
        let conf: *const ngx_http_core_loc_conf_t = Configuration::of(request).core_location();
        let mut wanted: ngx_resolver_ctx_t = std::mem::zeroed();
        wanted.name = strings::borrowed(&resolution.name);
        let ctx = ngx_resolve_start((*conf).resolver, &mut wanted);
        if ctx.is_null() {
            return Started::Done(Err(ResolveError::NotStarted));
        }
        if ctx as usize == NO_RESOLVER {
            return Started::Done(Err(ResolveError::NoResolver));
        }
        (*ctx).name = strings::borrowed(&resolution.name);
        (*ctx).handler = Some(answered::<T>);
        (*ctx).data = std::ptr::from_ref::<Resolution<T>>(&resolution).cast_mut().cast();
        (*ctx).timeout = (*conf).resolver_timeout;
        resolution.ctx.set(ctx);
        if ngx_resolve_name(ctx) != 0 {
            // nginx has freed it.
            resolution.ctx.set(null_mut());
            return Started::Done(Err(ResolveError::Refused));
        }
    }
    resolution.starting.set(false);
    match resolution.early.take() {
        Some(answer) => Started::Done(answer),
        None => Started::Waiting(resolution),
    }
}

/// # Safety
/// Only nginx may call this, as the callback that it was registered as.
unsafe extern "C" fn answered<T: 'static>(ctx: *mut ngx_resolver_ctx_t) {
    guard((), || {
        // SAFETY: nginx passes the context that `start` filled; its box is alive, because dropping
        // it removes the context from nginx.
        unsafe {
            let resolution: *const Resolution<T> = (*ctx).data.cast();
            let answer = take_answer(ctx);
            (*resolution).ctx.set(null_mut());
            ngx_resolve_name_done(ctx);
            if (*resolution).starting.get() {
                (*resolution).early.set(Some(answer));
                return;
            }
            // The callback may drop the resolution, so it is not used after the call starts.
            let on_done = (*resolution).on_done;
            on_done(&(*resolution).data, answer);
        }
    });
}

/// Takes nginx's answer out of its context.
///
/// # Safety
/// `ctx` must be live and have its answer.
unsafe fn take_answer(ctx: *const ngx_resolver_ctx_t) -> Resolved {
    // SAFETY: `ctx` is live and has its answer, the contract of this function. nginx's texts are
    // static.
    unsafe {
        let state = (*ctx).state;
        if state != 0 || (*ctx).naddrs == 0 {
            let text = CStr::from_ptr(ngx_resolver_strerror(state));
            return Err(ResolveError::Failed(state, text.to_str().unwrap_or("unknown")));
        }
        // As in the C module, a random one.
        let chosen = match (*ctx).naddrs {
            1 => 0,
            count => random() as usize % count,
        };
        let address = (*ctx).addrs.add(chosen);
        Address::copy((*address).sockaddr, (*address).socklen)
            .ok_or(ResolveError::Failed(state, "bad address"))
    }
}

impl<T> Drop for Resolution<T> {
    fn drop(&mut self) {
        let ctx = self.ctx.replace(null_mut());
        if !ctx.is_null() && !crate::nginx::event::peer::has_left() {
            // SAFETY: nginx still has the context: it has neither answered nor failed.
            unsafe { ngx_resolve_name_done(ctx) }
        }
    }
}
