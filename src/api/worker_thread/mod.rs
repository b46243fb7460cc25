//! `ngx.run_worker_thread`: a function of a Lua module runs in a thread of an nginx thread pool.
//!
//! It runs in a VM of its own that shares nothing with the worker's: arguments and results are
//! copied. The VM belongs to the thread until the work is done, whether or not the task still
//! waits for it then.

mod copy;
mod lua;

use std::cell::{Cell, RefCell};
use std::rc::{Rc, Weak};

pub use lua::inject;

use crate::config::MainConf;
use crate::lua::Outcome;
use crate::lua::state::{GLOBALS, MULTRET};
use crate::lua::vm::Recipe;
use crate::lua::{State, ThreadVm};
use crate::nginx::core::process;
use crate::nginx::core::shared_memory::Dict;
use crate::nginx::core::thread_pool::{ThreadPool, Work};
use crate::runtime::{Context, Operation, Task, scheduler};

thread_local! {
    /// The VMs that no thread uses.
    static IDLE: RefCell<Vec<ThreadVm>> = const { RefCell::new(Vec::new()) };
    /// How many there are, idle or not.
    static VMS: Cell<usize> = const { Cell::new(0) };
}

/// What of lua-resty-core a thread's VM has.
const MODULES: &[&str] =
    &["resty.core.regex", "resty.core.hash", "resty.core.base64", "resty.core.shdict"];

/// An idle VM, or a new one unless there are as many as the configuration allows.
fn take_vm(context: &Context) -> Option<ThreadVm> {
    if let Some(vm) = IDLE.with_borrow_mut(Vec::pop) {
        return Some(vm);
    }
    let main = MainConf::of(context.request());
    if VMS.get() >= main.worker_thread_vm_pool_size() {
        return None;
    }
    let dicts = main.zones.dicts();
    let recipe = Recipe {
        package_path: None,
        package_cpath: None,
        prefix: process::prefix(),
        parent: Some(context.vm()),
        inject: &|state| inject_globals(state, &dicts),
        preload: &[],
    };
    let vm = ThreadVm::new(&recipe, MODULES).ok()?;
    VMS.set(VMS.get() + 1);
    Some(vm)
}

fn give_back(vm: ThreadVm) {
    vm.state().set_top(0);
    IDLE.with_borrow_mut(|idle| idle.push(vm));
}

/// The worker exits: its VMs are closed while nginx is still there.
pub fn close_idle() {
    let idle = IDLE.take();
    VMS.set(VMS.get().saturating_sub(idle.len()));
}

/// The `ngx` table of a thread's VM: what needs neither a request nor the event loop.
fn inject_globals(state: State, dicts: &[Dict]) {
    state.new_table(0, 16);
    super::constants::inject_config(state);
    super::request_args::inject_codec(state);
    super::encoding::inject(state);
    super::hash::inject(state);
    super::shdict::inject(state, dicts);
    state.set_field(GLOBALS, c"ngx");
}

/// A call in a thread: the function and its arguments are on the VM's stack, later the results.
struct Job {
    vm: ThreadVm,
    arguments: i32,
    outcome: Outcome,
}

impl Work for Job {
    fn run(&mut self) {
        let state = self.vm.state();
        self.outcome = state.call(self.arguments, MULTRET, 0);
        if self.outcome != Outcome::Done {
            // Here, for a `__tostring` may take its time.
            state.error_text();
        }
    }
}

/// The task waits for a thread; once this is dropped, nothing comes of the results.
struct Running {
    _alive: Rc<()>,
}

impl Operation for Running {}

/// Has a thread of `pool` call what is on the VM's stack, while `task` waits; false where the
/// pool takes no more.
fn start(pool: ThreadPool, vm: ThreadVm, arguments: i32, task: &Rc<Task>) -> bool {
    let alive = Rc::new(());
    let (waits, waiting) = (Rc::downgrade(&alive), Rc::downgrade(task));
    let job = Job { vm, arguments, outcome: Outcome::Done };
    match pool.post(job, move |job| finish(job, &waits, &waiting)) {
        Ok(()) => {
            task.wait_for(Box::new(Running { _alive: alive }));
            true
        }
        Err(job) => {
            give_back(job.vm);
            false
        }
    }
}

/// The thread is done: the task runs on with the results, if it still waits for them.
fn finish(job: Job, waits: &Weak<()>, task: &Weak<Task>) {
    let task = waits.upgrade().and_then(|_| task.upgrade());
    let results = task.as_ref().map(|task| push_results(&job, task.state));
    give_back(job.vm);
    if let (Some(task), Some(results)) = (task, results) {
        scheduler::wake(&task, results);
    }
}

/// Pushes true and the results, or false and why there are none; gives their number.
fn push_results(job: &Job, to: State) -> i32 {
    let from = job.vm.state();
    let refused = if job.outcome == Outcome::Done {
        let top = to.top();
        match push_copies(from, to) {
            Ok(results) => return results,
            Err(reason) => {
                to.set_top(top);
                format!("{reason} in the return value").into_bytes()
            }
        }
    } else {
        from.error_text().to_vec()
    };
    to.push_bool(false);
    to.push_bytes(&refused);
    2
}

fn push_copies(from: State, to: State) -> Result<i32, &'static str> {
    let results = from.top();
    to.reserve(results + 1).map_err(|_| copy::STACK_OVERFLOW)?;
    to.push_bool(true);
    for index in 1..=results {
        copy::value(from, index, to)?;
    }
    Ok(results + 1)
}
