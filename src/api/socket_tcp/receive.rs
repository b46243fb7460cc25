//! Reading: first what is buffered, then what the connection has; then a wait for more.

use std::rc::Rc;

use super::cancel::SocketWait;
use super::input::{ReadStep, Want};
use super::request_socket;
use super::socket::{Socket, SocketKind};
use crate::api::call::Call;
use crate::api::socket_failure::SocketFailure;
use crate::config::LocationConf;
use crate::lua::{LuaResult, Returns, State};
use crate::nginx::Status;
use crate::nginx::core::log::Shown;
use crate::nginx::event::stream::{Direction, Io, Stream};
use crate::nginx::http::{client_socket, departure};
use crate::runtime::scheduler;
use crate::{ngx_debug, ngx_log};

/// How far a read has come.
pub(super) enum ReceiveProgress {
    Complete,
    Waiting,
    Failed(SocketFailure),
}

/// The result of asking the connection for more.
pub(super) enum Fetched {
    /// There are more bytes, or the other side has closed the connection.
    Some,
    Nothing,
    Failed(SocketFailure),
}

const HTTP_CLIENT_CLOSED_REQUEST: isize = 499;

impl Socket {
    /// Reads what `want` asks for, for the calling task.
    pub fn receive(self: &Rc<Self>, call: &Call, want: Want) -> LuaResult {
        ngx_debug!(call.request.log(), "lua tcp socket read timeout: {}", self.timeouts.get().read);
        self.input.borrow_mut().begin(want);
        request_socket::listen(self, call);
        match self.read() {
            ReceiveProgress::Waiting => {
                // Where the code cannot wait, only what is there at once can be read.
                let task = call.task().inspect_err(|_| self.stop_waiting())?;
                *self.reading.borrow_mut() = Some(Rc::downgrade(&task));
                task.wait_for(Box::new(SocketWait::to_read(self)));
                Ok(Returns::Yield(0))
            }
            ReceiveProgress::Complete => {
                ngx_debug!(call.request.log(), "lua tcp socket receive done in a single run");
                self.after_read();
                let count = self.push_received(call.state, None);
                self.note_read();
                Ok(Returns::Values(count))
            }
            ReceiveProgress::Failed(failure) => {
                self.after_read();
                Ok(Returns::Values(self.push_received(call.state, Some(&failure))))
            }
        }
    }

    /// Undoes the preparations of a wait by code that cannot yield.
    fn stop_waiting(&self) {
        if let Some(stream) = self.stream.get() {
            stream.timer(Direction::Read).clear();
        }
        self.after_read();
    }

    /// After a read by a request socket, or once nobody waits for it any more: the client's read
    /// events, and their timer, are no longer the socket's.
    pub(super) fn after_read(&self) {
        if !self.is_downstream() {
            return;
        }
        if let Some(stream) = self.stream.get()
            && (self.kind == SocketKind::Unbuffered || request_socket::is_listening(self))
        {
            stream.timer(Direction::Read).clear();
        }
        request_socket::stop_listening(self);
    }

    /// Pushes the result of a read; for a failure, `nil`, its text and what was received before it.
    /// Returns the number of values.
    fn push_received(&self, state: State, failure: Option<&SocketFailure>) -> i32 {
        ngx_debug!(self.request.get().log(), "lua tcp socket receive return value handler");
        if let Some(failure) = failure {
            return self.push_failed(state, failure);
        }
        self.answer_due.set(false);
        self.input.borrow_mut().push_result(state);
        1
    }

    #[cold]
    fn push_failed(&self, state: State, failure: &SocketFailure) -> i32 {
        failure.push(state);
        self.input.borrow_mut().push_result(state);
        if failure.is_timeout() {
            self.answer_due.set(true);
        } else {
            self.close_read();
        }
        3
    }

    /// nginx's read event, while a task waits for it: there is something to read, or nothing came
    /// in time.
    pub fn read_event(self: &Rc<Self>) {
        let Some(stream) = self.stream.get() else { return };
        let log = self.request.get().log();
        ngx_debug!(log, "lua tcp socket read handler");
        if stream.timer(Direction::Read).take_timeout() {
            if self.logs_errors() {
                ngx_log!(self.error_log(), self.timeout_level(), "lua tcp socket read timed out");
            }
            return self.settle_read(Some(SocketFailure::Timeout));
        }
        stream.timer(Direction::Read).clear();
        match self.read() {
            ReceiveProgress::Waiting => {}
            ReceiveProgress::Complete => self.settle_read(None),
            ReceiveProgress::Failed(failure) => self.settle_read(Some(failure)),
        }
    }

