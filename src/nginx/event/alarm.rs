//! Timers and posted events with one owner: dropping them removes them from nginx.

use std::cell::UnsafeCell;
use std::ffi::c_void;
use std::marker::PhantomData;
use std::mem::offset_of;
use std::ptr::addr_of_mut;
use std::rc::Rc;

use export::callback;

use crate::ngx_debug;

use crate::nginx::core::guard::{fault_point, guard, panics};
use crate::nginx::core::log::{Log, cycle_log};
use crate::nginx::sys::{
    ngx_add_timer, ngx_connection_t, ngx_del_timer, ngx_delete_posted_event, ngx_event_t,
    ngx_post_event, ngx_posted_events, ngx_posted_next_events, ngx_socket_t,
};

/// The timer, in milliseconds, that accompanies an event posted for the next round of the event
/// loop.
const KEEPS_WORKER: usize = 60_000;

/// An nginx event that is part of its owner: a timer, a posted event, or both. Dropping it removes
/// it from nginx, so its handler never runs for an owner that is gone.
///
/// The event's data is where the event itself is. nginx takes any event's data for a connection, of which its
/// debug lines show the descriptor: what they show is a field of the event then.
#[repr(transparent)]
pub struct Alarm(UnsafeCell<ngx_event_t>);

const _: () = assert!(
    offset_of!(ngx_connection_t, fd) + size_of::<ngx_socket_t>() <= size_of::<ngx_event_t>(),
    "nginx looks beyond the event"
);

impl Default for Alarm {
    fn default() -> Alarm {
        // SAFETY: all zero is a valid, unarmed ngx_event_t.
        Alarm(UnsafeCell::new(unsafe { std::mem::zeroed() }))
    }
}

/// Who has an alarm of its own.
pub trait Sleeper: Sized + 'static {
    /// Which field it is: [`alarm_field!`](crate::alarm_field) tells.
    const ALARM: AlarmField<Self>;

    /// The alarm went off.
    fn wake(self: Rc<Self>);

    /// [`Sleeper::wake`] panicked: nothing that relies on it may wait forever.
    fn abandon(&self);
}

/// Where in a `T` its alarm is.
pub struct AlarmField<T> {
    offset: usize,
    owner: PhantomData<T>,
}

impl<T> AlarmField<T> {
    /// # Safety
    /// At `offset` of each `T` there is an [`Alarm`].
    pub const unsafe fn new(offset: usize) -> AlarmField<T> {
        AlarmField { offset, owner: PhantomData }
    }

    #[inline(always)]
    fn of(self, owner: &T) -> &Alarm {
        // SAFETY: `new`'s caller has promised that there is an `Alarm` at this offset of each `T`.
        unsafe { &*std::ptr::from_ref(owner).byte_add(self.offset).cast() }
    }

    /// The data of the event of `owner`'s alarm: where that is.
    fn data_of(self, owner: &Rc<T>) -> *mut c_void {
        // SAFETY: the field is in the value.
        unsafe { Rc::as_ptr(owner).byte_add(self.offset).cast_mut().cast() }
    }

    /// The owner, from that.
    ///
    /// # Safety
    /// `data` must come from [`AlarmField::data_of`], for a value that is alive.
    unsafe fn owner_of(self, data: *mut c_void) -> Rc<T> {
        // SAFETY: it is a pointer into the value of an Rc, which is alive, the contract of this function.
        unsafe {
            let owner: *const T = data.byte_sub(self.offset).cast_const().cast();
            Rc::increment_strong_count(owner);
            Rc::from_raw(owner)
        }
    }
}

/// The field `$field` of `$owner`, as an [`AlarmField`].
#[macro_export]
macro_rules! alarm_field {
    ($owner:ty, $field:ident) => {{
        /// Only an alarm compiles.
        const fn check(owner: &$owner) -> &$crate::nginx::event::alarm::Alarm {
            &owner.$field
        }
        #[allow(unsafe_code, reason = "the field is an alarm: it is checked above")]
        const FIELD: $crate::nginx::event::alarm::AlarmField<$owner> = {
            let _ = check;
            // SAFETY: `check` compiles: the field at that offset is an alarm.
            unsafe {
                $crate::nginx::event::alarm::AlarmField::new(std::mem::offset_of!($owner, $field))
            }
        };
        FIELD
    }};
}

