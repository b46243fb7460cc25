//! A datagram cosocket: its connection, the task that waits for it, and how it is closed.

use std::cell::{Cell, RefCell};
use std::rc::{Rc, Weak};

use codec::fallible::OutOfMemory;

use crate::api::call::Call;
use crate::api::socket_failure::{self, SocketFailure};
use crate::api::socket_log;
use crate::config::LocationConf;
use crate::lua::LuaError;
use crate::nginx::Request;
use crate::nginx::core::address::Address;
use crate::nginx::core::allocator;
use crate::nginx::core::log::{Log, Shown};
use crate::nginx::event::peer::has_left;
use crate::nginx::event::server_log::ServerLog;
use crate::nginx::event::udp;
use crate::nginx::event::udp::{Connection, Receiver};
use crate::nginx::http::client_socket;
use crate::nginx::http::configuration::Configuration;
use crate::ngx_debug;
use crate::runtime::{Context, Hold, Resource, Task};

/// A datagram cosocket.
pub struct Socket {
    /// The request that set its peer. Once that has ended, the handle is only compared.
    pub request: Cell<Request>,
    context: RefCell<Weak<Context>>,
    /// The configuration of the location where its peer was set.
    pub conf: Cell<Configuration>,
    /// The source address, if `sock:bind` has set one.
    pub local: Cell<Option<Address>>,
    /// How long a receive may wait, in milliseconds.
    pub read_timeout: Cell<usize>,
    /// How many bytes of a datagram the receive that waits has asked for.
    pub size: Cell<usize>,
    pub connection: RefCell<Option<Connection>>,
    /// The log that names the peer in lines about errors.
    server: RefCell<Option<ServerLog>>,
    /// The task that waits for a name's address or for a datagram.
    pub waiting: RefCell<Option<Weak<Task>>>,
    hold: RefCell<Option<Hold>>,
}

impl Socket {
    /// A socket for the calling request, without a peer.
    pub fn new(call: &Call) -> Result<Rc<Socket>, OutOfMemory> {
        allocator::check()?;
        Ok(Rc::new(Socket {
            request: Cell::new(call.request),
            context: RefCell::new(Rc::downgrade(call.context)),
            conf: Cell::new(Configuration::of(call.request)),
            local: Cell::new(None),
            read_timeout: Cell::new(0),
            size: Cell::new(0),
            connection: RefCell::default(),
            server: RefCell::default(),
            waiting: RefCell::default(),
            hold: RefCell::default(),
        }))
    }

    /// Starts over, for another peer that the calling request sets.
    pub fn reset(&self, call: &Call) {
        self.request.set(call.request);
        *self.context.borrow_mut() = Rc::downgrade(call.context);
        self.conf.set(Configuration::of(call.request));
    }

    /// Makes the log for errors of the peer, by the name that the calling request uses.
    pub fn note_peer(&self, host: &[u8], port: u16) -> Result<(), OutOfMemory> {
        *self.server.borrow_mut() = socket_log::naming(host, port, self.request.get().log())?;
        Ok(())
    }

    /// The log for errors of the socket: the request's, unless lines name the peer.
    pub fn error_log(&self) -> Log {
        socket_log::of(&self.server, self.request.get())
    }

    /// Sets the timeout of receives: the configured one if `milliseconds` are not positive.
    pub fn set_timeout(&self, milliseconds: i64) {
        let wanted = usize::try_from(milliseconds).ok().filter(|&milliseconds| milliseconds > 0);
        self.read_timeout.set(
            wanted.unwrap_or_else(|| LocationConf::of(&self.conf.get()).socket_read_timeout()),
        );
    }

    /// Raises "bad request" unless the calling request has set the peer.
    pub fn check_owner(&self, call: &Call) -> Result<(), LuaError> {
        socket_failure::check_owner(call, self.request.get())
    }

    pub fn is_connected(&self) -> bool {
        self.connection.borrow().is_some()
    }

    pub fn is_waited_for(&self) -> bool {
        self.waiting.borrow().is_some()
    }

    /// Takes the waiting task: it no longer waits for the socket. `None` if none waits or the task
    /// is gone.
    pub fn take_waiter(&self) -> Option<Rc<Task>> {
        self.waiting.take().and_then(|task| task.upgrade())
    }

    /// Connects to `address`. The request closes the connection at its end.
    pub fn connect_to(self: &Rc<Self>, address: &Address) -> Result<(), SocketFailure> {
        let log = self.request.get().log();
        ngx_debug!(log, "lua udp socket resolve retval handler");
        let context = self.context.borrow().upgrade().ok_or(SocketFailure::Closed)?;
        let server = self.server.borrow().clone();
        if let Some(server) = &server {
            server.set_address(*address);
        }
        let connected = udp::connect(address, self.local.get().as_ref(), log, server);
        ngx_debug!(log, "lua udp socket connect: {}", if connected.is_ok() { 0 } else { -1 });
        let connection = connected?;
        let resource: Weak<dyn Resource> = Rc::downgrade(self) as Weak<dyn Resource>;
        let hold = context.hold(resource).map_err(|_| SocketFailure::NoMemory)?;
        connection.set_receiver(Rc::downgrade(self) as Weak<dyn Receiver>);
        *self.hold.borrow_mut() = Some(hold);
        *self.connection.borrow_mut() = Some(connection);
        Ok(())
    }

    /// Sends one datagram.
    pub fn send(&self, datagram: &[u8]) -> Result<(), SocketFailure> {
        let connection = self.connection.borrow();
        let connection = connection.as_ref().ok_or(SocketFailure::Closed)?;
        match connection.send(datagram) {
            Ok(sent) if sent == datagram.len() => Ok(()),
            Ok(_) => Err(SocketFailure::text("partial write")),
            Err(error) => Err(SocketFailure::System(error)),
        }
    }

    /// Closes the socket and drops all that it holds. Safe to call twice.
    pub fn finalize(&self) {
        let hold = self.hold.take();
        let connection = self.connection.take();
        // While there is a connection, the request has not ended, and its log is alive.
        if connection.is_some() && !has_left() {
            let log = self.request.get().log();
            ngx_debug!(log, "lua finalize socket");
            ngx_debug!(log, "lua close socket connection");
        }
        drop(connection);
        drop(self.server.take());
        drop(hold);
    }
}

impl Resource for Socket {
    fn close(&self) {
        let request = self.request.get();
        ngx_debug!(
            request.log(),
            "cleanup lua udp socket upstream request: \"{}\"",
            Shown(request.uri())
        );
        self.finalize();
    }
}

impl Drop for Socket {
    fn drop(&mut self) {
        self.finalize();
    }
}

impl Receiver for Socket {
    fn on_read(self: Rc<Self>) {
        let request = self.request.get();
        let log = request.log();
        client_socket::log_as(request);
        ngx_debug!(
            log,
            "lua udp socket handler for \"{}?{}\", wev 0",
            Shown(request.uri()),
            Shown(request.args())
        );
        if self.is_waited_for() {
            self.read_event();
            return;
        }
        ngx_debug!(log, "lua udp socket dummy handler");
        if let Some(connection) = self.connection.borrow().as_ref() {
            connection.watch();
        }
    }
}
