//! Pools of connections: one per key and Lua VM.
//!
//! Everything that counts against a pool's size holds a [`Seat`]: a connection in use, an idle one
//! in the pool, a connect that waits in its queue. Dropping a seat lets the next connect of the
//! queue go ahead, and dropping the last seat removes the pool.

use std::cell::{Cell, RefCell};
use std::collections::{HashMap, VecDeque};
use std::rc::{Rc, Weak};

use codec::fallible::{self, OutOfMemory};
use codec::pool_admission::{self, admit, has_place};
use foldhash::fast::RandomState;

use super::connect::Target;
use super::keepalive::{Idle, Woken};
use super::socket::Socket;
use crate::lua::registry::TCP_POOLS_METATABLE;
use crate::lua::state::REGISTRY;
use crate::lua::{State, userdata};
use crate::nginx::core::log::{Log, Shown, cycle_log};
use crate::nginx::event::alarm::{Timer, Waiter};
use crate::nginx::event::stream::Stream;
use crate::runtime::scheduler;
use crate::{ngx_debug, own_thread};

/// The pools of one Lua VM, by their keys. The hash is seeded anew in each process, because a
/// script may make keys of what clients send: they cannot choose keys that collide.
#[derive(Default)]
pub struct Pools(RefCell<HashMap<Vec<u8>, Rc<Pool>, RandomState>>);

own_thread! {
    /// The pools of every VM of this worker, by its main coroutine.
    static VMS: RefCell<Vec<(State, Rc<Pools>)>> = RefCell::new(Vec::new());
}

impl Pools {
    /// Those of the VM with the main coroutine `main`.
    pub fn of(main: State) -> Rc<Pools> {
        let mut vms = VMS.borrow_mut();
        if let Some((_, pools)) = vms.iter().find(|(vm, _)| *vm == main) {
            return pools.clone();
        }
        let pools = Rc::<Pools>::default();
        #[expect(clippy::disallowed_methods, reason = "a VM takes far more")]
        vms.push((main, pools.clone()));
        pools
    }

    /// The VM is being closed: closes the idle connections of its pools.
    pub fn close(main: State) {
        let at = VMS.borrow().iter().position(|(vm, _)| *vm == main);
        let Some(at) = at else { return };
        let (_, pools) = VMS.borrow_mut().swap_remove(at);
        for (key, pool) in pools.0.take() {
            ngx_debug!(
                cycle_log(),
                "lua tcp socket keepalive: free connection pool {:016X} for \"{}\"",
                Rc::as_ptr(&pool) as usize,
                Shown(&key)
            );
            let resting = pool.resting.take();
            drop(resting);
        }
    }

    /// Calls `each` for every pool of every VM of this worker.
    pub fn for_each(mut each: impl FnMut(&Pool)) {
        for (_, pools) in VMS.borrow().iter() {
            pools.0.borrow().values().for_each(|pool| each(pool));
        }
    }

    pub fn find(&self, key: &[u8]) -> Option<Rc<Pool>> {
        self.0.borrow().get(key).cloned()
    }

    /// Makes a pool for `size` connections, in whose queue `backlog` connects may wait. With a
    /// negative `backlog` there is no queue: any number may connect.
    pub fn create(
        self: &Rc<Self>,
        key: &[u8],
        size: i64,
        backlog: i64,
        log: Log,
    ) -> Result<Rc<Pool>, OutOfMemory> {
        ngx_debug!(log, "lua tcp socket connection pool size: {size}, backlog: {backlog}");
        ngx_debug!(
            log,
            "lua tcp socket keepalive create connection pool for key \"{}\"",
            Shown(key)
        );
        let pool = Rc::new(Pool {
            key: fallible::copy(key)?,
            pools: Rc::downgrade(self),
            size: usize::try_from(size).unwrap_or(1),
            backlog: usize::try_from(backlog).ok(),
            seats: Cell::new(0),
            reuses: Cell::new(0),
            resting: RefCell::default(),
            waiting: RefCell::default(),
        });
        let mut pools = self.0.borrow_mut();
        pools.try_reserve(1)?;
        pools.insert(fallible::copy(key)?, pool.clone());
        Ok(pool)
    }
}

/// What counts against the size of a pool.
pub struct PoolLoad {
    pub used: usize,
    pub idle: usize,
    pub queued: usize,
}

