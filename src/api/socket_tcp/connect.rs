//! Connecting: a connection comes out of the pool, or is made, for which the pool's queue, the
//! resolver and the kernel may have to be waited for.

use std::borrow::Cow;
use std::rc::{Rc, Weak};

use codec::fallible::{self, OutOfMemory};

use super::attempt::Attempt;
use super::cancel::SocketWait;
use super::keepalive::{Idle, Woken};
use super::pool::{Admission, Pool, Queued};
use super::socket::Socket;
#[cfg(ngx_feature = "http_ssl")]
use super::tls::Tls;
use crate::api::call::Call;
use crate::api::socket_failure::SocketFailure;
use crate::config::metrics::Metric;
use crate::config::{LocationConf, MainConf};
use crate::lua::{LuaResult, Returns};
use crate::nginx::core::address::{Address, Host, parse_host};
use crate::nginx::core::log::Shown;
use crate::nginx::event::peer;
use crate::nginx::event::peer::{Events, Source};
use crate::nginx::event::resolver;
use crate::nginx::event::resolver::{Resolution, ResolveError, Resolved, Started};
use crate::nginx::{Level, Request};
use crate::runtime::{counters, scheduler};
use crate::{ngx_debug, ngx_log};

/// Where a socket that connects stands.
#[derive(Default)]
pub enum Stage {
    /// It is not connecting.
    #[default]
    None,
    /// It waits in the queue of its pool.
    Queued(#[allow(dead_code, reason = "held, so that the queue has it")] Rc<Queued>),
    /// The resolver looks the name up.
    Resolving(#[allow(dead_code, reason = "held, so that it goes on")] Box<Lookup>),
    /// The kernel connects.
    Connecting(Box<Attempt>),
    /// The kernel connects, because a pooled connection's TLS does not suit the handshake that is
    /// asked for.
    #[cfg(ngx_feature = "http_ssl")]
    Reconnecting(Box<Address>),
    /// The TLS handshake goes on, or has ended and the next event reports its result.
    #[cfg(ngx_feature = "http_ssl")]
    Handshaking,
}

type Lookup = Resolution<WantedConnection>;

impl Stage {
    /// Whether an event of the connection ends the stage.
    pub fn ends_with_event(&self) -> bool {
        !matches!(self, Stage::None | Stage::Queued(_) | Stage::Resolving(_))
    }
}

/// Where a connect is to go.
pub struct Target<'a> {
    pub host: Cow<'a, [u8]>,
    pub port: u16,
    pub source: Option<Source>,
}

impl Target<'_> {
    /// The same with a copy of the host, for use after the call.
    fn kept(self) -> Result<Target<'static>, OutOfMemory> {
        let host = match self.host {
            Cow::Borrowed(host) => fallible::copy(host)?,
            Cow::Owned(host) => host,
        };
        Ok(Target { host: host.into(), port: self.port, source: self.source })
    }
}

/// What a socket that waits for the resolver wants. The socket owns the resolution, and this with
/// it.
pub struct WantedConnection {
    socket: Weak<Socket>,
    target: Target<'static>,
}

/// How far a connect has come.
pub enum ConnectProgress {
    Connected,
    Waiting,
    Failed(SocketFailure),
}

impl Socket {
    /// `sock:connect`, after its arguments were read.
    pub fn connect(
        self: &Rc<Self>,
        call: &Call,
        target: Target,
        pool: Option<Rc<Pool>>,
    ) -> LuaResult {
        match self.enter(target, pool) {
            ConnectProgress::Connected => {
                call.state.push_integer(1);
                Ok(Returns::Values(1))
            }
            ConnectProgress::Failed(failure) => {
                self.finalize();
                failure.push(call.state);
                Ok(Returns::Values(2))
            }
            ConnectProgress::Waiting => {
                let task = call.task().inspect_err(|_| self.finalize())?;
                *self.connecting.borrow_mut() = Some(Rc::downgrade(&task));
                task.wait_for(Box::new(SocketWait::to_connect(self)));
                Ok(Returns::Yield(0))
            }
        }
    }

