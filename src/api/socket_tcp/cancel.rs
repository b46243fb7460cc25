//! The operation that a task owns while it waits for a cosocket: dropping it before the wait has
//! ended closes the socket, or the direction that it waited for. It keeps the socket alive, because
//! Lua may no longer refer to it: the tail call `return sock:receive()` leaves nothing on the
//! coroutine's stack.

use std::rc::Rc;

use super::connect::Stage;
use super::socket::Socket;
use crate::nginx::core::log::cycle_log;
use crate::ngx_debug;
use crate::runtime::Operation;

/// What the task waits for; a handshake counts as a part of the connect.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum What {
    Connect,
    Read,
    Write,
}

/// A task waits for a socket.
pub struct SocketWait {
    socket: Rc<Socket>,
    what: What,
}

impl SocketWait {
    pub fn to_connect(socket: &Rc<Socket>) -> SocketWait {
        SocketWait { socket: socket.clone(), what: What::Connect }
    }

    pub fn to_read(socket: &Rc<Socket>) -> SocketWait {
        SocketWait { socket: socket.clone(), what: What::Read }
    }

    pub fn to_write(socket: &Rc<Socket>) -> SocketWait {
        SocketWait { socket: socket.clone(), what: What::Write }
    }
}

impl Operation for SocketWait {
    fn name(&self) -> &'static str {
        match self.what {
            What::Connect => match &*self.socket.stage.borrow() {
                Stage::Queued(_) => "a place in a TCP connection pool",
                Stage::Resolving(_) => "the address of a TCP server",
                _ => "a TCP connection",
            },
            What::Read => "data from a TCP connection",
            What::Write => "room to send on a TCP connection",
        }
    }
}

impl Drop for SocketWait {
    fn drop(&mut self) {
        let socket = &self.socket;
        let slot = match self.what {
            What::Connect => &socket.connecting,
            What::Read => &socket.reading,
            What::Write => &socket.writing,
        };
        // If an event has ended the wait, it has taken the task out already.
        if slot.take().is_none() {
            return;
        }
        if self.what == What::Read {
            socket.after_read();
        }
        match self.what {
            What::Connect => cancel_connect(socket),
            // Where another task waits for the other direction, that stays open.
            What::Read if socket.writing.borrow().is_some() => socket.close_read(),
            What::Write if socket.reading.borrow().is_some() => socket.close_write(),
            What::Read | What::Write => socket.finalize(),
        }
    }
}

fn cancel_connect(socket: &Socket) {
    match &*socket.stage.borrow() {
        Stage::Queued(_) => ngx_debug!(cycle_log(), "lua tcp socket abort queueing"),
        Stage::Resolving(_) => ngx_debug!(cycle_log(), "lua tcp socket abort resolver"),
        _ => {}
    }
    socket.finalize();
}