/// Connections under one key.
pub struct Pool {
    key: Vec<u8>,
    pools: Weak<Pools>,
    size: usize,
    backlog: Option<usize>,
    seats: Cell<usize>,
    /// How many idle connections have been taken from it.
    reuses: Cell<u64>,
    /// The idle connections, the latest first.
    resting: RefCell<VecDeque<Idle>>,
    /// The queue of connects, the oldest first. One that was cancelled stays until the next look.
    waiting: RefCell<VecDeque<Weak<Queued>>>,
}

/// The pool's answer to a socket that wants to connect.
pub enum Admission {
    Seat(Seat),
    /// It has to wait in the queue, and holds this seat meanwhile.
    Queue(Seat),
    /// The queue is full.
    Full,
}

impl Pool {
    pub fn key(&self) -> &[u8] {
        &self.key
    }

    /// How many connections are in use and idle, and how many connects wait.
    pub fn load(&self) -> PoolLoad {
        let (idle, queued) = (self.resting.borrow().len(), self.waiting.borrow().len());
        PoolLoad { used: self.seats.get().saturating_sub(idle + queued), idle, queued }
    }

    /// How many connections it is for.
    pub fn size(&self) -> usize {
        self.size
    }

    /// How many idle connections have been taken from it.
    pub fn reuses(&self) -> u64 {
        self.reuses.get()
    }

    /// Counts an idle connection that was taken from it.
    pub fn count_reuse(&self) {
        self.reuses.set(self.reuses.get() + 1);
    }

    /// Another seat, even beyond the pool's size.
    pub fn seat(self: &Rc<Self>) -> Seat {
        self.seats.set(self.seats.get() + 1);
        Seat { pool: self.clone(), silent: Cell::new(false) }
    }

    /// Asks whether a connect may go ahead.
    pub fn admit(self: &Rc<Self>) -> Admission {
        match admit(self.seats.get(), self.size, self.backlog) {
            pool_admission::Admission::Seat => Admission::Seat(self.seat()),
            pool_admission::Admission::Queue => Admission::Queue(self.seat()),
            pool_admission::Admission::Full => Admission::Full,
        }
    }

    /// Takes the idle connection that came back last and is still good. If there is none, but some
    /// were stale, the seat of one of those; the stale ones are closed.
    pub fn take_idle(&self, log: Log) -> Option<Woken> {
        ngx_debug!(log, "lua tcp socket pool get keepalive peer");
        let mut place = None;
        loop {
            let next = self.resting.borrow_mut().pop_front();
            let Some(idle) = next else {
                ngx_debug!(log, "lua tcp socket keepalive: connection pool empty");
                return place.map(Woken::Seat);
            };
            match idle.wake(log) {
                Woken::Seat(seat) => place = Some(seat),
                connection @ Woken::Connection(_) => return Some(connection),
            }
        }
    }

    /// Adds an idle connection; if there are as many as the pool's size, closes the one that has
    /// been idle longest.
    pub fn put(&self, idle: Idle) -> Result<(), OutOfMemory> {
        let mut all = self.resting.borrow_mut();
        let oldest = if all.len() >= self.size { all.pop_back() } else { None };
        let room = all.try_reserve(1);
        if room.is_ok() {
            #[expect(clippy::disallowed_methods, reason = "the capacity is reserved")]
            all.push_front(idle);
        }
        drop(all);
        drop(oldest);
        Ok(room?)
    }

    /// Closes an idle connection.
    pub fn remove(&self, stream: Stream) {
        let mut all = self.resting.borrow_mut();
        let at = all.iter().position(|idle| idle.peer.stream() == stream);
        let removed = at.and_then(|at| all.remove(at));
        drop(all);
        drop(removed);
    }

    /// Has the connect of `socket` wait in the queue, for at most that many milliseconds. Dropping
    /// the result cancels the wait.
    pub fn queue(
        self: &Rc<Self>,
        seat: Seat,
        socket: &Rc<Socket>,
        target: Target<'static>,
        milliseconds: usize,
    ) -> Result<Rc<Queued>, OutOfMemory> {
        self.waiting.borrow_mut().try_reserve(1)?;
        ngx_debug!(
            socket.request.get().log(),
            "lua tcp socket queue connect operation for connection pool \"{}\", connections: {}",
            Shown(&self.key),
            self.seats.get()
        );
        let queued = Rc::new_cyclic(|this: &Weak<Queued>| Queued {
            seat: RefCell::new(Some(seat)),
            socket: Rc::downgrade(socket),
            target: RefCell::new(Some(target)),
            timer: Timer::new(this.clone(), |this: &Weak<Queued>| {
                if let Some(queued) = this.upgrade() {
                    queued.fire();
                }
            }),
            has_turn: Cell::new(false),
        });
        queued.timer.arm(milliseconds);
        ngx_debug!(cycle_log(), "lua tcp socket queued connect operation for {milliseconds}(ms)");
        #[expect(clippy::disallowed_methods, reason = "the capacity is reserved")]
        self.waiting.borrow_mut().push_back(Rc::downgrade(&queued));
        Ok(queued)
    }