impl Alarm {
    /// Sets the alarm of `owner` to `milliseconds`; 0 means the next round of the event loop.
    /// nginx's debug lines about it go to `log`, which must live until the alarm goes off or is
    /// removed.
    pub fn set<T: Sleeper>(owner: &Rc<T>, milliseconds: usize, log: Log) {
        let alarm = T::ALARM.of(owner);
        let event = alarm.0.get();
        // SAFETY: the event is part of the Rc's value, which does not move, and disarms the event when
        // it is dropped.
        unsafe {
            (*event).handler = Some(go_off::<T>);
            (*event).data = T::ALARM.data_of(owner);
            (*event).log = log.as_ptr();
        }
        if milliseconds == 0 {
            alarm.post_next();
        } else {
            alarm.arm(milliseconds);
        }
    }

    /// Removes it from nginx, with a debug line if it has not gone off.
    pub fn cancel(&self, debug_line: &str) {
        if self.is_armed() {
            // SAFETY: an armed event has a log.
            ngx_debug!(unsafe { Log::from_ptr((*self.0.get()).log) }, "{debug_line}");
            self.disarm();
        }
    }

    fn arm(&self, milliseconds: usize) {
        // SAFETY: the event is part of `self`, which takes it out of nginx when it is dropped.
        unsafe { add_timer(self.0.get(), milliseconds) }
    }

    fn post(&self) {
        // SAFETY: as in `arm`.
        unsafe { post(self.0.get()) }
    }

    /// Posts it for the next round of the event loop. Sets a timer as well: a worker that exits
    /// waits for timers only, not for posted events.
    fn post_next(&self) {
        self.arm(KEEPS_WORKER);
        // SAFETY: as in `arm`; the queue is nginx's own.
        unsafe { ngx_post_event(self.0.get(), addr_of_mut!(ngx_posted_next_events)) };
    }

    fn is_posted(&self) -> bool {
        // SAFETY: a plain flag of our event.
        unsafe { (*self.0.get()).posted() != 0 }
    }

    fn is_armed(&self) -> bool {
        // SAFETY: a plain flag of our event.
        unsafe { (*self.0.get()).timer_set() != 0 }
    }

    fn disarm(&self) {
        // SAFETY: the event is part of `self`.
        unsafe { take_out(self.0.get()) }
    }
}

impl Drop for Alarm {
    fn drop(&mut self) {
        self.disarm();
    }
}

/// # Safety
/// Only nginx may call this, as the callback that it was registered as.
#[callback(unguarded = "a guard for each step, because a later one is taken after a panic too")]
unsafe extern "C" fn go_off<T: Sleeper>(event: *mut ngx_event_t) {
    // SAFETY: the data is what `set` has made of an Rc, whose value is alive, because dropping it disarms
    // the event.
    let owner = unsafe { T::ALARM.owner_of((*event).data) };
    // Posted and timed at once, it goes off once.
    T::ALARM.of(&owner).disarm();
    let woken = owner.clone();
    if panics(|| {
        fault_point::<T>();
        woken.wake();
    }) {
        guard((), || owner.abandon());
    }
    // This may be the last share of the owner: dropping it must not panic into nginx either.
    guard((), || drop(owner));
}

/// A timer, or an event posted for the current round of the event loop or the next one, that calls
/// a function on its data.
#[repr(C)]
pub struct Timer<T> {
    /// The first field: the event's data is the timer, and where the event itself is.
    alarm: Alarm,
    data: T,
    on_fire: fn(&T),
}

/// What a timer calls its function on: a copy of it, because the function may drop the timer.
pub trait Waiter: Clone + 'static {
    /// The timer's callback panicked: nothing that relies on it may wait forever.
    fn abandon(&self);
}

impl<T: Waiter> Timer<T> {
    /// A timer that is not armed yet; `on_fire` will get `data`.
    pub fn new(data: T, on_fire: fn(&T)) -> Box<Timer<T>> {
        Self::with_log(data, on_fire, cycle_log())
    }

    /// As [`Timer::new`], with the log that debug lines about the timer go to. It must live as long
    /// as the timer is armed.
    pub fn with_log(data: T, on_fire: fn(&T), log: Log) -> Box<Timer<T>> {
        let timer = Box::new(Timer { alarm: Alarm::default(), data, on_fire });
        let event = timer.alarm.0.get();
        // SAFETY: the event is ours, and stays where it is in its box.
        unsafe {
            (*event).handler = Some(fire::<T>);
            (*event).data = std::ptr::from_ref::<Timer<T>>(&timer).cast_mut().cast();
            (*event).log = log.as_ptr();
        }
        timer
    }

