//! A request's context: what the module knows about it between nginx's calls.
//!
//! It is shared (`Rc`) by the request's pool, which lets go of it last, and by each of its tasks.
//! nginx empties its own slot of module contexts on internal redirects and when it makes an error
//! page in the middle of an output call, so running code finds the context through its task, and
//! only code that starts anew looks at nginx's slot.

use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::rc::{Rc, Weak};

mod lifecycle;

use codec::fallible::{self, OutOfMemory};

use super::ctx::{self, NO_CTX};
use super::filter::BodyFilter;
use super::output::Held;
use super::resources::Resources;
use super::task::Task;
use crate::config::{LocationConf, MainConf};
use crate::config::{Phase, PhaseSet};
use crate::lua::vm::Thread;
use crate::lua::{State, Vm};
use crate::nginx::Request;
use crate::nginx::core::recycled::Recycled;
use crate::nginx::event::peer::Events;
use crate::nginx::http::cleanup::Share;
use crate::nginx::http::upstream::Peer;
use crate::own_thread;

/// What a coroutine asked of the scheduler when it yielded.
pub enum Switch {
    /// Wait for its pending operation.
    Wait,
    /// `coroutine.resume`: run that one, with so many of the yielded values.
    Resume(Rc<Task>, i32),
    /// `coroutine.yield`: back to the resumer, with so many values, all that are yielded.
    Yield(i32),
    /// `ngx.thread.spawn`: run that one first, with so many values on its stack.
    Spawn(Rc<Task>, i32),
}

/// How a request's Lua code was told to end.
#[derive(Clone, Debug)]
pub enum End {
    /// `ngx.exit`, `ngx.redirect`: an nginx code or HTTP status.
    Exit(isize),
    /// `ngx.exec`: the URI (or `@name`) and the arguments.
    Exec { uri: Vec<u8>, args: Vec<u8> },
}

/// What of a response's body may still be sent.
#[derive(Clone, Copy, Default, PartialEq, Eq, Debug)]
pub enum BodyCount {
    /// Nothing is counted.
    #[default]
    Off,
    /// So many bytes.
    Left(u64),
    /// There was more than the header says, and the log says so.
    Exceeded,
}

/// Who waits for the result of a stand-in's code.
pub type OnResult = Box<dyn FnOnce(crate::nginx::Status)>;

/// The context of one request or subrequest, or of a stand-in for one: a timer's, a worker hook's,
/// a TLS handshake's.
pub struct Context {
    request: Request,
    /// None while the context waits to be used again.
    vm: Option<Rc<Vm>>,
    /// A timer that no longer counts as running.
    pub timer_counted_out: Cell<bool>,
    /// Set for the stand-in requests of timers, worker hooks and TLS handshakes.
    pub fake: bool,
    /// Told the result of a stand-in's code, once.
    pub on_result: Cell<Option<OnResult>>,
    pub phase: Cell<Phase>,
    /// The phases whose handlers have started: nginx calls them again to go on.
    entered: Cell<PhaseSet>,

    // --- tasks
    entry: RefCell<Option<Rc<Task>>>,
    tasks: RefCell<Vec<Rc<Task>>>,
    /// Whether there may be other tasks than the entry thread, or tasks in a queue.
    had_tasks: Cell<bool>,
    current: RefCell<Option<Rc<Task>>>,
    /// Threads that are ready to run, with the number of values on their stacks.
    posted: RefCell<VecDeque<(Rc<Task>, i32)>>,
    /// The tasks that events woke, until their phase handler has been entered again.
    woken: RefCell<VecDeque<(Rc<Task>, i32)>>,
    switch: Cell<Switch>,
    pub on_abort: RefCell<Option<Rc<Task>>>,
    /// Light threads that have not ended.
    pub light_threads: Cell<usize>,
    /// The request is over for Lua: nothing runs any more.
    released: Cell<bool>,
    /// The pool's share, until nginx has been asked to tell it when the request ends.
    share: Cell<Option<Share<Context>>>,

    // --- the end
    pub end: RefCell<Option<End>>,
    /// What `ngx.exit` was last called with; 0 before.
    pub exit_code: Cell<isize>,
    /// Pending operations that forbid `ngx.exit` and its like: subrequests, body reads.
    pub no_abort: Cell<bool>,
    /// Captured subrequests under way.
    pub subrequests: RefCell<Vec<Request>>,
    /// Batches of captured subrequests that tasks wait for.
    pub pending_captures: Cell<usize>,

    /// A subrequest whose request headers are not its parent's any more.
    pub owns_request_headers: Cell<bool>,

    // --- request body
    pub waiting_more_body: Cell<bool>,
    pub body_read: Cell<bool>,
    /// The threads that wait in `ngx.req.read_body`.
    pub body_readers: RefCell<Vec<Weak<Task>>>,

