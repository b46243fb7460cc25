//! `setpeername`: an address is connected to at once, a name goes to the resolver first.

use std::rc::{Rc, Weak};

use codec::fallible;

use super::socket::Socket;
use crate::api::call::Call;
use crate::api::socket_failure::SocketFailure;
use crate::config::MainConf;
use crate::lua::{LuaResult, Returns};
use crate::nginx::core::address::{Host, parse_host};
use crate::nginx::event::resolver;
use crate::nginx::event::resolver::{Resolution, Resolved, Started};
use crate::nginx::http::client_socket;
use crate::ngx_debug;
use crate::runtime::Operation;
use crate::runtime::scheduler;

/// What a socket that waits for the resolver wants.
struct WantedPeer {
    socket: Weak<Socket>,
    name: Vec<u8>,
    port: u16,
}

/// A task that waits for a name's address, and keeps the socket alive. Dropping it cancels the
/// lookup, and makes the socket free again.
struct PeerLookup {
    socket: Rc<Socket>,
    _resolution: Box<Resolution<WantedPeer>>,
}

impl Operation for PeerLookup {
    fn name(&self) -> &'static str {
        "the address of a UDP server"
    }
}

impl Drop for PeerLookup {
    fn drop(&mut self) {
        self.socket.waiting.take();
    }
}

impl Socket {
    /// Sets the peer: `host` is an IP address, `unix:PATH` or a name.
    pub fn set_peer(self: &Rc<Self>, call: &Call, host: &[u8], port: u16) -> LuaResult {
        self.note_peer(host, port)?;
        match parse_host(host, port) {
            Err(bad) => self.settle(call, Err(SocketFailure::bad_host(host, bad))),
            Ok(Host::Address(address)) => {
                ngx_debug!(call.request.log(), "lua udp socket network address given directly");
                self.settle(call, self.connect_to(&address))
            }
            Ok(Host::Name) => self.look_up(call, host, port),
        }
    }

    fn look_up(self: &Rc<Self>, call: &Call, name: &[u8], port: u16) -> LuaResult {
        let wanted = WantedPeer { socket: Rc::downgrade(self), name: fallible::copy(name)?, port };
        let system = MainConf::of(&call.request).system_names.get();
        match resolver::start(call.request, system, name, wanted, answered) {
            Started::Done(answer) => {
                let connected = self.connect_resolved(name, port, answer);
                self.settle(call, connected)
            }
            Started::Waiting(resolution) => {
                // If the code cannot wait, this drops the resolution, which cancels it.
                let task = call.task()?;
                *self.waiting.borrow_mut() = Some(Rc::downgrade(&task));
                let socket = self.clone();
                task.wait_for(Box::new(PeerLookup { socket, _resolution: resolution }));
                Ok(Returns::Yield(0))
            }
        }
    }

    /// Connects to the first of the resolver's addresses for which that succeeds.
    fn connect_resolved(
        self: &Rc<Self>,
        name: &[u8],
        port: u16,
        answer: Resolved,
    ) -> Result<(), SocketFailure> {
        let log = self.request.get().log();
        ngx_debug!(log, "lua udp socket resolve handler");
        let addresses = answer.map_err(|error| SocketFailure::not_resolved(name, error))?;
        let mut result = Err(SocketFailure::Error);
        for address in addresses {
            ngx_debug!(log, "name was resolved to {}", address.text(false));
            result = self.connect_to(&address.with_port(port));
            if result.is_ok() {
                break;
            }
        }
        result
    }

    /// Returns the result of a call that did not have to wait.
    fn settle(&self, call: &Call, result: Result<(), SocketFailure>) -> LuaResult {
        match result {
            Ok(()) => call.succeed(),
            Err(failure) => call.fail(&failure.message()),
        }
    }
}

/// The resolver's answer, for a socket that waits for it.
fn answered(wanted: WantedPeer, answer: Resolved) {
    let Some(socket) = wanted.socket.upgrade() else { return };
    let Some(task) = socket.take_waiter() else { return };
    client_socket::log_as(socket.request.get());
    let connected = socket.connect_resolved(&wanted.name, wanted.port, answer);
    match connected {
        Ok(()) => scheduler::wake_with(&task, 1, |state| state.push_integer(1)),
        Err(failure) => scheduler::wake_with(&task, 2, |state| failure.push(state)),
    }
}