    /// Lets a worker exit while the timer is armed.
    pub fn set_cancelable(&self) {
        // SAFETY: a plain flag of our event.
        unsafe { (*self.alarm.0.get()).set_cancelable(1) }
    }

    /// Fires after `milliseconds`, instead of at the time that was set before. nginx keeps that
    /// time if the new one is less than 300 milliseconds away from it.
    pub fn arm(&self, milliseconds: usize) {
        self.alarm.arm(milliseconds);
    }

    /// Fires at the end of the current event loop round.
    pub fn post(&self) {
        self.alarm.post();
    }

    /// Fires in the next round of the event loop.
    pub fn post_next(&self) {
        self.alarm.post_next();
    }

    /// Whether it is to fire at the end of the current round.
    pub fn is_posted(&self) -> bool {
        self.alarm.is_posted()
    }

    /// Whether the timer is armed.
    pub fn is_armed(&self) -> bool {
        self.alarm.is_armed()
    }

    /// Removes it from nginx's timers and posted events; safe to call twice.
    pub fn disarm(&self) {
        self.alarm.disarm();
    }
}

/// # Safety
/// Only nginx may call this, as the callback that it was registered as.
#[callback(unguarded = "a guard for each step, because a later one is taken after a panic too")]
unsafe extern "C" fn fire<T: Waiter>(event: *mut ngx_event_t) {
    let fired = guard(None, || {
        // SAFETY: the data is the box that `with_log` made; it is alive, because dropping it
        // disarms the event.
        let timer = unsafe { &*(*event).data.cast::<Timer<T>>() };
        timer.disarm();
        // The callback may drop the timer: nothing of it is used after the call starts.
        Some((timer.data.clone(), timer.on_fire))
    });
    if let Some((data, on_fire)) = fired
        && panics(|| {
            fault_point::<T>();
            on_fire(&data);
        })
    {
        guard((), || data.abandon());
    }
}

/// The longest timer. nginx takes a timer that is further ahead than half of its counter's range
/// for an expired one; a quarter of the range is millions of years.
const LONGEST: usize = usize::MAX / 4;

/// Has nginx call the event's handler after `milliseconds`, or after the longest time that its
/// counter allows, if that is less.
///
/// # Safety
/// The event must be valid until the timer has gone off or is taken out.
pub(in crate::nginx) unsafe fn add_timer(event: *mut ngx_event_t, milliseconds: usize) {
    // SAFETY: the event is valid until it is removed, the contract of this function; only nginx's
    // main thread comes here.
    unsafe { ngx_add_timer(event, milliseconds.min(LONGEST)) }
}

/// Has nginx call the event's handler at the end of this round of its event loop.
///
/// # Safety
/// The event must be valid until its handler is called, or it is taken out.
pub(in crate::nginx) unsafe fn post(event: *mut ngx_event_t) {
    // SAFETY: a valid event, the contract of this function; the queue is nginx's own.
    unsafe { ngx_post_event(event, addr_of_mut!(ngx_posted_events)) }
}

/// Takes the event's timer out, if it is set.
///
/// # Safety
/// The event must be valid.
pub(in crate::nginx) unsafe fn remove_timer(event: *mut ngx_event_t) {
    // SAFETY: the event is valid, the contract of this function; its flag says whether nginx has it.
    unsafe {
        if (*event).timer_set() != 0 {
            ngx_del_timer(event);
        }
    }
}

/// Takes the event out of nginx: its timer, and its place among the posted events.
///
/// # Safety
/// The event must be valid.
pub(in crate::nginx) unsafe fn take_out(event: *mut ngx_event_t) {
    // SAFETY: the event is valid, the contract of this function; its flags say which of nginx's structures
    // hold it.
    unsafe {
        remove_timer(event);
        if (*event).posted() != 0 {
            ngx_delete_posted_event(event);
        }
    }
}

/// Whether the worker is shutting down gracefully.
pub fn is_exiting() -> bool {
    // SAFETY: a word that is only written as a whole, by nginx's main thread.
    unsafe { crate::nginx::sys::ngx_exiting != 0 }
}

/// Whether the worker was told to quit or stop (`ngx_quit`, `ngx_exiting` or `ngx_terminate`).
pub fn is_stopping() -> bool {
    // SAFETY: words that are only written as a whole, by signal handlers or nginx's main thread.
    unsafe {
        crate::nginx::sys::ngx_quit != 0
            || crate::nginx::sys::ngx_exiting != 0
            || crate::nginx::sys::ngx_terminate != 0
    }
}