    /// Has the connect that has waited longest go ahead at the end of this event loop round, if
    /// there is a place for it.
    pub fn call_next(&self) {
        if !self.waiting.borrow().is_empty() {
            self.call_waiting();
        }
    }

    #[cold]
    fn call_waiting(&self) {
        self.waiting.borrow_mut().retain(|queued| queued.upgrade().is_some_and(|q| q.waits()));
        let waiting = self.waiting.borrow().len();
        if !has_place(self.seats.get(), waiting, self.resting.borrow().len(), self.size) {
            return;
        }
        let next = self.waiting.borrow_mut().pop_front().and_then(|next| next.upgrade());
        let Some(queued) = next else { return };
        ngx_debug!(
            cycle_log(),
            "lua tcp socket post connect operation resumption for connection pool \"{}\", \
             connections: {}",
            Shown(&self.key),
            self.seats.get()
        );
        queued.has_turn.set(true);
        queued.timer.disarm();
        queued.timer.post();
    }
}

/// Counts against a pool's size while it exists.
pub struct Seat {
    pool: Rc<Pool>,
    /// Whether dropping it leaves the queue alone.
    silent: Cell<bool>,
}

impl Seat {
    pub fn pool(&self) -> &Rc<Pool> {
        &self.pool
    }

    /// Drops the seat without a look at the queue: the holder has another seat of the same pool.
    pub fn give_up(self) {
        self.silent.set(true);
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        let pool = &self.pool;
        pool.seats.set(pool.seats.get().saturating_sub(1));
        if pool.seats.get() > 0 {
            if !self.silent.get() {
                pool.call_next();
            }
            return;
        }
        let Some(pools) = pool.pools.upgrade() else { return };
        let mut all = pools.0.borrow_mut();
        // Another pool may have the key by now.
        if all.get(&pool.key).is_some_and(|other| Rc::ptr_eq(other, pool)) {
            ngx_debug!(
                cycle_log(),
                "lua tcp socket keepalive: free connection pool for \"{}\"",
                Shown(&pool.key)
            );
            all.remove(&pool.key);
        }
    }
}

/// A connect that waits for a place in the pool.
pub struct Queued {
    seat: RefCell<Option<Seat>>,
    socket: Weak<Socket>,
    target: RefCell<Option<Target<'static>>>,
    timer: Box<Timer<Weak<Queued>>>,
    /// Whether there is a place for it, and the timer was posted to tell it so.
    has_turn: Cell<bool>,
}

impl Queued {
    pub fn take_seat(&self) -> Option<Seat> {
        self.seat.take()
    }

    pub fn take_target(&self) -> Option<Target<'static>> {
        self.target.take()
    }

    /// Whether it still waits for a place.
    fn waits(&self) -> bool {
        self.timer.is_armed()
    }

    fn fire(&self) {
        let Some(socket) = self.socket.upgrade() else { return };
        if self.has_turn.get() {
            socket.leave_queue(self);
        } else {
            socket.time_out_in_queue(self);
        }
    }
}

impl Waiter for Weak<Queued> {
    /// Fails the request of the connect that waits here.
    fn abandon(&self) {
        let socket = self.upgrade().and_then(|queued| queued.socket.upgrade());
        let context = socket.and_then(|socket| socket.context());
        if let Some(context) = context {
            scheduler::fail(&context);
        }
    }
}

/// The value of a userdata in the registry: it is dropped when the VM is closed, and closes the
/// VM's pools.
struct Closer(State);

impl Drop for Closer {
    fn drop(&mut self) {
        Pools::close(self.0);
    }
}

/// Has the pools of the VM with the main coroutine `state` closed when that VM is.
pub fn inject(mut state: State) {
    userdata::inject::<Closer>(state, TCP_POOLS_METATABLE);
    userdata::push(state, Closer(state), TCP_POOLS_METATABLE);
    state.set_field(REGISTRY, c"__tcp_cosocket_pools");
}