    /// Takes a connection or a place from the pool, where there is one.
    fn enter(self: &Rc<Self>, target: Target, pool: Option<Rc<Pool>>) -> ConnectProgress {
        let Some(pool) = pool else { return self.proceed(target) };
        let log = self.request.get().log();
        match pool.take_idle(log) {
            Some(Woken::Connection(idle)) => return self.adopt(idle),
            Some(Woken::Seat(seat)) => {
                *self.seat.borrow_mut() = Some(seat);
                return self.proceed(target);
            }
            None => {}
        }
        match pool.admit() {
            Admission::Seat(seat) => {
                *self.seat.borrow_mut() = Some(seat);
                self.proceed(target)
            }
            Admission::Full => {
                ConnectProgress::Failed(SocketFailure::text("too many waiting connect operations"))
            }
            Admission::Queue(seat) => {
                let timeout = self.timeouts.get().connect;
                match target.kept().and_then(|target| pool.queue(seat, self, target, timeout)) {
                    Ok(queued) => {
                        self.stage.replace(Stage::Queued(queued));
                        ConnectProgress::Waiting
                    }
                    Err(OutOfMemory) => ConnectProgress::Failed(SocketFailure::NoMemory),
                }
            }
        }
    }

    /// The pool has a place for this socket now, which waited in its queue as `queued`.
    pub fn leave_queue(self: &Rc<Self>, queued: &Queued) {
        self.stage.replace(Stage::None);
        let (Some(seat), Some(target)) = (queued.take_seat(), queued.take_target()) else { return };
        let progress = match seat.pool().take_idle(self.request.get().log()) {
            Some(Woken::Connection(idle)) => {
                seat.give_up();
                self.adopt(idle)
            }
            Some(Woken::Seat(_)) | None => {
                *self.seat.borrow_mut() = Some(seat);
                self.proceed(target)
            }
        };
        self.settle_connect(progress);
    }

    /// The pool had no place for `queued` in time.
    pub fn time_out_in_queue(self: &Rc<Self>, queued: &Queued) {
        // Another connect may wait in the queue from now on.
        drop(queued.take_seat());
        if self.logs_errors()
            && let Some(target) = queued.take_target()
        {
            ngx_log!(
                self.request.get().log(),
                self.timeout_level(),
                "lua tcp socket queued connect timed out, when trying to connect to {}:{}",
                Shown(&target.host),
                target.port
            );
        }
        self.settle_connect(ConnectProgress::Failed(SocketFailure::Timeout));
    }

    /// The log level for timeouts.
    pub fn timeout_level(&self) -> Level {
        LocationConf::of(&self.conf.get()).timeout_level()
    }

    pub fn logs_errors(&self) -> bool {
        LocationConf::of(&self.conf.get()).socket_log_errors()
    }

    /// Connects to `target`; the pool, if there is one, allows it.
    fn proceed(self: &Rc<Self>, target: Target) -> ConnectProgress {
        counters::count(Metric::Connects);
        let request = self.request.get();
        if let Err(OutOfMemory) = self.note_server(&target) {
            return ConnectProgress::Failed(SocketFailure::NoMemory);
        }
        match parse_host(&target.host, target.port) {
            Err(bad) => ConnectProgress::Failed(SocketFailure::bad_host(&target.host, bad)),
            Ok(Host::Address(address)) => {
                self.note_timeout(request);
                ngx_debug!(request.log(), "lua tcp socket network address given directly");
                // As with the C module, a line that names the server has its address without a port
                // here.
                let named = self.names_server();
                let name = if named { address.bare_text() } else { address.text(true) };
                self.open(self.attempt(address, Vec::new(), target.source), name)
            }
            Ok(Host::Name) => {
                self.note_timeout(request);
                self.resolve(request, target)
            }
        }
    }

    fn note_timeout(&self, request: Request) {
        let timeout = self.timeouts.get().connect;
        ngx_debug!(request.log(), "lua tcp socket connect timeout: {timeout}");
    }