    // --- output
    /// The last buffer has been sent.
    pub eof: Cell<bool>,
    /// The header was sent by us, whatever nginx's flag says since.
    pub header_sent: Cell<bool>,
    /// A response header was set by the script: Content-Length and Accept-Ranges are its own.
    pub headers_set: Cell<bool>,
    pub mime_set: Cell<bool>,
    /// Something of the body was given to the filters, or held back.
    pub seen_body_data: Cell<bool>,
    /// HTTP/1.0: the body is held back until its length is known.
    pub buffering: Cell<bool>,
    pub body_count: Cell<BodyCount>,
    /// The body that the filters have not been given yet.
    pub held: Cell<Held>,
    pub recycled: RefCell<Recycled>,
    pub flushing: Cell<usize>,
    pub raw_socket_acquired: Cell<bool>,

    // --- ngx.ctx
    /// lua-resty-core's reference of the `ngx.ctx` table; negative for none.
    pub ctx_ref: Cell<i32>,

    // --- connections
    pub(super) resources: Resources,
    /// Who reads from or writes to the client's connection (`ngx.req.socket`).
    pub downstream: RefCell<Option<Weak<dyn Events>>>,

    /// The body filter's chain while `body_filter_by_lua*` runs, and what it leaves.
    pub body_filter: BodyFilter,
    /// The arguments of the running `set_by_lua*`.
    pub set_arguments: RefCell<Vec<&'static [u8]>>,
    /// The try that the running `balancer_by_lua*` decides on.
    pub upstream_peer: Cell<Option<Peer>>,
}

impl Context {
    /// The context in nginx's slot of `request`.
    #[inline(always)]
    pub fn of(request: Request) -> Option<Rc<Context>> {
        request.context()
    }

    pub fn request(&self) -> Request {
        self.request
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
    pub fn location(&self) -> &'static LocationConf {
        LocationConf::of(self.request)
    }