    /// Gives the waiting task the result of its read.
    fn settle_read(self: &Rc<Self>, failure: Option<SocketFailure>) {
        let Some(task) = Socket::take_waiter(&self.reading) else { return };
        self.after_read();
        ngx_debug!(self.request.get().log(), "lua tcp socket waking up the current request (read)");
        let count = if failure.is_some() { 3 } else { 1 };
        scheduler::wake_with(&task, count, |state| {
            self.push_received(state, failure.as_ref());
        });
    }

    /// Reads as much as the call wants, or as there is without waiting.
    #[inline(always)]
    fn read(&self) -> ReceiveProgress {
        let Some(stream) = self.stream.get() else {
            return ReceiveProgress::Failed(SocketFailure::Closed);
        };
        if stream.is_shut_down() {
            self.ended.set(true);
        }
        match self.look(stream) {
            ReadStep::Complete => self.complete(stream),
            ReadStep::Closed => ReceiveProgress::Failed(SocketFailure::Closed),
            ReadStep::OutOfMemory => ReceiveProgress::Failed(SocketFailure::NoMemory),
            ReadStep::More => self.read_more(stream),
        }
    }

    /// Receives more until that is enough. Not a part of `read`, which mostly finds enough in the
    /// buffer.
    #[inline(never)]
    fn read_more(&self, stream: Stream) -> ReceiveProgress {
        let mut received = false;
        loop {
            match self.fetch(stream, &mut received) {
                Fetched::Some => {}
                Fetched::Nothing => return self.wait(stream),
                Fetched::Failed(failure) => return ReceiveProgress::Failed(failure),
            }
            match self.look(stream) {
                ReadStep::Complete => return self.complete(stream),
                ReadStep::Closed => return ReceiveProgress::Failed(SocketFailure::Closed),
                ReadStep::OutOfMemory => return ReceiveProgress::Failed(SocketFailure::NoMemory),
                ReadStep::More => {}
            }
            if received && !stream.is_readable() && !self.ended.get() {
                return self.wait(stream);
            }
        }
    }

    /// Whether what has been received is enough.
    #[inline(always)]
    fn look(&self, stream: Stream) -> ReadStep {
        if self.has_read_body() && !self.ended.replace(true) {
            ngx_debug!(stream.log(), "lua request body exhausted");
        }
        let ended = self.ended.get();
        let mut input = self.input.borrow_mut();
        if input.is_empty() && !ended {
            return ReadStep::More;
        }
        ngx_debug!(self.request.get().log(), "lua tcp socket read {}", input.describe());
        input.advance(ended)
    }

    /// All that the call wants has been received.
    #[inline(always)]
    pub(super) fn complete(&self, stream: Stream) -> ReceiveProgress {
        let request = self.request.get();
        ngx_debug!(
            request.log(),
            "lua tcp socket receive done: wait:{}, eof:{}, uri:\"{}?{}\"",
            u8::from(self.reading.borrow().is_some()),
            u8::from(self.ended.get()),
            Shown(request.uri()),
            Shown(request.args())
        );
        if self.reads_body()
            && let Some(progress) = self.check_client()
        {
            return progress;
        }
        if self.kind == SocketKind::Unbuffered || stream.watch_read() {
            ReceiveProgress::Complete
        } else {
            ReceiveProgress::Failed(SocketFailure::Error)
        }
    }

    /// Once all of the request body has been read: whether the client is still there, if the location asks.
    #[inline(never)]
    fn check_client(&self) -> Option<ReceiveProgress> {
        let conf = self.conf.get();
        let conf = LocationConf::of(&conf);
        let body_has_ended = self.has_read_body() && self.input.borrow().is_used_up();
        if !body_has_ended || !conf.check_client_abort() {
            return None;
        }
        Some(match departure::check_client(self.request.get(), conf.abort_level()) {
            Status::OK => ReceiveProgress::Complete,
            Status(HTTP_CLIENT_CLOSED_REQUEST) => {
                ReceiveProgress::Failed(SocketFailure::ClientAborted)
            }
            _ => ReceiveProgress::Failed(SocketFailure::Error),
        })
    }

