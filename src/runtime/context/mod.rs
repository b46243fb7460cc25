//! A request's context: what the module knows about it between nginx's calls.
//!
//! The request's pool and each of its tasks have a share (`Rc`) of it; the pool's is dropped last.
//! nginx clears its own slot of module contexts on internal redirects and when it makes an error
//! page in the middle of an output call. So running code finds the context through its task; only
//! code that starts looks at nginx's slot.
//!
//! Each part has a life-cycle of its own and is reset as a whole.

mod lifecycle;
pub(super) mod plain;
mod rare;
pub mod response_state;
mod running;
pub mod tasks;

use std::cell::{Cell, RefCell};
use std::ops::Deref;
use std::rc::{Rc, Weak};

use super::ctx;
use super::task::Task;
use crate::config::{Location, LocationConf, MainConf, Phase, PhaseSet};
use crate::lua::{State, Vm};
use crate::nginx::core::option_cell::OptionCell;
use crate::nginx::http::cleanup::Share;
use crate::nginx::http::fake::FakeRequest;
use crate::nginx::http::response_buffers::ResponseBuffers;
use crate::nginx::{Request, Status};
use rare::Rare;
use response_state::Output;
use tasks::Tasks;

pub use tasks::Switch;

/// How a request's Lua code was told to end.
#[derive(Clone, Debug)]
pub enum End {
    /// `ngx.exit`, `ngx.redirect`: an nginx code or HTTP status.
    Exit(isize),
    /// `ngx.exec`: the URI (or `@name`) and the arguments.
    Exec { uri: Vec<u8>, args: Vec<u8> },
}

/// How the code of the running phase is to end.
#[derive(Default)]
pub struct Ending {
    pub end: OptionCell<End>,
    /// What the code was last told to end with, by `ngx.exit` or what acts like it; 0 before.
    pub exit_code: Cell<isize>,
    /// Pending operations forbid `ngx.exit` and similar functions: captured subrequests.
    pub no_abort: Cell<bool>,
}

impl Ending {
    /// Has the code end with an nginx code or HTTP status.
    pub fn exit(&self, code: isize) {
        self.end.replace(Some(End::Exit(code)));
        self.exit_code.set(code);
    }
}

/// Empties a list, whose capacity is kept if it is small.
fn empty<T>(list: &mut Vec<T>) {
    list.clear();
    if list.capacity() > tasks::KEPT {
        *list = Vec::new();
    }
}

/// The captured subrequests of one request.
#[derive(Default)]
pub struct Captures {
    /// Those under way.
    pub requests: RefCell<Vec<Request>>,
    /// The batches that tasks wait for.
    pub batches: Cell<usize>,
    /// Whether the connection's mark as broken is off while nginx ends one of them.
    pub lifted_error: Cell<bool>,
}

impl Captures {
    /// Resets it to its default, but keeps a small capacity.
    fn reset(&mut self) {
        let Captures { requests, batches, lifted_error } = self;
        empty(requests.get_mut());
        batches.set(0);
        lifted_error.set(false);
    }
}

/// The state of the request's body for `lua_need_request_body`.
#[derive(Clone, Copy, Default, PartialEq, Eq, Debug)]
pub enum BodyState {
    /// nginx has not been asked for it.
    #[default]
    Unread,
    /// The phase handler waits for it.
    Awaited,
    Read,
}

/// The request's body.
#[derive(Default)]
pub struct RequestBody {
    pub state: Cell<BodyState>,
    /// The threads that wait in `ngx.req.read_body`.
    pub readers: RefCell<Vec<Weak<Task>>>,
}

impl RequestBody {
    /// Resets it to its default, but keeps a small capacity.
    fn reset(&mut self) {
        let RequestBody { state, readers } = self;
        state.set(BodyState::Unread);
        empty(readers.get_mut());
    }
}

/// Is given the result of a fake request's code, or of `balancer_by_lua*` that has waited.
pub type OnResult = Box<dyn FnOnce(Status)>;

/// What belongs to the end of a fake request, of one that lives on for code of the log phase, or of a
/// balancer's code that waits.
#[derive(Default)]
pub struct FakeEnd {
    /// The directive of a worker hook, which the line about its error names instead of a thread.
    pub hook: Cell<Option<&'static str>>,
    /// The request, which the context owns until the code has ended.
    pub owned: OptionCell<FakeRequest>,
    /// Called once.
    pub on_result: Cell<Option<OnResult>>,
    /// Whether the timer has been subtracted from the running ones.
    pub timer_counted_out: Cell<bool>,
}

/// Who keeps the request going. It ends as `Released`; from `Served`, that may be by way of `Detached`.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Life {
    /// nginx works on the request.
    Served,
    /// The request has ended for Lua: no code of it runs any more.
    Released,
    /// A fake request, which nginx does not know, lives for the code that runs for it.
    Fake,
    /// nginx has ended the request, which lives on for code of the log phase that waits.
    Detached,
}

/// The context of one request or subrequest, or of a fake request: a timer's, a worker hook's, a
/// TLS handshake's.
pub struct Context {
    /// The request, with the reusable buffers of its response.
    pub response: ResponseBuffers,
    /// `None` while the context is in the free list.
    vm: Option<Rc<Vm>>,
    life: Cell<Life>,
    pub phase: Cell<Phase>,
    /// The phases whose handlers have started: if nginx calls one again, it continues.
    entered: Cell<PhaseSet>,
    /// The pool's share, until nginx has been asked to report the request's end to it.
    share: Cell<Option<Share<Context>>>,