    pub fn main_conf(&self) -> &'static MainConf {
        MainConf::of(self.request)
    }

    /// Whether the response header has been sent, by us or by nginx. While it passes the header
    /// filters, it has not been.
    pub fn is_header_sent(&self) -> bool {
        let by_us = self.header_sent.get() && self.phase.get() != Phase::HeaderFilter;
        by_us || self.request.header_sent()
    }

    /// The handler of `phase` has started.
    pub fn enter(&self, phase: Phase) {
        self.entered.set(self.entered.get().with(phase));
    }

    /// The handler of `phase` may start anew.
    pub fn leave(&self, phase: Phase) {
        self.entered.set(self.entered.get().without(phase));
    }

    /// Whether the handler of `phase` has started.
    #[inline(always)]
    pub fn has_entered(&self, phase: Phase) -> bool {
        self.entered.get().has(phase)
    }

    // --- tasks

    pub fn entry(&self) -> Option<Rc<Task>> {
        self.entry.borrow().clone()
    }

    pub fn set_entry(&self, task: Rc<Task>) {
        *self.entry.borrow_mut() = Some(task);
    }

    pub fn is_entry_alive(&self) -> bool {
        self.entry.borrow().as_ref().is_some_and(|task| task.is_alive())
    }

    /// Has room for another task, wherever it may wait for its turn; fails where memory is out.
    #[inline]
    pub fn reserve_task(&self) -> Result<(), OutOfMemory> {
        Task::reserve()?;
        let mut tasks = self.tasks.borrow_mut();
        tasks.try_reserve(1)?;
        // Each task, the entry thread and this one, may wait there once.
        let most = tasks.len() + 2;
        for queue in [&self.posted, &self.woken] {
            let mut queue = queue.borrow_mut();
            let missing = most.saturating_sub(queue.len());
            queue.try_reserve(missing)?;
        }
        Ok(())
    }

    #[inline(always)]
    pub fn add_task(&self, task: Rc<Task>) {
        self.had_tasks.set(true);
        let mut tasks = self.tasks.borrow_mut();
        task.place.set(tasks.len());
        #[expect(clippy::disallowed_methods, reason = "`reserve_task` has made the room")]
        tasks.push(task);
    }

    /// The tasks that wait in `ngx.flush(true)`; they do not from now on.
    pub fn take_flushing(&self) -> Result<Vec<Rc<Task>>, OutOfMemory> {
        let (entry, tasks) = (self.entry.borrow(), self.tasks.borrow());
        let all = entry.iter().chain(tasks.iter()).filter(|task| task.flushing.get());
        let waiting = fallible::collect(all.cloned())?;
        waiting.iter().for_each(|task| task.flushing.set(false));
        Ok(waiting)
    }

    pub fn current(&self) -> Option<Rc<Task>> {
        self.current.borrow().clone()
    }

    /// The running task, if it is the one that runs on `state`.
    #[inline(always)]
    pub fn current_on(&self, state: State) -> Option<Rc<Task>> {
        self.current.borrow().as_ref().filter(|task| task.state == state).cloned()
    }

    pub fn set_current(&self, task: Option<Rc<Task>>) {
        let before = self.current.replace(task);
        drop(before);
    }

    /// Whether the code was told to end.
    #[inline(always)]
    pub fn is_to_end(&self) -> bool {
        self.end.borrow().is_some()
    }

    #[inline]
    pub fn set_switch(&self, switch: Switch) {
        let old = self.switch.replace(switch);
        // As it nearly always is: that needs no dropping.
        if matches!(old, Switch::Wait) {
            std::mem::forget(old);
        }
    }

    pub fn take_switch(&self) -> Switch {
        self.switch.replace(Switch::Wait)
    }

    pub fn post(&self, task: Rc<Task>, values: i32) {
        self.had_tasks.set(true);
        #[expect(clippy::disallowed_methods, reason = "`reserve_task` has made the room")]
        self.posted.borrow_mut().push_back((task, values));
    }

    pub fn take_posted(&self) -> Option<(Rc<Task>, i32)> {
        self.posted.borrow_mut().pop_front()
    }

    pub fn has_posted(&self) -> bool {
        !self.posted.borrow().is_empty()
    }

    pub fn set_woken(&self, task: Rc<Task>, values: i32) {
        self.had_tasks.set(true);
        #[expect(clippy::disallowed_methods, reason = "`reserve_task` has made the room")]
        self.woken.borrow_mut().push_back((task, values));
    }

    pub fn take_woken(&self) -> Option<(Rc<Task>, i32)> {
        self.woken.borrow_mut().pop_front()
    }

    /// Ends one task: its operation is cancelled, its coroutine given back.
    pub fn remove_task(&self, task: &Rc<Task>) {
        self.end_task(task);
        task.retire();
    }

    #[inline]
    fn end_task(&self, task: &Rc<Task>) {
        if let Some(reference) = task.detach() {
            let recycle = task.role == super::Role::Entry && !task.runs.get();
            let thread = Thread { state: task.state, reference };
            self.vm().give_back_thread(thread, recycle, self.request.log());
        }
        if task.role == super::Role::Entry {
            let mut entry = self.entry.borrow_mut();
            if entry.as_ref().is_some_and(|entry| Rc::ptr_eq(entry, task)) {
                *entry = None;
            }
            return;
        }
        let mut tasks = self.tasks.borrow_mut();
        let place = task.place.replace(usize::MAX);
        if place < tasks.len() {
            tasks.swap_remove(place);
            if let Some(moved) = tasks.get(place) {
                moved.place.set(place);
            }
        }
    }

    /// Ends all tasks, in whatever they wait. Safe to call twice.
    pub fn remove_all_tasks(&self) {
        if self.had_tasks.replace(false) {
            self.remove_tasks();
        }
        if self.entry.borrow().is_some()
            && let Some(entry) = self.entry()
        {
            entry.zombies.borrow_mut().clear();
            self.remove_task(&entry);
        }
    }

    fn remove_tasks(&self) {
        self.posted.borrow_mut().clear();
        self.woken.borrow_mut().clear();
        *self.on_abort.borrow_mut() = None;
        let mut tasks = self.tasks.take();
        for task in tasks.drain(..) {
            task.place.set(usize::MAX);
            task.zombies.borrow_mut().clear();
            self.remove_task(&task);
        }
        if tasks.capacity() <= KEPT_TASKS {
            *self.tasks.borrow_mut() = tasks;
        }
        self.light_threads.set(0);
        self.flushing.set(0);
    }

    /// nginx starts over with the request (a jump to another URI): so does the context.
    pub fn restart(&self) {
        self.entered.set(PhaseSet::NONE);
        self.end.take();
        self.exit_code.set(0);
        self.waiting_more_body.set(false);
        self.body_read.set(false);
    }

    /// Gives up the `ngx.ctx` table: whoever asks for it next gets a new one.
    pub fn release_ctx(&self) {
        if self.ctx_ref.get() >= 0 {
            ctx::release(self.main_state(), self.ctx_ref.replace(NO_CTX));
        }
    }

    /// Whether the request ended while Lua code of it was still on the stack.
    pub fn is_released(&self) -> bool {
        self.released.get()
    }
}

/// Room for so many tasks is kept for the next request.
const KEPT_TASKS: usize = 64;

own_thread! {
    /// The contexts whose code is on the C stack, innermost last.
    static RUNNING: RefCell<Vec<Rc<Context>>> = RefCell::new(Vec::new());
}

/// Marks a context's code as running until it is dropped.
pub struct RunningGuard(());

impl Context {
    /// `self`'s code runs from now on, until the guard is dropped.
    pub fn run_guard(self: &Rc<Self>) -> RunningGuard {
        #[expect(clippy::disallowed_methods, reason = "as many as calls nest on the C stack")]
        RUNNING.borrow_mut().push(self.clone());
        RunningGuard(())
    }

    /// The context of running code for `request`, where nginx's slot has been emptied below it.
    pub fn running(request: Request) -> Option<Rc<Context>> {
        RUNNING.borrow().iter().rev().find(|context| context.request == request).cloned()
    }
}

impl Drop for RunningGuard {
    fn drop(&mut self) {
        let ended = RUNNING.borrow_mut().pop();
        drop(ended);
    }
}