    /// Gets more bytes: for a request socket, first those that nginx has read with the request's
    /// header; then from the connection.
    fn fetch(&self, stream: Stream, received: &mut bool) -> Fetched {
        let size = LocationConf::of(&self.conf.get()).socket_buffer_size();
        let limit = match self.kind {
            SocketKind::Upstream => usize::MAX,
            SocketKind::Unbuffered | SocketKind::Raw | SocketKind::Body => {
                match self.fetch_from_nginx(size) {
                    Ok(limit) => limit,
                    Err(fetched) => return fetched,
                }
            }
        };
        if stream.is_watched() && !stream.is_readable() {
            return Fetched::Nothing;
        }
        *received = true;
        self.receive_from(stream, size, limit)
    }

    /// Gets what nginx has read for a request socket. If there is nothing, how much may be received from the
    /// connection.
    #[inline(never)]
    fn fetch_from_nginx(&self, size: usize) -> Result<usize, Fetched> {
        let limit = match self.kind {
            SocketKind::Unbuffered => return Err(self.fetch_unbuffered()),
            SocketKind::Upstream | SocketKind::Raw => usize::MAX,
            SocketKind::Body => client_socket::body_rest(self.request.get()),
        };
        match self.take_preread(size.min(limit)) {
            Ok(0) => Ok(limit),
            Ok(_) => Err(Fetched::Some),
            Err(failure) => Err(Fetched::Failed(failure)),
        }
    }

    /// Takes at most `max` bytes of what nginx has read beyond the request's header; returns how
    /// many.
    fn take_preread(&self, max: usize) -> Result<usize, SocketFailure> {
        let request = self.request.get();
        let bytes = client_socket::take_preread(&request, max);
        if bytes.is_empty() {
            return Ok(0);
        }
        if !self.input.borrow_mut().append(bytes) {
            return Err(SocketFailure::NoMemory);
        }
        if self.kind == SocketKind::Body {
            ngx_debug!(request.log(), "http client request body preread {}", bytes.len());
            client_socket::count(request, bytes.len());
        }
        Ok(bytes.len())
    }

    fn receive_from(&self, stream: Stream, size: usize, limit: usize) -> Fetched {
        let request = self.request.get();
        let mut input = self.input.borrow_mut();
        let (buffer, wanted) = input.reserve(size, limit);
        let free = buffer.capacity() - buffer.len();
        if free >= wanted {
            ngx_debug!(request.log(), "lua reuse free buf memory {free} >= {wanted}");
        }
        let Ok(io) = stream.recv(buffer, wanted) else {
            return Fetched::Failed(SocketFailure::NoMemory);
        };
        ngx_debug!(request.log(), "lua tcp socket recv returned {io:?}");
        match io {
            Io::Again => Fetched::Nothing,
            Io::Failed(error) => Fetched::Failed(SocketFailure::System(error)),
            Io::Done(n) => {
                input.note_read(n, wanted);
                if self.kind == SocketKind::Body {
                    client_socket::count(request, n);
                }
                Fetched::Some
            }
            Io::Closed => {
                drop(input);
                self.closed_by_peer()
            }
        }
    }

    /// The other side has closed the connection: for a request socket, that may be an error.
    fn closed_by_peer(&self) -> Fetched {
        let request = self.request.get();
        let aborted = match self.kind {
            SocketKind::Upstream | SocketKind::Unbuffered => false,
            SocketKind::Raw => LocationConf::of(&self.conf.get()).check_client_abort(),
            SocketKind::Body => {
                LocationConf::of(&self.conf.get()).check_client_abort()
                    || client_socket::body_rest(request) > 0
            }
        };
        if aborted {
            return Fetched::Failed(SocketFailure::ClientAborted);
        }
        self.ended.set(true);
        ngx_debug!(request.log(), "lua tcp socket closed");
        Fetched::Some
    }

    /// There is nothing more to read for now: has nginx report when there is, and sets the timeout.
    fn wait(&self, stream: Stream) -> ReceiveProgress {
        if self.kind == SocketKind::Unbuffered {
            // nginx's reader has asked for the event, and has set a timer of its own.
            stream.timer(Direction::Read).clear();
            stream.timer(Direction::Read).set(self.timeouts.get().read);
            return ReceiveProgress::Waiting;
        }
        if !stream.watch_read() {
            return ReceiveProgress::Failed(SocketFailure::Error);
        }
        if stream.is_watched() {
            stream.timer(Direction::Read).set(self.timeouts.get().read);
        } else {
            stream.timer(Direction::Read).clear();
        }
        ReceiveProgress::Waiting
    }
}
