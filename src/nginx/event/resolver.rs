//! Looking names up through the location's `resolver`, or where it has none, as the system does.
//!
//! A resolution has one owner: dropping it removes it from nginx, so the callback never runs for an
//! owner that is gone.

use std::cell::{Cell, RefCell};
use std::ffi::CStr;
use std::ptr::null_mut;

use codec::fallible::{self, Grow, OutOfMemory};
use export::callback;

use super::name_servers;
use super::system_names::SystemNames;
use crate::nginx::core::address::Address;
use crate::nginx::http::configuration::Configuration;
use crate::nginx::http::request::Request;
use crate::nginx::sys::{
    NGX_RESOLVE_NXDOMAIN, ngx_http_core_loc_conf_t, ngx_msec_t, ngx_resolve_name,
    ngx_resolve_name_done, ngx_resolve_start, ngx_resolver_ctx_t, ngx_resolver_strerror,
    ngx_resolver_t, ngx_str_t, random,
};

/// `NGX_NO_RESOLVER`: a macro that casts to a pointer, which bindgen leaves out.
const NO_RESOLVER: usize = usize::MAX;

/// Why a name has no address.
#[derive(Clone, Copy, Debug)]
pub enum ResolveError {
    /// The location has no `resolver`, and the system knows no server.
    NoResolver,
    /// There was no memory to start looking the name up.
    NotStarted,
    /// nginx refused the name.
    Refused,
    /// The resolver's code and its text.
    Failed(isize, &'static str),
}

impl From<OutOfMemory> for ResolveError {
    fn from(_: OutOfMemory) -> ResolveError {
        ResolveError::NotStarted
    }
}

impl ResolveError {
    fn is_no_such_name(self) -> bool {
        matches!(self, ResolveError::Failed(code, _) if code == NGX_RESOLVE_NXDOMAIN as isize)
    }
}

/// Addresses of a name, without ports, in the order in which to try them; at least one.
pub type Resolved = Result<Vec<Address>, ResolveError>;

/// A name that is being looked up. It owns the name and nginx's request for it.
pub struct Resolution<T> {
    resolver: *mut ngx_resolver_t,
    timeout: ngx_msec_t,
    ctx: Cell<*mut ngx_resolver_ctx_t>,
    /// The name that nginx is asked for.
    name: RefCell<Vec<u8>>,
    /// The names to ask for if there is no such name, the next one last.
    further: RefCell<Vec<Vec<u8>>>,
    /// `None` once `on_done` has been called.
    data: Cell<Option<T>>,
    on_done: fn(T, Resolved),
    /// The answer, if it came while nginx was being asked.
    early: Cell<Option<Resolved>>,
    asking: Cell<bool>,
}

/// How a resolution began.
pub enum Started<T> {
    Done(Resolved),
    /// `on_done` will be called, unless this is dropped.
    Waiting(Box<Resolution<T>>),
}

/// Looks `name` up, by way of `system` where the location has no `resolver`; `on_done` gets `data`
/// and the answer, unless the answer is there at once. It may drop the resolution.
pub fn start<T: 'static>(
    request: Request,
    system: Option<&SystemNames>,
    name: &[u8],
    data: T,
    on_done: fn(T, Resolved),
) -> Started<T> {
    // SAFETY: the core module's own configuration.
    let (mut resolver, timeout) = unsafe {
        let conf: *const ngx_http_core_loc_conf_t = Configuration::of(request).core_location();
        ((*conf).resolver, (*conf).resolver_timeout)
    };
    // SAFETY: null or live, as the configuration is.
    let configured = unsafe { resolver.as_ref().is_some_and(name_servers::are_configured) };
    let names = match system.filter(|_| !configured) {
        None => fallible::copy(name).map(|name| Vec::from([name])),
        Some(system) => {
            match system.addresses(name) {
                Ok(addresses) if addresses.is_empty() => {}
                Ok(addresses) => return Started::Done(Ok(in_order(addresses))),
                Err(OutOfMemory) => return Started::Done(Err(ResolveError::NotStarted)),
            }
            let Some(own) = system.resolver() else {
                return Started::Done(Err(ResolveError::NoResolver));
            };
            resolver = own.as_ptr();
            system.candidates(name)
        }
    };
    let Ok(mut names) = names else { return Started::Done(Err(ResolveError::NotStarted)) };
    names.reverse();
    let resolution = Box::new(Resolution {
        resolver,
        timeout,
        ctx: Cell::new(null_mut()),
        name: RefCell::default(),
        further: RefCell::new(names),
        data: Cell::new(Some(data)),
        on_done,
        early: Cell::new(None),
        asking: Cell::new(false),
    });
    match resolution.ask_on(ResolveError::NotStarted) {
        Some(answer) => Started::Done(answer),
        None => Started::Waiting(resolution),
    }
}

