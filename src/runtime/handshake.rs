//! The state of a client's TLS connection from its handshake on: the results of each phase's code,
//! a session that it found, and its `ngx.ctx` table, which the connection's requests inherit.
//!
//! The connection's pool owns it. If the connection is closed while code of a phase waits, that
//! code is ended first.

use std::cell::{Cell, RefCell};
use std::rc::{Rc, Weak};

use super::context::Context;
use super::ctx::CtxRef;
use super::fake_request;
use crate::config::Phase;
use crate::lua::{Vm, resty_core};
use crate::nginx::core::pool::OutOfMemory;
use crate::nginx::event::tls;
use crate::nginx::event::tls::{Client, Handshaking, Parked, Session, Ssl, Verdict};
use crate::nginx::{Level, Status};
use crate::{ngx_debug, ngx_log};

/// The names of a phase in log lines.
pub struct Words {
    /// At the beginning of a line.
    pub phase: &'static str,
    /// At the beginning of a line, before release 0.10.29.
    pub formerly: &'static str,
    /// OpenSSL's callback.
    pub callback: &'static str,
    /// The callback in the line about a connection that is closed.
    pub aborted: &'static str,
    /// Who would have to support that the code waits.
    pub support: &'static str,
}

impl Words {
    /// How lines begin in the release that is presented.
    pub fn beginning(&self) -> &'static str {
        if resty_core::presented() < 10_029 { self.formerly } else { self.phase }
    }

    /// Logs that the code cannot wait here: in `client`'s handshake.
    pub fn log_cannot_wait(&self, client: Client) {
        let (log, callback) = (client.log(), self.callback);
        let support = if client.is_quic() { "nginx's HTTP/3" } else { self.support };
        ngx_log!(
            log,
            Level::Crit,
            "lua: cannot yield in {callback}: missing async {callback} support in {support}"
        );
    }
}

/// A phase's code that waits.
struct Suspended {
    context: Rc<Context>,
    words: &'static Words,
    parked: Parked,
}

/// The state of a phase's code.
#[derive(Clone, Copy)]
pub struct Run {
    phase: Phase,
    pub verdict: Verdict,
    /// Its result, once it has finished.
    pub rc: Status,
}

/// A client's TLS connection.
pub struct Handshake {
    client: Client,
    vm: Rc<Vm>,
    runs: RefCell<Vec<Run>>,
    suspended: RefCell<Option<Suspended>>,
    /// The session that code of `ssl_session_fetch_by_lua*` has found, or that code of
    /// `ssl_session_store_by_lua*` is given.
    pub session: RefCell<Option<Session>>,
    pub session_id: RefCell<Vec<u8>>,
    ctx_ref: Cell<CtxRef>,
}

impl Handshake {
    /// The handshake of a TLS connection; `None` if no phase's code has run in it.
    pub fn of(ssl: Ssl) -> Option<Rc<Handshake>> {
        ssl.kept()
    }

    /// Makes one for a connection that has none, which owns it from now on.
    pub fn attach(at: Handshaking, vm: Rc<Vm>) -> Result<Rc<Handshake>, OutOfMemory> {
        let handshake = Rc::new(Handshake {
            client: at.client,
            vm,
            runs: RefCell::default(),
            suspended: RefCell::default(),
            session: RefCell::default(),
            session_id: RefCell::default(),
            ctx_ref: Cell::default(),
        });
        at.ssl.keep(handshake.clone())?;
        Ok(handshake)
    }

    /// The state of the code of `phase`; `None` if it has not started.
    pub fn run_of(&self, phase: Phase) -> Option<Run> {
        self.runs.borrow().iter().find(|run| run.phase == phase).copied()
    }

    /// Notes that the code of `phase` starts, in the fake request of `context`.
    pub fn begin(self: &Rc<Self>, phase: Phase, context: &Context) {
        #[expect(clippy::disallowed_methods, reason = "one for each phase of a handshake")]
        self.runs.borrow_mut().push(Run { phase, verdict: Verdict::Wait, rc: Status::AGAIN });
        let handshake: Weak<Handshake> = Rc::downgrade(self);
        context.fake_end.on_result.set(Some(Box::new(move |rc| {
            if let Some(handshake) = handshake.upgrade() {
                handshake.end(phase, rc);
            }
        })));
    }

    /// The code of `phase` has finished: has nginx continue the handshake, if that waits.
    fn end(&self, phase: Phase, rc: Status) {
        let verdict = if rc.is_failure() { Verdict::Refuse } else { Verdict::Accept };
        if let Some(run) = self.runs.borrow_mut().iter_mut().find(|run| run.phase == phase) {
            *run = Run { phase, verdict, rc };
        }
        if let Some(Suspended { context, parked, .. }) = self.suspended.take() {
            context.fake_end.owned.replace(parked.resume());
            self.client.set_action(c"SSL handshaking");
            self.client.go_on();
        }
    }

    /// The code of a phase waits, and its handshake with it.
    pub fn suspend(&self, context: &Rc<Context>, words: &'static Words) -> Result<(), OutOfMemory> {
        let request = context.fake_end.owned.take().ok_or(OutOfMemory)?;
        match self.client.park(request) {
            Ok(parked) => {
                self.suspended.replace(Some(Suspended { context: context.clone(), words, parked }));
                Ok(())
            }
            Err(request) => {
                context.fake_end.owned.replace(Some(request));
                Err(OutOfMemory)
            }
        }
    }

    /// The connection has ended: ends code that still waits.
    pub fn close(&self) {
        if let Some(Suspended { context, words, mut parked }) = self.suspended.take() {
            ngx_debug!(self.client.log(), "{}: {} aborted", words.beginning(), words.aborted);
            context.fake_end.owned.replace(parked.give_back());
            end_code(&context);
        }
        self.set_ctx_ref(CtxRef::default());
    }

    /// Whether its `ngx.ctx` table is in `vm`.
    pub fn is_in(&self, vm: &Rc<Vm>) -> bool {
        Rc::ptr_eq(&self.vm, vm)
    }

    /// The reference of the `ngx.ctx` table.
    pub fn ctx_ref(&self) -> CtxRef {
        self.ctx_ref.get()
    }

    /// Keeps the table of `reference` from now on, and gives up the one before.
    pub fn set_ctx_ref(&self, reference: CtxRef) {
        let old = self.ctx_ref.replace(reference);
        if old != reference {
            super::ctx::release(self.vm.main(), old);
        }
    }
}

/// Takes the client's TLS connection back from the fake request of `context`.
pub fn take_back(context: &Context) {
    context.fake_end.owned.with(|request| {
        if let Some(request) = request {
            tls::take_back(request);
        }
    });
}

/// Ends code that waits in a fake request, for a handshake that does not go on.
pub fn abandon(context: &Rc<Context>) {
    take_back(context);
    end_code(context);
}

/// Ends the code of a fake request that uses the client's TLS connection no more.
fn end_code(context: &Rc<Context>) {
    context.fake_end.on_result.take();
    fake_request::finalize(context, Status::ERROR);
}
