//! `receive`: a datagram that has come already, or a wait for the next one.

use std::cell::Cell;
use std::rc::Rc;

use codec::fallible::{self, OutOfMemory};

use super::socket::Socket;
use crate::api::call::Call;
use crate::api::socket_failure::SocketFailure;
use crate::config::LocationConf;
use crate::lua::{LuaResult, Returns};
use crate::nginx::event::udp::Received;
use crate::runtime::Operation;
use crate::runtime::scheduler;
use crate::{ngx_debug, ngx_log, own_thread};

/// The longest datagram that is received, in bytes.
pub const MAX_DATAGRAM: usize = 65536;

own_thread! {
    /// A buffer that no call uses.
    static SPARE: Cell<Option<Vec<u8>>> = Cell::new(None);
}

/// A buffer for the longest datagram; dropping it leaves it to the next call.
struct Buffer(Vec<u8>);

impl Buffer {
    fn take() -> Result<Buffer, OutOfMemory> {
        match SPARE.take() {
            Some(spare) => Ok(Buffer(spare)),
            None => fallible::zeroes(MAX_DATAGRAM).map(Buffer),
        }
    }

    /// The first `len` bytes.
    fn bytes(&self, len: usize) -> &[u8] {
        self.0.get(..len).unwrap_or_default()
    }
}

impl Drop for Buffer {
    fn drop(&mut self) {
        SPARE.set(Some(std::mem::take(&mut self.0)));
    }
}

/// A task that waits for a datagram, and keeps the socket alive, because Lua may no longer refer to
/// it: the tail call `return sock:receive()` leaves nothing on the coroutine's stack. Dropping it
/// before the wait has ended closes the socket, because the datagram would have no receiver.
struct Receive(Rc<Socket>);

impl Operation for Receive {
    fn name(&self) -> &'static str {
        "a datagram"
    }
}

impl Drop for Receive {
    fn drop(&mut self) {
        if self.0.waiting.take().is_some() {
            self.0.finalize();
        }
    }
}

/// How far a receive has come.
enum DatagramProgress {
    Done(usize),
    Waiting,
    Failed(SocketFailure),
}

impl Socket {
    /// Receives up to `size` bytes of a datagram, for the calling task.
    pub fn receive(self: &Rc<Self>, call: &Call, size: usize) -> LuaResult {
        self.size.set(size);
        let Ok(mut buffer) = Buffer::take() else {
            return call.fail(&SocketFailure::NoMemory.message());
        };
        match self.read(&mut buffer.0) {
            DatagramProgress::Done(len) => {
                ngx_debug!(call.request.log(), "lua udp socket receive done in a single run");
                call.state.push_bytes(buffer.bytes(len));
                Ok(Returns::Values(1))
            }
            DatagramProgress::Failed(failure) => call.fail(&failure.message()),
            DatagramProgress::Waiting => {
                let task = call.task().inspect_err(|_| self.clear_timer())?;
                *self.waiting.borrow_mut() = Some(Rc::downgrade(&task));
                task.wait_for(Box::new(Receive(self.clone())));
                Ok(Returns::Yield(0))
            }
        }
    }

    /// Ends the timeout of a receive.
    fn clear_timer(&self) {
        if let Some(connection) = self.connection.borrow().as_ref() {
            connection.timer().clear();
        }
    }

    /// Receives a datagram into `buffer`. If there is none, has nginx report when there is, and
    /// sets the timeout.
    fn read(&self, buffer: &mut [u8]) -> DatagramProgress {
        let log = self.request.get().log();
        let connection = self.connection.borrow();
        let Some(connection) = connection.as_ref() else {
            return DatagramProgress::Failed(SocketFailure::Closed);
        };
        ngx_debug!(log, "lua udp socket read data: waiting: {}", u8::from(self.is_waited_for()));
        let size = self.size.get().min(buffer.len());
        let Some(room) = buffer.get_mut(..size) else { return DatagramProgress::Done(0) };
        match connection.receive(room) {
            Received::Datagram(len) => {
                ngx_debug!(log, "lua udp recv returned {len}");
                return DatagramProgress::Done(len);
            }
            Received::Failed(error) => {
                ngx_debug!(log, "lua udp recv returned -1");
                return DatagramProgress::Failed(SocketFailure::System(error));
            }
            Received::Again => ngx_debug!(log, "lua udp recv returned -2"),
        }
        if !connection.watch() {
            return DatagramProgress::Failed(SocketFailure::Error);
        }
        if connection.is_watched() {
            connection.timer().set(self.read_timeout.get());
        } else {
            connection.timer().clear();
        }
        DatagramProgress::Waiting
    }

    /// nginx's read event, while a task waits for a datagram.
    pub fn read_event(&self) {
        let log = self.request.get().log();
        ngx_debug!(log, "lua udp socket read handler");
        if self
            .connection
            .borrow()
            .as_ref()
            .is_some_and(|connection| connection.timer().take_timeout())
        {
            if LocationConf::of(&self.conf.get()).socket_log_errors() {
                ngx_log!(
                    self.error_log(),
                    LocationConf::of(&self.conf.get()).timeout_level(),
                    "lua udp socket read timed out"
                );
            }
            self.fail(&SocketFailure::Timeout);
            return;
        }
        self.clear_timer();
        let Ok(mut buffer) = Buffer::take() else { return self.fail(&SocketFailure::NoMemory) };
        match self.read(&mut buffer.0) {
            DatagramProgress::Done(len) => {
                if let Some(task) = self.take_waiter() {
                    scheduler::wake_with(&task, 1, move |state| {
                        state.push_bytes(buffer.bytes(len))
                    });
                }
            }
            DatagramProgress::Waiting => {}
            DatagramProgress::Failed(failure) => self.fail(&failure),
        }
    }

    /// Gives the waiting task a failure as its result.
    fn fail(&self, failure: &SocketFailure) {
        ngx_debug!(self.request.get().log(), "lua udp socket handle error");
        if let Some(task) = self.take_waiter() {
            scheduler::wake_with(&task, 2, |state| failure.push(state));
        }
    }
}
