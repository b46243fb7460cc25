//! What is known of a client's TLS connection from its handshake on: how the code of each phase went,
//! a session that it found, its `ngx.ctx` table, which the connection's requests inherit.
//!
//! The connection's pool owns it. Where the connection goes while code of a phase waits, that code
//! is ended first.

use std::cell::{Cell, RefCell};
use std::rc::{Rc, Weak};

use super::context::Context;
use super::ctx::NO_CTX;
use super::fake as stand_in;
use crate::config::Phase;
use crate::lua::{Vm, resty_core};
use crate::nginx::core::pool::OutOfMemory;
use crate::nginx::event::tls;
use crate::nginx::event::tls::{Client, Handshaking, Session, Ssl, Verdict};
use crate::nginx::{Level, Status};
use crate::{ngx_debug, ngx_log};

/// A status from here on refuses a handshake.
const HTTP_SPECIAL_RESPONSE: isize = 300;

/// How debug lines name a phase.
pub struct Words {
    /// As they begin.
    pub phase: &'static str,
    /// As they began before release 0.10.29.
    pub formerly: &'static str,
    /// OpenSSL's call-back.
    pub callback: &'static str,
    /// The same in the line about a connection that goes.
    pub aborted: &'static str,
}

impl Words {
    /// How lines begin in the release that is presented.
    pub fn beginning(&self) -> &'static str {
        if resty_core::presented() < 10_029 { self.formerly } else { self.phase }
    }
}

/// A phase's code that waits.
struct Suspended {
    context: Rc<Context>,
    words: &'static Words,
}

/// How the code of a phase stands.
#[derive(Clone, Copy)]
pub struct Run {
    phase: Phase,
    pub verdict: Verdict,
    /// Its result, once it is over.
    pub rc: Status,
}

/// A client's TLS connection.
pub struct Handshake {
    client: Client,
    vm: Rc<Vm>,
    runs: RefCell<Vec<Run>>,
    suspended: RefCell<Option<Suspended>>,
    /// The session that the code found, or is shown.
    pub session: RefCell<Option<Session>>,
    pub session_id: RefCell<Vec<u8>>,
    ctx_ref: Cell<i32>,
}

impl Handshake {
    /// That of a TLS connection; none where no phase's code has run in it.
    pub fn of(ssl: Ssl) -> Option<Rc<Handshake>> {
        ssl.kept()
    }

    /// One for a connection that has none, which owns it from now on.
    pub fn attach(at: Handshaking, vm: Rc<Vm>) -> Result<Rc<Handshake>, OutOfMemory> {
        let handshake = Rc::new(Handshake {
            client: at.client,
            vm,
            runs: RefCell::default(),
            suspended: RefCell::default(),
            session: RefCell::default(),
            session_id: RefCell::default(),
            ctx_ref: Cell::new(NO_CTX),
        });
        at.client.own(Owner(handshake.clone()))?;
        at.ssl.keep(&handshake)?;
        Ok(handshake)
    }

    /// How the code of `phase` stands; none where it has not started.
    pub fn run_of(&self, phase: Phase) -> Option<Run> {
        self.runs.borrow().iter().find(|run| run.phase == phase).copied()
    }

    /// Notes that the code of `phase` starts, in the stand-in of `context`.
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

    /// The code of `phase` is over: nginx goes on with the handshake, if that waits.
    fn end(&self, phase: Phase, rc: Status) {
        let refused = rc == Status::ERROR || rc.0 >= HTTP_SPECIAL_RESPONSE;
        let verdict = if refused { Verdict::Refuse } else { Verdict::Accept };
        if let Some(run) = self.runs.borrow_mut().iter_mut().find(|run| run.phase == phase) {
            *run = Run { phase, verdict, rc };
        }
        let suspended = self.suspended.take();
        if suspended.is_some() {
            self.client.set_action(c"SSL handshaking");
            self.client.go_on();
        }
    }

    /// The code of a phase waits, and its handshake with it.
    pub fn suspend(&self, context: &Rc<Context>, words: &'static Words) {
        let suspended = Suspended { context: context.clone(), words };
        self.suspended.replace(Some(suspended));
    }

    /// Ends the code that waits, if some does: nobody goes on with the handshake for it.
    pub fn abandon(&self) {
        if let Some(suspended) = self.suspended.take() {
            abandon(&suspended.context);
        }
    }

    /// Whether its table is one of `vm`'s.
    pub fn is_in(&self, vm: &Rc<Vm>) -> bool {
        Rc::ptr_eq(&self.vm, vm)
    }

    /// The reference of the `ngx.ctx` table; negative for none.
    pub fn ctx_ref(&self) -> i32 {
        self.ctx_ref.get()
    }

    /// Keeps another table instead.
    pub fn set_ctx_ref(&self, reference: i32) {
        let old = self.ctx_ref.replace(reference);
        if old >= 0 && old != reference {
            super::ctx::release(self.vm.main(), old);
        }
    }
}

/// Ends code that waits in a stand-in, for a handshake that nobody goes on with.
pub fn abandon(context: &Rc<Context>) {
    context.fake_end.on_result.take();
    tls::take_back(context.request());
    stand_in::finalize(context, Status::ERROR);
}

/// The connection pool's share.
struct Owner(Rc<Handshake>);

impl Drop for Owner {
    fn drop(&mut self) {
        let handshake = &self.0;
        if let Some(Suspended { context, words }) = handshake.suspended.take() {
            let log = handshake.client.log();
            ngx_debug!(log, "{}: {} aborted", words.beginning(), words.aborted);
            if handshake.client.is_given_up() {
                let callback = words.callback;
                ngx_log!(
                    log,
                    Level::Crit,
                    "lua: cannot yield in {callback}: missing async {callback} support in nginx"
                );
            }
            abandon(&context);
        }
        handshake.set_ctx_ref(NO_CTX);
    }
}
