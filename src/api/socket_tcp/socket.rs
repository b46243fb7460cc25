//! A TCP cosocket: its connection, which tasks wait for it, and how it is closed.

use std::cell::{Cell, RefCell};
use std::ffi::CStr;
use std::rc::{Rc, Weak};

use codec::fallible::OutOfMemory;

use super::connect::Stage;
use super::input::Input;
use super::pool::Seat;
use super::request_socket;
use super::send::Output;
#[cfg(ngx_feature = "http_ssl")]
use super::tls::Tls;
use super::user_data::UserData;
use crate::api::call::Call;
use crate::api::socket_failure::{self, SocketFailure};
use crate::config::Location;
use crate::lua::{LuaError, LuaResult};
use crate::nginx::Request;
use crate::nginx::core::allocator;
use crate::nginx::core::free_list::FreeList;
use crate::nginx::core::log::Shown;
use crate::nginx::event::peer;
use crate::nginx::event::peer::{Events, Peer};
use crate::nginx::event::server_log::ServerLog;
use crate::nginx::event::stream::{Direction, Stream};
use crate::nginx::http::client_socket;
use crate::nginx::http::configuration::Configuration;
use crate::runtime::{Context, Hold, Resource, Task};
use crate::{ngx_debug, own_thread};

/// What a cosocket is connected to, and for what.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum SocketKind {
    /// A server that Lua code has connected to.
    Upstream,
    /// The client, for reading the request body from its connection.
    Body,
    /// The client, for reading the request body through nginx's own reader.
    Unbuffered,
    /// The client, for everything.
    Raw,
}

/// How long a socket's operations may take, in milliseconds.
#[derive(Clone, Copy)]
pub struct Timeouts {
    pub connect: usize,
    pub send: usize,
    pub read: usize,
}

impl Timeouts {
    /// The given timeouts; the configured one for each that is not positive.
    pub fn new(conf: &Location, connect: i64, send: i64, read: i64) -> Timeouts {
        let or = |value: i64, default: usize| match usize::try_from(value) {
            Ok(value) if value > 0 => value,
            _ => default,
        };
        Timeouts {
            connect: or(connect, conf.socket_connect_timeout()),
            send: or(send, conf.socket_send_timeout()),
            read: or(read, conf.socket_read_timeout()),
        }
    }
}

/// What another task waits for, which keeps a socket busy.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Busy {
    Connecting,
    Reading,
    Writing,
}

impl Busy {
    pub fn text(self) -> &'static CStr {
        match self {
            Busy::Connecting => c"socket busy connecting",
            Busy::Reading => c"socket busy reading",
            Busy::Writing => c"socket busy writing",
        }
    }

    pub fn fail(self, call: &Call) -> LuaResult {
        call.fail(self.text().to_str().unwrap_or_default())
    }
}

/// A cosocket.
pub struct Socket {
    pub kind: SocketKind,
    /// The request that owns it. Once that has ended, the handle is only compared.
    pub request: Cell<Request>,
    /// None once it is closed.
    pub context: RefCell<Option<Weak<Context>>>,
    /// The configuration of the location where it was connected.
    pub conf: Cell<Configuration>,
    pub timeouts: Cell<Timeouts>,
    /// The connection that it owns; `None` for a request socket, whose connection is nginx's.
    pub peer: RefCell<Option<Peer>>,
    /// The connection, its own or the client's; `None` while it is not connected.
    pub stream: Cell<Option<Stream>>,
    pub read_closed: Cell<bool>,
    pub write_closed: Cell<bool>,
    /// Whether its source address may be another machine's (`IP_TRANSPARENT`).
    pub transparent: Cell<bool>,
    /// Whether no more will come: the other side has closed its half, or the request body has
    /// ended.
    pub ended: Cell<bool>,
    /// Whether a read has timed out, and none has succeeded since: what it waited for may still
    /// come, so the connection is not kept alive.
    pub answer_due: Cell<bool>,
    pub input: RefCell<Input>,
    /// How many reads have left something for the next one.
    pub buffered_reads: Cell<u8>,
    pub output: RefCell<Output>,
    /// The tasks that wait for it: for a connect or a handshake, to read, and to write.
    pub connecting: RefCell<Option<Weak<Task>>>,
    pub reading: RefCell<Option<Weak<Task>>>,
    pub writing: RefCell<Option<Weak<Task>>>,
    pub stage: RefCell<Stage>,
    /// The log that names the server, for lines about errors.
    pub server: RefCell<Option<ServerLog>>,
    #[cfg(ngx_feature = "http_ssl")]
    pub tls: RefCell<Tls>,
    /// How often the connection came from a pool.
    pub reused: Cell<u32>,
    pub seat: RefCell<Option<Seat>>,
    pub hold: RefCell<Option<Hold>>,
    pub user_data: RefCell<Option<UserData>>,
}

