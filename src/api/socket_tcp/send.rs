//! Writing: as much as the connection takes at once, and the rest once it takes more.

use std::rc::Rc;

use codec::fallible::Grow;

use super::cancel::SocketWait;
use super::request_socket;
use super::socket::{Socket, SocketKind};
use crate::api::call::Call;
use crate::api::socket_failure::SocketFailure;
use crate::config::LocationConf;
use crate::lua::{LuaResult, Returns};
use crate::nginx::event::stream::{Direction, Io, PlainText, Stream};
use crate::nginx::http::client_socket;
use crate::runtime::scheduler;
use crate::{ngx_debug, ngx_log};

/// What a task waits to write. (Without a wait, the bytes are written from the Lua string.)
#[derive(Default)]
pub struct Output {
    rest: Vec<u8>,
    sent: usize,
    /// The length of all that the caller has sent, which is the result.
    total: usize,
}

impl Output {
    /// Keeps a copy of `rest`; false without memory.
    fn keep(&mut self, rest: &[u8], total: usize) -> bool {
        self.rest.clear();
        self.sent = 0;
        self.total = total;
        self.rest.try_append(rest).is_ok()
    }

    /// Drops it; returns whether something was still to be written.
    pub fn clear(&mut self) -> bool {
        let cut_short = self.sent < self.rest.len();
        *self = Output::default();
        cut_short
    }
}

/// How far a write has come.
enum SendProgress {
    Complete,
    /// The connection takes no more for now, after that many bytes.
    Waiting(usize),
    Failed(SocketFailure),
}

impl Socket {
    /// Writes `bytes`, for the calling task.
    pub fn send(self: &Rc<Self>, call: &Call, bytes: &[u8]) -> LuaResult {
        let log = call.request.log();
        let Some(stream) = self.stream.get() else { return call.fail("closed") };
        ngx_debug!(log, "lua tcp socket send timeout: {}", self.timeouts.get().send);
        if bytes.is_empty() {
            call.state.push_integer(0);
            return Ok(Returns::Values(1));
        }
        if !self.send_at_once(call, stream) {
            return call.fail("setsocketopt tcp_nodelay failed");
        }
        match self.write(stream, bytes) {
            SendProgress::Complete => {
                call.state.push_integer(bytes.len() as i64);
                Ok(Returns::Values(1))
            }
            SendProgress::Failed(failure) => {
                self.close_write();
                failure.push(call.state);
                Ok(Returns::Values(2))
            }
            SendProgress::Waiting(sent) => {
                let rest = bytes.get(sent..).unwrap_or_default();
                let kept = self.output.borrow_mut().keep(rest, bytes.len());
                let task = call.task().inspect_err(|_| self.close_write())?;
                if !kept {
                    self.close_write();
                    return call.fail("no memory");
                }
                if self.kind == SocketKind::Raw {
                    request_socket::listen_for_write(self, call.context);
                }
                *self.writing.borrow_mut() = Some(Rc::downgrade(&task));
                task.wait_for(Box::new(SocketWait::to_write(self)));
                Ok(Returns::Yield(0))
            }
        }
    }

    /// Switches Nagle's algorithm off, where nginx does so for its own connections.
    fn send_at_once(&self, call: &Call, stream: Stream) -> bool {
        if !stream.delays_small_writes() || !client_socket::wants_nodelay(call.request) {
            return true;
        }
        ngx_debug!(stream.log(), "lua socket tcp_nodelay");
        let Err(error) = stream.set_nodelay() else { return true };
        if call.context.location().socket_log_errors() {
            const TEXT: PlainText = PlainText::new(c"setsockopt(TCP_NODELAY) failed");
            stream.log_error(error, TEXT);
        }
        false
    }

    /// Writes as much as the connection takes; if that is not all, sets the timeout and has nginx
    /// report when it takes more.
    fn write(&self, stream: Stream, bytes: &[u8]) -> SendProgress {
        ngx_debug!(stream.log(), "lua tcp socket send data");
        let mut sent = 0;
        while let Some(rest) = bytes.get(sent..).filter(|rest| !rest.is_empty()) {
            match stream.send(rest) {
                Io::Done(n) => sent += n,
                Io::Again | Io::Closed => {
                    stream.timer(Direction::Write).set(self.timeouts.get().send);
                    if !stream.watch_write(LocationConf::of(&self.conf.get()).socket_send_lowat()) {
                        return SendProgress::Failed(SocketFailure::Error);
                    }
                    return SendProgress::Waiting(sent);
                }
                Io::Failed(error) => {
                    stream.set_error();
                    return SendProgress::Failed(SocketFailure::System(error));
                }
            }
        }
        ngx_debug!(stream.log(), "lua tcp socket sent all the data");
        stream.timer(Direction::Write).clear();
        if stream.watch_write(0) {
            SendProgress::Complete
        } else {
            SendProgress::Failed(SocketFailure::Error)
        }
    }

    /// nginx's write event, while a task waits for it: more can be written, or nothing could be in
    /// time.
    pub fn write_event(self: &Rc<Self>) {
        let Some(stream) = self.stream.get() else { return };
        let log = self.request.get().log();
        ngx_debug!(log, "lua tcp socket send handler");
        if stream.timer(Direction::Write).take_timeout() {
            if self.logs_errors() {
                ngx_log!(self.error_log(), self.timeout_level(), "lua tcp socket write timed out");
            }
            return self.settle_write(Some(SocketFailure::Timeout));
        }
        let mut output = self.output.take();
        let progress = self.write(stream, output.rest.get(output.sent..).unwrap_or_default());
        if let SendProgress::Waiting(n) = progress {
            output.sent += n;
        }
        *self.output.borrow_mut() = output;
        match progress {
            SendProgress::Waiting(_) => {}
            SendProgress::Complete => self.settle_write(None),
            SendProgress::Failed(failure) => self.settle_write(Some(failure)),
        }
    }

    /// Gives the waiting task the result of its write.
    fn settle_write(self: &Rc<Self>, failure: Option<SocketFailure>) {
        let Some(task) = Socket::take_waiter(&self.writing) else { return };
        let Some(request) = task.request() else { return };
        let log = request.log();
        ngx_debug!(log, "lua tcp socket send return value handler");
        if self.kind == SocketKind::Raw
            && let Some(context) = task.context()
        {
            scheduler::listen_for_write(&context);
        }
        let total = self.output.borrow().total;
        ngx_debug!(log, "lua tcp socket waking up the current request");
        match failure {
            None => {
                self.output.take();
                scheduler::wake_with(&task, 1, |state| state.push_integer(total as i64));
            }
            Some(failure) => {
                self.close_write();
                scheduler::wake_with(&task, 2, |state| failure.push(state));
            }
        }
    }
}