impl<T: 'static> Resolution<T> {
    /// Asks for the further names, one after the other. Returns the answer, which is `last` if
    /// there is no further name; `None` once nginx has to wait for an answer.
    fn ask_on(&self, last: ResolveError) -> Option<Resolved> {
        let mut last = last;
        loop {
            let Some(name) = self.further.borrow_mut().pop() else { return Some(Err(last)) };
            self.name.replace(name);
            match self.ask() {
                Some(Err(error)) if error.is_no_such_name() => last = error,
                answer => return answer,
            }
        }
    }

    /// Asks nginx for the name; the answer if that is there at once.
    fn ask(&self) -> Option<Resolved> {
        self.asking.set(true);
        // SAFETY: the resolver is live, as the configuration is. nginx gives `wanted` itself back
        // for the text of an IPv4 address only, and then calls the handler in this block. It turns
        // the name into lower case in place, where nobody has a reference to the bytes. The name
        // and the box stay in place until nginx has answered, or dropping the box removes the
        // context.
        let failed = unsafe {
            let mut bytes = self.name.borrow_mut();
            let name = ngx_str_t { len: bytes.len(), data: bytes.as_mut_ptr() };
            drop(bytes);
            let mut wanted: ngx_resolver_ctx_t = std::mem::zeroed();
            wanted.name = name;
            let ctx = ngx_resolve_start(self.resolver, &mut wanted);
            if ctx.is_null() {
                Some(ResolveError::NotStarted)
            } else if ctx as usize == NO_RESOLVER {
                Some(ResolveError::NoResolver)
            } else {
                (*ctx).name = name;
                (*ctx).handler = Some(answered::<T>);
                (*ctx).data = std::ptr::from_ref(self).cast_mut().cast();
                (*ctx).timeout = self.timeout;
                self.ctx.set(ctx);
                (ngx_resolve_name(ctx) != 0).then(|| {
                    // nginx has freed it.
                    self.ctx.set(null_mut());
                    ResolveError::Refused
                })
            }
        };
        self.asking.set(false);
        failed.map(Err).or_else(|| self.early.take())
    }
}

/// # Safety
/// Only nginx may call this, as the callback that it was registered as.
#[callback]
unsafe extern "C" fn answered<T: 'static>(ctx: *mut ngx_resolver_ctx_t) {
    // SAFETY: nginx passes the context that `ask` filled; its box is alive, because dropping
    // it removes the context from nginx.
    unsafe {
        let resolution: *const Resolution<T> = (*ctx).data.cast();
        let mut answer = take_answer(ctx);
        (*resolution).ctx.set(null_mut());
        ngx_resolve_name_done(ctx);
        if (*resolution).asking.get() {
            (*resolution).early.set(Some(answer));
            return;
        }
        if let Err(error) = answer
            && error.is_no_such_name()
        {
            match (*resolution).ask_on(error) {
                Some(later) => answer = later,
                None => return,
            }
        }
        // The callback may drop the resolution, so it is not used after the call starts.
        let on_done = (*resolution).on_done;
        if let Some(data) = (*resolution).data.take() {
            on_done(data, answer);
        }
    }
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
        let mut addresses = Vec::new();
        for index in 0..(*ctx).naddrs {
            let address = (*ctx).addrs.add(index);
            let address = Address::copy((*address).sockaddr, (*address).socklen)
                .ok_or(ResolveError::Failed(state, "bad address"))?;
            addresses.try_push(address)?;
        }
        Ok(in_order(addresses))
    }
}

/// The addresses in the order in which to try them. The first one is a random one, as in the C
/// module. The others are only kept if both families are among them: the machine may be without one
/// of these.
fn in_order(mut addresses: Vec<Address>) -> Vec<Address> {
    if let [_, _, ..] = addresses.as_slice() {
        // SAFETY: no arguments.
        let chosen = unsafe { random() } as usize % addresses.len();
        addresses.rotate_left(chosen);
    }
    let first = addresses.first().map(Address::family);
    if addresses.iter().all(|address| Some(address.family()) == first) {
        addresses.truncate(1);
    }
    addresses
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