own_thread! {
    /// Closed sockets that have left their tables, for new ones: a socket may last for a single request only.
    static SPARE: FreeList<Rc<Socket>> = FreeList::new(MAX_SPARE);
}
/// How many are kept there at most.
const MAX_SPARE: usize = 16;

impl Socket {
    /// A socket for a connect by the calling request.
    pub fn to_connect(call: &Call) -> Result<Rc<Socket>, OutOfMemory> {
        // The call that has released it may have had a share of it still, but has ended since.
        if let Some(mut spare) = SPARE.take()
            && let Some(socket) = Rc::get_mut(&mut spare)
        {
            socket.belong_to(call);
            return Ok(spare);
        }
        Socket::new(SocketKind::Upstream, call)
    }

    /// Keeps the socket, which is closed and was one to connect, for another table's use.
    pub fn spare(self: Rc<Self>) {
        self.buffered_reads.set(0);
        self.forget();
        drop(SPARE.keep(self));
    }

    /// A socket for the calling request, not connected.
    pub fn new(kind: SocketKind, call: &Call) -> Result<Rc<Socket>, OutOfMemory> {
        allocator::check()?;
        let conf = call.context.location();
        Ok(Rc::new(Socket {
            kind,
            request: Cell::new(call.request),
            context: RefCell::new(Some(Rc::downgrade(call.context))),
            conf: Cell::new(Configuration::of(call.request)),
            timeouts: Cell::new(Timeouts::new(conf, 0, 0, 0)),
            peer: RefCell::default(),
            stream: Cell::new(None),
            read_closed: Cell::new(false),
            write_closed: Cell::new(false),
            transparent: Cell::new(false),
            ended: Cell::new(false),
            answer_due: Cell::new(false),
            input: RefCell::new(Input::new()),
            buffered_reads: Cell::new(0),
            output: RefCell::default(),
            connecting: RefCell::default(),
            reading: RefCell::default(),
            writing: RefCell::default(),
            stage: RefCell::default(),
            server: RefCell::default(),
            #[cfg(ngx_feature = "http_ssl")]
            tls: RefCell::default(),
            reused: Cell::new(0),
            seat: RefCell::default(),
            hold: RefCell::default(),
            user_data: RefCell::default(),
        }))
    }

    /// Starts over, for another connect by the calling request.
    pub fn reset(&self, call: &Call) {
        self.forget();
        self.belong_to(call);
    }

    fn belong_to(&self, call: &Call) {
        self.request.set(call.request);
        *self.context.borrow_mut() = Some(Rc::downgrade(call.context));
        self.conf.set(Configuration::of(call.request));
    }

    /// Forgets all about its last connection.
    fn forget(&self) {
        self.read_closed.set(false);
        self.write_closed.set(false);
        self.ended.set(false);
        self.answer_due.set(false);
        self.input.borrow_mut().clear();
        self.reused.set(0);
        #[cfg(ngx_feature = "http_ssl")]
        self.tls.take();
        *self.seat.borrow_mut() = None;
        *self.user_data.borrow_mut() = None;
    }

    pub fn context(&self) -> Option<Rc<Context>> {
        self.context.borrow().as_ref().and_then(Weak::upgrade)
    }

    pub fn is_downstream(&self) -> bool {
        self.kind != SocketKind::Upstream
    }

    /// Whether it reads the request body, and nothing else.
    pub fn reads_body(&self) -> bool {
        matches!(self.kind, SocketKind::Body | SocketKind::Unbuffered)
    }

    /// Whether it has a connection, of which a direction may be closed.
    pub fn is_connected(&self) -> bool {
        self.stream.get().is_some()
    }

    /// Has the request close the socket at its end.
    pub fn hold_by(self: &Rc<Self>, context: &Rc<Context>) -> Result<(), SocketFailure> {
        let weak: Weak<dyn Resource> = Rc::downgrade(self) as Weak<dyn Resource>;
        let hold = context.hold(weak).map_err(|_| SocketFailure::NoMemory)?;
        *self.hold.borrow_mut() = Some(hold);
        Ok(())
    }

    /// Raises "bad request" unless the calling request owns the socket.
    pub fn check_owner(&self, call: &Call) -> Result<(), LuaError> {
        socket_failure::check_owner(call, self.request.get())
    }

    /// What the socket is busy with: a connect, and if asked for, a read or a write of another
    /// task. While the result of a read is pushed, a finalizer of Lua's may run, and call the
    /// socket's methods: the input is borrowed then.
    pub fn busy(&self, reading: bool, writing: bool) -> Option<Busy> {
        if self.connecting.borrow().is_some() {
            return Some(Busy::Connecting);
        }
        if reading && (self.reading.borrow().is_some() || self.input.try_borrow().is_err()) {
            return Some(Busy::Reading);
        }
        let output_waits = || {
            self.kind == SocketKind::Raw
                && self.is_connected()
                && client_socket::has_output(self.request.get())
        };
        if writing && (self.writing.borrow().is_some() || output_waits()) {
            return Some(Busy::Writing);
        }
        None
    }

