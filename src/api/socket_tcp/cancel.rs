//! The operation that a task owns while it waits for a cosocket: dropped before its end, it closes
//! what it waited for.

use std::rc::{Rc, Weak};

use super::connect::Stage;
use super::socket::Socket;
use crate::nginx::log::cycle_log;
use crate::ngx_debug;
use crate::runtime::Operation;

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum What {
    Connect,
    Read,
    Write,
}

/// A task waits for a socket.
pub struct Waiting {
    socket: Weak<Socket>,
    what: What,
}

impl Waiting {
    pub fn to_connect(socket: &Rc<Socket>) -> Waiting {
        Waiting { socket: Rc::downgrade(socket), what: What::Connect }
    }

    pub fn to_read(socket: &Rc<Socket>) -> Waiting {
        Waiting { socket: Rc::downgrade(socket), what: What::Read }
    }

    pub fn to_write(socket: &Rc<Socket>) -> Waiting {
        Waiting { socket: Rc::downgrade(socket), what: What::Write }
    }
}

impl Operation for Waiting {}

impl Drop for Waiting {
    fn drop(&mut self) {
        let Some(socket) = self.socket.upgrade() else { return };
        let slot = match self.what {
            What::Connect => &socket.connecting,
            What::Read => &socket.reading,
            What::Write => &socket.writing,
        };
        // An event that ended the wait has taken the task out already.
        if slot.take().is_none() {
            return;
        }
        match self.what {
            What::Connect => cancel_connect(&socket),
            // Another task may wait for the other direction: that one stays.
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
