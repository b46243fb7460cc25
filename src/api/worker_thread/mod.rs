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

use codec::fallible::{self, Grow};

use crate::config::MainConf;
use crate::lua::state::{GLOBALS, MULTRET};
use crate::lua::vm::{GlobalWrites, Recipe};
use crate::lua::{LuaFailure, Outcome, State, ThreadVm};
use crate::nginx::Level;
use crate::nginx::core::process;
use crate::nginx::core::shared_memory::Dict;
use crate::nginx::core::thread_pool::{ThreadPool, Work};
use crate::own_thread;
use crate::runtime::{Context, Operation, Task, scheduler, vm};

own_thread! {
    /// The VMs that no job uses, all of the current configuration.
    static IDLE: RefCell<Vec<ThreadVm>> = RefCell::new(Vec::new());
    /// How many VMs there are, idle or not.
    static VMS: Cell<usize> = Cell::new(0);
    /// How many configurations this process has read: without a master, it goes on with another one.
    static CONFIGURATIONS: Cell<usize> = Cell::new(0);
}

/// A VM for jobs of one configuration, whose dictionaries it has.
struct JobVm {
    vm: ThreadVm,
    /// The number of that configuration, if it was the current one when the VM was made.
    configuration: Option<usize>,
}

/// The modules of lua-resty-core that a thread's VM has.
const MODULES: &[&str] =
    &["resty.core.regex", "resty.core.hash", "resty.core.base64", "resty.core.shdict"];

/// An idle VM, or a new one unless there are as many as the configuration allows. Why none could be
/// made is logged.
fn take_vm(context: &Context) -> Option<JobVm> {
    let main = context.main_conf();
    let is_current = MainConf::with_current(|current| std::ptr::eq(current, main)).unwrap_or(false);
    let configuration = is_current.then(|| CONFIGURATIONS.get());
    if is_current && let Some(vm) = IDLE.borrow_mut().pop() {
        return Some(JobVm { vm, configuration });
    }
    if VMS.get() >= main.worker_thread_vm_pool_size() {
        return None;
    }
    let (dicts, prefix) = (main.zones.dicts(), process::prefix());
    let recipe = Recipe {
        package_path: None,
        package_cpath: None,
        prefix: prefix.bytes(),
        parent: Some(context.vm()),
        inject: &|state| inject_globals(state, &dicts),
        complete: &|_| {},
        global_writes: GlobalWrites::Allowed,
        max_memory: main.written.borrow().max_memory,
        preload: &[],
    };
    match ThreadVm::new(&recipe, MODULES) {
        Ok(vm) => {
            VMS.set(VMS.get() + 1);
            Some(JobVm { vm, configuration })
        }
        Err(error) => {
            context.request().log().write(Level::Err, &vm::message(error));
            None
        }
    }
}

/// Makes a VM idle, for the next job, unless the configuration is another one now.
fn give_back(JobVm { mut vm, configuration }: JobVm) {
    vm.state().set_top(0);
    let is_current = configuration == Some(CONFIGURATIONS.get());
    if is_current {
        vm.release_garbage();
    }
    if !is_current || IDLE.borrow_mut().try_push(vm).is_err() {
        VMS.set(VMS.get().saturating_sub(1));
    }
}

/// nginx has read a configuration: the VMs that have the dictionaries of the one before go.
pub fn configuration_is_read() {
    CONFIGURATIONS.set(CONFIGURATIONS.get() + 1);
    close_idle();
}

/// The worker exits: closes the idle VMs while nginx's structures still exist.
pub fn close_idle() {
    let idle = IDLE.take();
    VMS.set(VMS.get().saturating_sub(idle.len()));
}

/// Makes the `ngx` table of a thread's VM, with what needs neither a request nor the event loop.
fn inject_globals(mut state: State, dicts: &[Dict]) {
    state.new_table(0, 16);
    super::constants::inject_config(state);
    super::request_args::inject_codec(state);
    super::encoding::inject(state);
    super::hash::inject(state);
    super::shdict::inject(state, dicts);
    state.set_field(GLOBALS, c"ngx");
    super::coroutine::inject_own(state);
}

/// A call in a thread: the function and its arguments are on the VM's stack, and after it the
/// results.
struct Job {
    vm: JobVm,
    arguments: i32,
    outcome: Outcome,
}

impl Work for Job {
    fn run(&mut self) {
        let mut state = self.vm.vm.state();
        self.outcome = state.call(self.arguments, MULTRET, 0);
        if self.outcome == Outcome::Failed(LuaFailure::Memory) {
            self.vm.vm.set_full();
        }
        if self.outcome != Outcome::Done {
            // The text is made here, in the thread, because a script's `__tostring` may take long.
            state.error_text();
        }
    }
}

/// The operation of a task that waits for a thread. Dropping it does not stop the thread, but has
/// the results discarded.
struct Running {
    _alive: Rc<()>,
}

impl Operation for Running {
    fn name(&self) -> &'static str {
        "ngx.run_worker_thread"
    }
}

/// Has a thread of `pool` call the function on the VM's stack, while `task` waits; false if the
/// pool's queue is full.
fn start(pool: ThreadPool, vm: JobVm, arguments: i32, task: &Rc<Task>) -> bool {
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

/// The thread has finished: wakes the task with the results, if it still waits for them.
fn finish(job: Job, waits: &Weak<()>, task: &Weak<Task>) {
    let task = waits.upgrade().and_then(|_| task.upgrade());
    let Some(task) = task else { return give_back(job.vm) };
    let results = take_results(&job, &task);
    give_back(job.vm);
    match results {
        Ok(count) => scheduler::wake(&task, count),
        Err(reason) => scheduler::wake_with(&task, 2, |to| {
            to.push_bool(false);
            to.push_bytes(&reason);
        }),
    }
}

/// Pushes true and the results onto the task's stack, and returns how many values that are. An
/// error is the text for Lua.
fn take_results(job: &Job, task: &Task) -> Result<i32, Vec<u8>> {
    let mut from = job.vm.vm.state();
    if job.outcome != Outcome::Done {
        return Err(from.take_error());
    }
    let count = from.top() + 1;
    let mut main = task.main_state().ok_or_else(Vec::new)?;
    let mut copied = Ok(());
    main.produce(count, |to| copied = push_copies(from, to))?;
    let fits = task.state().reserve_waiting(|| Some(main), count).map_err(|_| copy::STACK_OVERFLOW);
    if let Err(reason) = copied.and(fits) {
        main.pop(count);
        return Err(fallible::text(format_args!("{reason} in the return value")).into_bytes());
    }
    main.move_to(task.state(), count);
    Ok(count)
}

/// Pushes true and copies of the values on the stack of `from`.
fn push_copies(from: State, to: State) -> Result<(), &'static str> {
    let results = from.top();
    to.reserve(results + 1).map_err(|_| copy::STACK_OVERFLOW)?;
    to.push_bool(true);
    for index in 1..=results {
        copy::value(from, index, to)?;
    }
    Ok(())
}
