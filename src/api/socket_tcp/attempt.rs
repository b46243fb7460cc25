//! Connecting to addresses, one after the other until one can be connected to.

use std::rc::Rc;

use super::connect::{ConnectProgress, Stage};
use super::socket::Socket;
use crate::api::socket_failure::SocketFailure;
use crate::nginx::core::address::Address;
use crate::nginx::core::time::monotonic_milliseconds;
use crate::nginx::event::peer;
use crate::nginx::event::peer::{Connecting, Source};
use crate::nginx::event::stream::{Direction, PlainText, Stream};
use crate::{ngx_debug, ngx_log};

/// A connect to one of a name's addresses.
pub struct Attempt {
    address: Address,
    /// The addresses to try if that one fails, the next one last.
    others: Vec<Address>,
    source: Option<Source>,
    /// When the connect times out, all addresses together: nginx's monotonic time in milliseconds.
    deadline: usize,
}

impl Socket {
    /// A connect to `address`, or if that fails, to `others` (the next one last), within the
    /// socket's connect timeout from now on.
    pub fn attempt(
        &self,
        address: Address,
        others: Vec<Address>,
        source: Option<Source>,
    ) -> Attempt {
        let deadline = monotonic_milliseconds().saturating_add(self.timeouts.get().connect);
        Attempt { address, others, source, deadline }
    }

    /// Starts to connect to the address of `attempt`, which nginx's log lines call `name`; if that
    /// fails at once, to its other addresses, one after the other.
    pub fn open(self: &Rc<Self>, mut attempt: Attempt, mut name: String) -> ConnectProgress {
        loop {
            let progress = self.connect_to(attempt.address, &name, attempt.source);
            match (progress, self.stream.get()) {
                (ConnectProgress::Waiting, Some(stream)) => {
                    // nginx handles events before timers, so the deadline may be over.
                    let left = attempt.deadline.saturating_sub(monotonic_milliseconds());
                    let left = left.min(self.timeouts.get().connect);
                    stream.timer(Direction::Write).set(left);
                    self.stage.replace(Stage::Connecting(Box::new(attempt)));
                    return ConnectProgress::Waiting;
                }
                (ConnectProgress::Failed(failure), _) => {
                    let Some(next) = attempt.others.pop() else {
                        return ConnectProgress::Failed(failure);
                    };
                    self.leave_connection();
                    name = next.text(true);
                    attempt.address = next;
                }
                (progress, _) => return progress,
            }
        }
    }

    /// Drops the connection of a connect that has failed.
    fn leave_connection(&self) {
        drop(self.hold.take());
        self.stream.set(None);
        drop(self.peer.take());
    }

    fn connect_to(
        self: &Rc<Self>,
        address: Address,
        name: &str,
        source: Option<Source>,
    ) -> ConnectProgress {
        let request = self.request.get();
        if let Some(server) = self.server.borrow().as_ref() {
            server.set_address(address);
        }
        // As with the C module, what nginx logs about an established connection names the server
        // only if the connection comes out of a pool.
        let (errors, log) = (self.error_log(), request.log());
        let (peer, waits) = match peer::connect(&address, name, source.as_ref(), errors, log) {
            Ok(Connecting::Done(peer)) => (peer, false),
            Ok(Connecting::Waiting(peer)) => (peer, true),
            Err(refusal) => return ConnectProgress::Failed(refusal.into()),
        };
        ngx_debug!(request.log(), "lua tcp socket connect: {}", if waits { -2 } else { 0 });
        let stream = peer.stream();
        if let Err(failure) = self.own(peer) {
            return ConnectProgress::Failed(failure);
        }
        if waits {
            return ConnectProgress::Waiting;
        }
        ngx_debug!(request.log(), "lua tcp socket connected: fd:{}", stream.fd());
        quieten(stream)
    }

    /// An event says that the connect has finished, or has timed out.
    pub fn connect_event(self: &Rc<Self>, mut attempt: Attempt) {
        let Some(stream) = self.stream.get() else { return };
        let next = attempt.others.pop();
        self.settle_connect(match self.check_connected(stream, &attempt.address, next.is_none()) {
            Ok(()) => quieten(stream),
            Err(SocketFailure::System(error)) if let Some(address) = next => {
                let log = self.request.get().log();
                ngx_debug!(log, "lua tcp socket connect failed ({error}): another address");
                self.leave_connection();
                self.open(Attempt { address, ..attempt }, address.text(true))
            }
            Err(failure) => ConnectProgress::Failed(failure),
        });
    }

    /// The result of a connect that has finished or timed out. A timeout is logged; any other
    /// failure only if `is_last`, that is, if there is no other address to try.
    pub fn check_connected(
        &self,
        stream: Stream,
        address: &Address,
        is_last: bool,
    ) -> Result<(), SocketFailure> {
        let log = self.request.get().log();
        if stream.timer(Direction::Write).take_timeout() {
            if self.logs_errors() {
                self.log_connect_timeout(address);
            }
            return Err(SocketFailure::Timeout);
        }
        stream.timer(Direction::Write).clear();
        let error = stream.connect_error();
        if error != 0 {
            if is_last && self.logs_errors() {
                stream.log_error(error, const { PlainText::new(c"connect() failed") });
            }
            return Err(SocketFailure::System(error));
        }
        ngx_debug!(log, "lua tcp socket connected");
        Ok(())
    }

    #[cold]
    fn log_connect_timeout(&self, address: &Address) {
        const LINE: &str = "lua tcp socket connect timed out";
        let (log, level) = (self.error_log(), self.timeout_level());
        if self.names_server() {
            return ngx_log!(log, level, "{LINE}");
        }
        let (ip, port) = (address.text(false), address.port());
        ngx_log!(log, level, "{LINE}, when connecting to {ip}:{port}");
    }
}

/// Updates what nginx waits for: with a level-triggered event method, an event that nothing handles
/// would be reported again and again.
fn quieten(stream: Stream) -> ConnectProgress {
    if !stream.watch_write(0) {
        return ConnectProgress::Failed(SocketFailure::text("failed to handle write event"));
    }
    if !stream.watch_read() {
        return ConnectProgress::Failed(SocketFailure::text("failed to handle read event"));
    }
    ConnectProgress::Connected
}
