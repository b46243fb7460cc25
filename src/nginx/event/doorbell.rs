//! A bell that any process of this nginx rings, and all of them hear: one eventfd, made before the first worker
//! and inherited by all, also by those that a reload or a crash brings later.
//!
//! Nobody reads from it: epoll, told of changes only, reports each write to each process that watches. Other
//! event methods would report it without end; with those, and where a worker has no connection left to watch
//! with, it looks every now and then instead.

use std::cell::RefCell;
use std::io;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};
use std::sync::OnceLock;

use crate::nginx::event::alarm::{Timer, Waiter};
use crate::nginx::event::descriptor::Descriptor;
use crate::nginx::sys::{NGX_USE_CLEAR_EVENT, ngx_event_flags};
use crate::own_thread;

/// The bell of this process and its children; it outlasts configurations.
static BELL: OnceLock<OwnedFd> = OnceLock::new();

/// The time between two looks where the bell is not heard, in milliseconds.
const INTERVAL: usize = 100;
/// The time after which [`remind`] has the listener called, in milliseconds.
const PAUSE: usize = 10;

struct Listener {
    ear: Option<Box<Descriptor<OnRing>>>,
    timer: Box<Timer<OnRing>>,
}

own_thread! {
    static LISTENER: RefCell<Option<Listener>> = RefCell::new(None);
}

/// What a listener does.
#[derive(Clone, Copy)]
struct OnRing(fn());

impl Waiter for OnRing {
    fn abandon(&self) {}
}

/// Makes the bell, once, before there are workers.
pub fn make() -> io::Result<()> {
    if BELL.get().is_none() {
        // SAFETY: no pointers; what is returned is checked.
        let fd = unsafe { libc::eventfd(0, libc::EFD_NONBLOCK | libc::EFD_CLOEXEC) };
        if fd < 0 {
            return Err(io::Error::last_os_error());
        }
        // SAFETY: a new descriptor that nothing else owns.
        let _ = BELL.set(unsafe { OwnedFd::from_raw_fd(fd) });
    }
    Ok(())
}

/// Tells every process that listens.
pub fn ring() {
    let Some(bell) = BELL.get() else { return };
    let one = 1_u64.to_ne_bytes();
    // SAFETY: eight bytes, as an eventfd wants. Its counter would be full after 2^64 calls.
    unsafe { libc::write(bell.as_raw_fd(), one.as_ptr().cast(), one.len()) };
}

/// Has `on_ring` called in the event loop after each [`ring`]; one call may be for several. It keeps no worker
/// from exiting.
pub fn listen(on_ring: fn()) {
    let timer = Timer::new(OnRing(on_ring), |OnRing(on_ring)| {
        if let Some(listener) = LISTENER.borrow().as_ref()
            && listener.ear.is_none()
        {
            listener.timer.arm(INTERVAL);
        }
        on_ring();
    });
    timer.set_cancelable();
    let ear = hear(on_ring);
    if ear.is_none() {
        timer.arm(INTERVAL);
    }
    *LISTENER.borrow_mut() = Some(Listener { ear, timer });
}

/// Has the function that [`listen`] got called once more after a short while; where the bell is not
/// heard, with the next look.
pub fn remind() {
    if let Some(listener) = LISTENER.borrow().as_ref() {
        listener.timer.arm(PAUSE);
    }
}

/// Listens no more.
pub fn stop() {
    let listener = LISTENER.borrow_mut().take();
    drop(listener);
}

/// Watches the bell; `None` if this process cannot, or nobody has made a bell.
fn hear(on_ring: fn()) -> Option<Box<Descriptor<OnRing>>> {
    // SAFETY: a plain word that nginx sets when a process starts its event loop.
    if unsafe { ngx_event_flags } & NGX_USE_CLEAR_EVENT as usize == 0 {
        return None;
    }
    let own = BELL.get()?.try_clone().ok()?;
    let ear = Descriptor::new(own, OnRing(on_ring), |OnRing(on_ring)| on_ring()).ok()?;
    ear.wait_readable().then_some(ear)
}
