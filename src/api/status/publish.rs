//! The numbers of a worker that nobody counts: they are looked up once a second, and when this worker
//! answers.

use std::cell::RefCell;

use crate::api::socket_tcp::pool::Pools;
use crate::api::timer;
use crate::config::MainConf;
use crate::config::metrics::{self, Metric};
use crate::nginx::event::alarm::{Timer, Waiter};
use crate::own_thread;
use crate::runtime::{Task, counters, fake_request};

/// In milliseconds.
const INTERVAL: usize = 1000;

own_thread! {
    static TIMER: RefCell<Option<Box<Timer<Publication>>>> = RefCell::new(None);
}

#[derive(Clone, Copy)]
struct Publication;

impl Waiter for Publication {
    fn abandon(&self) {}
}

/// Has this worker's numbers looked up from now on. The timer keeps no worker from exiting.
pub fn start() {
    publish();
    let timer = Timer::new(Publication, |_| {
        publish();
        if let Some(timer) = TIMER.borrow().as_ref() {
            timer.arm(INTERVAL);
        }
    });
    timer.set_cancelable();
    timer.arm(INTERVAL);
    *TIMER.borrow_mut() = Some(timer);
}

/// Has them looked up no more.
pub fn stop() {
    let timer = TIMER.borrow_mut().take();
    drop(timer);
}

/// Looks them up.
pub fn publish() {
    let Some(own) = counters::own() else { return };
    let set = |metric, number| metrics::of(own, metric).set(number);
    let [entries, light_threads, coroutines] = Task::count_alive();
    set(Metric::EntryThreads, entries);
    set(Metric::LightThreads, light_threads);
    set(Metric::Coroutines, coroutines);
    set(Metric::TimersPending, timer::pending_count() as u64);
    set(Metric::TimersRunning, fake_request::running_timers() as u64);
    let (mut pools, mut used, mut idle, mut queued) = (0, 0, 0, 0);
    Pools::for_each(|pool| {
        let load = pool.load();
        pools += 1;
        used += load.used as u64;
        idle += load.idle as u64;
        queued += load.queued as u64;
    });
    set(Metric::Pools, pools);
    set(Metric::PoolsUsed, used);
    set(Metric::PoolsIdle, idle);
    set(Metric::PoolsQueued, queued);
    let vm = MainConf::current().and_then(MainConf::vm);
    set(Metric::VmBytes, vm.map_or(0, |vm| vm.main().bytes_in_use() as u64));
}