    /// Nothing more is read. Safe to call twice.
    pub fn close_read(&self) {
        if self.read_closed.replace(true) {
            return;
        }
        // A finalizer that runs while the result of a read is pushed may kill a task that waits to
        // write. What is being pushed stays until the socket is dropped, or connects again.
        if let Ok(mut input) = self.input.try_borrow_mut() {
            input.clear();
        }
        let Some(stream) = self.stream.get() else { return };
        match self.kind {
            SocketKind::Upstream => stream.shut(Direction::Read),
            _ if request_socket::is_listening(self) => stream.timer(Direction::Read).clear(),
            _ => {}
        }
    }

    /// Nothing more is written. Safe to call twice.
    pub fn close_write(&self) {
        if self.write_closed.replace(true) {
            return;
        }
        let cut_short = self.output.borrow_mut().clear();
        let Some(stream) = self.stream.get() else { return };
        match self.kind {
            SocketKind::Upstream => stream.shut(Direction::Write),
            SocketKind::Raw if cut_short => {
                stream.timer(Direction::Write).clear();
                stream.set_write_error();
            }
            SocketKind::Body | SocketKind::Unbuffered | SocketKind::Raw => {}
        }
    }

    /// Closes the socket and drops all that it holds. Safe to call twice.
    pub fn finalize(&self) {
        if peer::has_left() {
            self.stream.set(None);
        }
        if let Some(stream) = self.stream.get() {
            ngx_debug!(stream.log(), "lua finalize socket");
        }
        self.close_read();
        self.close_write();
        let stream = self.stream.take();
        let stage = self.stage.take();
        drop(stage);
        let peer = self.peer.take();
        if let (Some(_), Some(stream)) = (&peer, stream) {
            ngx_debug!(stream.log(), "lua close socket connection");
        }
        drop(peer);
        drop(self.server.take());
        drop(self.context.take());
        // The pool may have another connect go ahead now.
        drop(self.seat.take());
        drop(self.user_data.take());
        // Until here, the end of the request would close what is left.
        drop(self.hold.take());
    }

    /// Takes the waiting task out of `slot`: it no longer waits for the socket. `None` if none
    /// waits or the task is gone.
    pub fn take_waiter(slot: &RefCell<Option<Weak<Task>>>) -> Option<Rc<Task>> {
        slot.take().and_then(|task| task.upgrade())
    }
}

impl Resource for Socket {
    fn close(&self) {
        let request = self.request.get();
        ngx_debug!(request.log(), "cleanup lua tcp socket request: \"{}\"", Shown(request.uri()));
        self.finalize();
    }
}

impl Drop for Socket {
    fn drop(&mut self) {
        // A closed socket has neither.
        if self.context.get_mut().is_some() || self.peer.get_mut().is_some() {
            self.finalize();
        }
    }
}

impl Events for Socket {
    fn on_read(self: Rc<Self>, _: Stream) {
        let Some(log) = self.note_event(0) else { return };
        if self.stage_event() {
            return;
        }
        if self.reading.borrow().is_some() {
            self.read_event();
        } else {
            ngx_debug!(log, "lua tcp socket dummy handler");
        }
    }

    fn on_write(self: Rc<Self>, _: Stream) {
        let Some(log) = self.note_event(1) else { return };
        if self.stage_event() {
            return;
        }
        if self.writing.borrow().is_some() {
            self.write_event();
        } else {
            ngx_debug!(log, "lua tcp socket dummy handler");
        }
    }
}

impl Socket {
    /// Passes an event on to the stage of connecting that the socket is in; false if it is in none
    /// that waits for events.
    fn stage_event(self: &Rc<Self>) -> bool {
        if !self.stage.borrow().ends_with_event() {
            return false;
        }
        match self.stage.take() {
            Stage::Connecting(attempt) => self.connect_event(*attempt),
            #[cfg(ngx_feature = "http_ssl")]
            Stage::Reconnecting(address) => self.reconnect_event(&address),
            #[cfg(ngx_feature = "http_ssl")]
            Stage::Handshaking => self.handshake_event(),
            Stage::None | Stage::Queued(_) | Stage::Resolving(_) => {}
        }
        true
    }

    /// Logs an event at debug level; returns the request's log, or `None` for a socket that is
    /// closed.
    fn note_event(&self, write: u8) -> Option<crate::nginx::core::log::Log> {
        self.stream.get()?;
        let request = self.request.get();
        client_socket::log_as(request);
        ngx_debug!(
            request.log(),
            "lua tcp socket handler for \"{}?{}\", wev {write}",
            Shown(request.uri()),
            Shown(request.args())
        );
        Some(request.log())
    }
}