    pub tasks: Tasks,
    pub ending: Ending,
    pub output: Output,
    /// What most requests do not use.
    rare: Rare,
    /// Whether it has been looked at: if not, it is as new.
    rare_used: Cell<bool>,
}

/// What most requests do not use. To look at it marks it as used.
impl Deref for Context {
    type Target = Rare;

    #[inline(always)]
    fn deref(&self) -> &Rare {
        self.rare_used.set(true);
        &self.rare
    }
}

impl Context {
    /// The context in nginx's slot of `request`.
    #[inline(always)]
    pub fn of(request: Request) -> Option<Rc<Context>> {
        request.context()
    }

    pub fn request(&self) -> Request {
        *self.response.request()
    }

    /// What most requests do not use, if this one has.
    #[inline(always)]
    pub(in crate::runtime) fn used(&self) -> Option<&Rare> {
        self.rare_used.get().then_some(&self.rare)
    }

    pub fn vm(&self) -> &Rc<Vm> {
        match &self.vm {
            Some(vm) => vm,
            None => unreachable!("a context that belongs to a request has a VM"),
        }
    }

    /// The VM's main coroutine.
    pub fn main_state(&self) -> State {
        self.vm().main()
    }

    /// The merged configuration of the request's location.
    pub fn location(&self) -> &Location {
        LocationConf::of(self.response.request())
    }

    pub fn main_conf(&self) -> &MainConf {
        MainConf::of(self.response.request())
    }

    /// Whether the response header has been sent, by us or by nginx. While it passes the header
    /// filters, it has not been.
    pub fn is_header_sent(&self) -> bool {
        let by_us = self.output.header_sent.get() && self.phase.get() != Phase::HeaderFilter;
        by_us || self.request().header_sent()
    }

    /// Whether the code goes on without nginx: for a request that nginx does not know, a fake one
    /// or one that it has ended, or for one that waits for its server.
    #[inline(always)]
    pub fn is_alone(&self) -> bool {
        matches!(self.life.get(), Life::Fake | Life::Detached)
            || self.used().is_some_and(|rare| rare.upstream_peer.get().is_some())
    }

    /// Notes that the handler of `phase` has started.
    pub fn enter(&self, phase: Phase) {
        self.entered.set(self.entered.get().with(phase));
    }

    /// Lets the handler of `phase` start again.
    pub fn leave(&self, phase: Phase) {
        self.entered.set(self.entered.get().without(phase));
    }

    /// Whether the handler of `phase` has started.
    #[inline(always)]
    pub fn has_entered(&self, phase: Phase) -> bool {
        self.entered.get().has(phase)
    }

    /// Whether the code was told to end.
    #[inline(always)]
    pub fn is_to_end(&self) -> bool {
        self.ending.end.is_some()
    }

    /// Forgets which phases have been entered, and how their code ended: before code of another
    /// phase starts, and when nginx starts over with the request (a jump to another URI).
    #[inline(always)]
    pub fn restart(&self) {
        self.entered.set(PhaseSet::NONE);
        if self.is_to_end() {
            self.ending.end.take();
        }
        self.ending.exit_code.set(0);
        if let Some(rare) = self.used() {
            rare.body.state.set(BodyState::Unread);
        }
    }

    /// The context that the request had before nginx sent it elsewhere: the last one with an
    /// `ngx.ctx` table, whose VM `suits`.
    pub fn former(request: Request, suits: impl Fn(&Rc<Vm>) -> bool) -> Option<Rc<Context>> {
        request.pooled_contexts().find(|former: &Rc<Context>| {
            former.request() == request
                && former.ctx_ref.get().is_some()
                && former.vm.as_ref().is_some_and(&suits)
        })
    }

    /// Has it use the `ngx.ctx` table of `former`, which has the same VM. False without memory.
    pub fn inherit_ctx(&self, former: &Context) -> bool {
        let reference = ctx::share(self.main_state(), former.ctx_ref.get());
        self.ctx_ref.set(reference);
        reference.is_some()
    }

    /// Gives up the `ngx.ctx` table: the next access makes a new one.
    pub fn release_ctx(&self) {
        if let Some(rare) = self.used()
            && rare.ctx_ref.get().is_some()
        {
            ctx::release(self.main_state(), rare.ctx_ref.take());
        }
    }

    /// Whether it is the context of a filter's run.
    #[inline(always)]
    pub fn is_filter_run(&self) -> bool {
        self.used().is_some_and(|rare| rare.filter_run.get().is_some())
    }

    /// Whether the request is a fake one.
    pub fn is_fake(&self) -> bool {
        self.life.get() == Life::Fake
    }

    /// Whether the request lives on for code of the log phase, after nginx has ended it.
    pub fn is_detached(&self) -> bool {
        self.life.get() == Life::Detached
    }

    /// Whether the request has ended for Lua. That may happen while code of it is on the C stack.
    pub fn is_released(&self) -> bool {
        self.life.get() == Life::Released
    }
}