    fn resolve(self: &Rc<Self>, request: Request, target: Target) -> ConnectProgress {
        let kept = target.kept().and_then(|target| Ok((fallible::copy(&target.host)?, target)));
        let Ok((name, target)) = kept else {
            return ConnectProgress::Failed(SocketFailure::NoMemory);
        };
        let (port, source) = (target.port, target.source);
        let wanted = WantedConnection { socket: Rc::downgrade(self), target };
        let system = MainConf::of(&request).system_names.get();
        match resolver::start(request, system, &name, wanted, on_resolved) {
            Started::Done(answer) => self.resolved(&name, port, source, answer),
            Started::Waiting(resolution) => {
                self.stage.replace(Stage::Resolving(resolution));
                ConnectProgress::Waiting
            }
        }
    }

    /// The resolver has answered: connects to the addresses, or fails.
    fn resolved(
        self: &Rc<Self>,
        name: &[u8],
        port: u16,
        source: Option<Source>,
        answer: Resolved,
    ) -> ConnectProgress {
        let log = self.request.get().log();
        ngx_debug!(log, "lua tcp socket resolve handler");
        match answer {
            Ok(mut addresses) => {
                for address in &mut addresses {
                    ngx_debug!(log, "name was resolved to {}", address.text(false));
                    *address = address.with_port(port);
                }
                addresses.reverse();
                let Some(first) = addresses.pop() else {
                    return ConnectProgress::Failed(SocketFailure::Error);
                };
                self.open(self.attempt(first, addresses, source), first.text(true))
            }
            Err(error) => ConnectProgress::Failed(SocketFailure::not_resolved(name, error)),
        }
    }

    /// Makes an idle connection that was taken out of the pool this socket's own.
    fn adopt(self: &Rc<Self>, idle: Idle) -> ConnectProgress {
        counters::count(Metric::Reuses);
        idle.seat.pool().count_reuse();
        self.reused.set(idle.reused.saturating_add(1));
        *self.seat.borrow_mut() = Some(idle.seat);
        *self.user_data.borrow_mut() = idle.user_data;
        if let Some(server) = &idle.server {
            let log = self.request.get().log();
            server.stand_before(log);
            idle.peer.log_to(server);
        }
        *self.server.borrow_mut() = idle.server;
        #[cfg(ngx_feature = "http_ssl")]
        self.tls.replace(Tls::taken(idle.tls, idle.peer.stream()));
        match self.own(idle.peer) {
            Ok(()) => ConnectProgress::Connected,
            Err(failure) => ConnectProgress::Failed(failure),
        }
    }

    /// Makes `peer` this socket's connection, which the request closes at its end.
    pub fn own(self: &Rc<Self>, peer: peer::Peer) -> Result<(), SocketFailure> {
        peer.set_user(Rc::downgrade(self) as Weak<dyn Events>);
        self.stream.set(Some(peer.stream()));
        *self.peer.borrow_mut() = Some(peer);
        let context = self.context().ok_or(SocketFailure::Closed)?;
        self.hold_by(&context)
    }

    /// Gives the waiting task the result of its connect, unless that still waits. After a failure,
    /// closes the socket.
    pub fn settle_connect(self: &Rc<Self>, progress: ConnectProgress) {
        if matches!(progress, ConnectProgress::Waiting) {
            return;
        }
        let waiter = Socket::take_waiter(&self.connecting);
        if let ConnectProgress::Failed(_) = &progress {
            ngx_debug!(self.request.get().log(), "lua tcp socket handle connect error");
            self.finalize();
        }
        let Some(task) = waiter else { return };
        ngx_debug!(self.request.get().log(), "lua tcp socket waking up the current request");
        match progress {
            ConnectProgress::Failed(failure) => {
                scheduler::wake_with(&task, 2, |state| failure.push(state));
            }
            ConnectProgress::Connected | ConnectProgress::Waiting => {
                scheduler::wake_with(&task, 1, |state| state.push_integer(1));
            }
        }
    }
}

/// The resolver's answer, for a socket that waits for it.
fn on_resolved(wanted: WantedConnection, answer: Resolved) {
    let Some(socket) = wanted.socket.upgrade() else { return };
    let Target { host, port, source } = wanted.target;
    if let Err(ResolveError::Failed(_, text)) = &answer {
        ngx_debug!(
            socket.request.get().log(),
            "lua tcp socket resolver error: {text} (connect waiting: 1)"
        );
    }
    // This resolution has finished.
    drop(socket.stage.take());
    let progress = socket.resolved(&host, port, source, answer);
    socket.settle_connect(progress);
}
