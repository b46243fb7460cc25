//! Descriptors that the event loop watches: the ends of pipes, and processes.
//!
//! A watched descriptor takes one of the worker's connections, as everything that nginx waits for
//! does. It has one owner: dropping it closes it and removes it from nginx, so a callback never
//! runs for an owner that is gone.

use std::fs::File;
use std::io::{self, Read, Write};
use std::mem::ManuallyDrop;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};
use std::ptr::NonNull;

use export::callback;

use crate::nginx::core::log::cycle_log;
use crate::nginx::event::NoConnection;
use crate::nginx::sys::{
    ngx_close_connection, ngx_connection_t, ngx_event_t, ngx_get_connection, ngx_handle_read_event,
    ngx_handle_write_event,
};

/// A descriptor in nginx's event loop, which calls `on_ready` on a copy of its owner's data.
pub struct Descriptor<T> {
    connection: NonNull<ngx_connection_t>,
    data: T,
    on_ready: fn(&T),
}

impl<T: Clone + 'static> Descriptor<T> {
    /// Takes ownership of the descriptor; does not wait for anything yet. On failure the descriptor
    /// is closed. `on_ready` may drop what this returns.
    pub fn new(fd: OwnedFd, data: T, on_ready: fn(&T)) -> Result<Box<Descriptor<T>>, NoConnection> {
        let fd = ManuallyDrop::new(File::from(fd));
        let raw = fd.as_raw_fd();
        // SAFETY: an open descriptor and the cycle's log.
        let connection = unsafe { ngx_get_connection(raw, cycle_log().as_ptr()) };
        let Some(connection) = NonNull::new(connection) else {
            drop(ManuallyDrop::into_inner(fd));
            return Err(NoConnection);
        };
        let descriptor = Box::new(Descriptor { connection, data, on_ready });
        // SAFETY: a connection of nginx's, ours until it is closed; the box does not move, and
        // dropping it closes the connection.
        unsafe {
            let c = connection.as_ptr();
            (*c).data = std::ptr::from_ref::<Descriptor<T>>(&descriptor).cast_mut().cast();
            (*c).log = cycle_log().as_ptr();
            for event in [(*c).read, (*c).write] {
                (*event).log = (*c).log;
                (*event).handler = Some(ready::<T>);
            }
        }
        Ok(descriptor)
    }

    /// Asks nginx to report when it can be read from; false if that fails.
    pub fn wait_readable(&self) -> bool {
        // SAFETY: a live connection has a read event.
        unsafe { ngx_handle_read_event((*self.connection.as_ptr()).read, 0) == 0 }
    }

    /// Asks nginx to report when it can be written to; false if that fails.
    pub fn wait_writable(&self) -> bool {
        // SAFETY: a live connection has a write event.
        unsafe { ngx_handle_write_event((*self.connection.as_ptr()).write, 0) == 0 }
    }

    /// For when nothing is read or written although it is possible: keeps a level-triggered event
    /// method from reporting that again and again.
    pub fn leave_ready(&self) {
        // SAFETY: a live connection has both events. With an edge-triggered event method, neither
        // call does anything.
        unsafe {
            let c = self.connection.as_ptr();
            if (*(*c).read).active() != 0 {
                ngx_handle_read_event((*c).read, 0);
            }
            if (*(*c).write).active() != 0 {
                ngx_handle_write_event((*c).write, 0);
            }
        }
    }

    /// Reads what is there; an error of kind `WouldBlock` if there is nothing.
    pub fn read(&self, buffer: &mut [u8]) -> io::Result<usize> {
        let result = self.with_file(|mut file| file.read(buffer));
        if result.is_err() {
            // SAFETY: a live connection has a read event.
            unsafe { (*(*self.connection.as_ptr()).read).set_ready(0) }
        }
        result
    }

    /// Writes as much as fits; an error of kind `WouldBlock` if nothing does.
    pub fn write(&self, bytes: &[u8]) -> io::Result<usize> {
        let result = self.with_file(|mut file| file.write(bytes));
        if result.is_err() {
            // SAFETY: a live connection has a write event.
            unsafe { (*(*self.connection.as_ptr()).write).set_ready(0) }
        }
        result
    }

    fn with_file<R>(&self, work: impl FnOnce(&File) -> R) -> R {
        // SAFETY: the connection's descriptor is open and stays nginx's: the file is not dropped.
        let file = ManuallyDrop::new(unsafe { File::from_raw_fd(self.connection.as_ref().fd) });
        work(&file)
    }
}

impl<T> Drop for Descriptor<T> {
    fn drop(&mut self) {
        // SAFETY: the connection is ours, and closed once; nginx closes the descriptor and removes
        // its events.
        unsafe { ngx_close_connection(self.connection.as_ptr()) }
    }
}

/// # Safety
/// Only nginx may call this, as the callback that it was registered as.
#[callback]
unsafe extern "C" fn ready<T: Clone + 'static>(event: *mut ngx_event_t) {
    // SAFETY: the event's data is its connection, whose data is the box that `new` made; it is
    // alive, because dropping it closes the connection.
    let descriptor = unsafe {
        let c: *mut ngx_connection_t = (*event).data.cast();
        &*(*c).data.cast::<Descriptor<T>>()
    };
    // The callback may drop the descriptor: nothing of it is used after the call starts.
    let (on_ready, data) = (descriptor.on_ready, descriptor.data.clone());
    on_ready(&data);
}

/// The end of a pipe, watched from its first use on.
pub enum End<T> {
    Unused(OwnedFd),
    Watched(Box<Descriptor<T>>),
    Closed,
}

impl<T: Clone + 'static> End<T> {
    /// The watched descriptor; `None` if the end is closed.
    pub fn watch(
        &mut self,
        data: impl FnOnce() -> T,
        on_ready: fn(&T),
    ) -> Result<Option<&Descriptor<T>>, NoConnection> {
        if let End::Unused(_) = self
            && let End::Unused(fd) = std::mem::replace(self, End::Closed)
        {
            *self = End::Watched(Descriptor::new(fd, data(), on_ready)?);
        }
        Ok(self.watched())
    }

    pub fn watched(&self) -> Option<&Descriptor<T>> {
        match self {
            End::Watched(descriptor) => Some(descriptor),
            _ => None,
        }
    }

    pub fn is_closed(&self) -> bool {
        matches!(self, End::Closed)
    }
}
