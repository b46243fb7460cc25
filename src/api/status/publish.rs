//! The numbers of a worker that are not counted as things happen: they are looked up once a second,
//! and when this worker answers a request for the report.

use std::cell::RefCell;

use codec::fallible::Grow;

use crate::api::socket_tcp::pool::{Pool, Pools};
use crate::api::timer;
use crate::config::MainConf;
use crate::config::metrics::{self, Counters, Metric};
use crate::config::pool_rows::{self, NUMBERS, PoolNumber, PoolRow, ROWS};
use crate::nginx::event::alarm::{Timer, Waiter};
use crate::own_thread;
use crate::runtime::{Task, counters, fake_request};

/// Between two looks, in milliseconds.
const INTERVAL: usize = 1000;

own_thread! {
    static TIMER: RefCell<Option<Box<Timer<Publication>>>> = RefCell::new(None);
}

#[derive(Clone, Copy)]
struct Publication;

impl Waiter for Publication {
    fn abandon(&self) {}
}

/// Looks up this worker's numbers from now on. The timer does not keep a worker from exiting.
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

/// Stops what [`start`] has started.
pub fn stop() {
    let timer = TIMER.borrow_mut().take();
    drop(timer);
}

/// Looks up this worker's numbers, and stores them in its slot, if it has one.
pub fn publish() {
    let Some(own) = counters::own() else { return };
    let set = |metric, number| metrics::of(&own, metric).set(number);
    let [entries, light_threads, coroutines] = Task::count_alive();
    set(Metric::EntryThreads, entries);
    set(Metric::LightThreads, light_threads);
    set(Metric::Coroutines, coroutines);
    set(Metric::TimersPending, timer::pending_count() as u64);
    set(Metric::TimersRunning, fake_request::running_timers() as u64);
    publish_pools(&own);
    let vm = MainConf::with_current(MainConf::vm).flatten();
    set(Metric::VmBytes, vm.map_or(0, |vm| vm.main().bytes_in_use() as u64));
}

/// The name of the row for the pools that have no row of their own.
const OTHERS: &[u8] = b"(others)";

fn publish_pools(own: &Counters) {
    let mut sums = PoolRow::new(OTHERS, [0; NUMBERS]);
    let mut rows = Vec::new();
    let mut pools = 0;
    Pools::for_each(|pool| {
        let row = row_of(pool);
        sums.add(&row);
        pools += 1;
        // Without memory, the pool is only part of the sums.
        let _ = rows.try_push(row);
    });
    let set = |metric, number| metrics::of(own, metric).set(number);
    set(Metric::Pools, pools);
    set(Metric::PoolsUsed, sums.get(PoolNumber::Used));
    set(Metric::PoolsIdle, sums.get(PoolNumber::Idle));
    set(Metric::PoolsQueued, sums.get(PoolNumber::Queued));
    pool_rows::write(metrics::of_pools(own), largest(&mut rows));
}

fn row_of(pool: &Pool) -> PoolRow {
    let load = pool.load();
    let numbers =
        [pool.size() as u64, load.used as u64, load.idle as u64, load.queued as u64, pool.reuses()];
    PoolRow::new(pool.key(), numbers)
}

/// As many rows as there is room for: those of the pools with the most connections, and one for all
/// others, if there are any.
fn largest(rows: &mut [PoolRow]) -> &[PoolRow] {
    // By name as well, so that pools of the same size stay what they are from one second to the
    // next.
    rows.sort_unstable_by(|a, b| b.load().cmp(&a.load()).then_with(|| a.name().cmp(b.name())));
    let (shown, rest) = rows.split_at_mut(rows.len().min(ROWS));
    if !rest.is_empty()
        && let Some(last) = shown.last_mut()
    {
        rest.iter().for_each(|row| last.add(row));
        *last = last.renamed(OTHERS);
    }
    shown
}
