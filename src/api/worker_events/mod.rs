//! `ngx.worker.events`: messages from a worker to all workers, or to one.
//!
//! Messages go through a zone of shared memory; an eventfd that all workers watch tells them that
//! there are some. Each worker reads them in the order in which they were sent, each at most once,
//! and calls what they are for.

mod lua;

use std::cell::RefCell;
use std::rc::Rc;

use codec::message_ring::Message;

pub use lua::complete;

use crate::api::profile;
use crate::config::MainConf;
use crate::nginx::Level;
use crate::nginx::core::cycle::Cycle;
use crate::nginx::core::log::log_cycle;
use crate::nginx::core::shared_memory::messages::{Letter, Membership, Next, PostError};
use crate::nginx::core::{process, worker};
use crate::nginx::event::doorbell;
use crate::own_thread;
use crate::runtime::fake_request;

/// What a message is for.
#[derive(Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum MessageKind {
    /// A function of Lua code.
    Lua,
    /// `lua_profile` of another worker.
    Profile,
}

/// Passes a message on to what it is for. One of an unknown kind is dropped.
fn dispatch(main: &MainConf, message: &Message) {
    if message.head.kind == MessageKind::Lua as u8 {
        lua::call_handler(main, message);
    } else if message.head.kind == MessageKind::Profile as u8 {
        profile::receive(message);
    }
}

/// Why a message was not sent.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Refusal {
    NotConfigured,
    Zone(PostError),
}

impl Refusal {
    pub fn text(self) -> &'static str {
        match self {
            Refusal::NotConfigured => "there is no lua_worker_events in the configuration",
            Refusal::Zone(PostError::Full) => "queue is full",
            Refusal::Zone(PostError::TooLong) => "message is too long for lua_worker_events",
            Refusal::Zone(PostError::NoWorker) => "no such worker",
        }
    }
}

/// Sends a message to the worker number `to`, or if that is `None`, to all workers, this one
/// included.
pub fn post(
    main: &MainConf,
    kind: MessageKind,
    to: Option<i32>,
    name: &[u8],
    data: &[u8],
) -> Result<(), Refusal> {
    let zone = main.events.zone().ok_or(Refusal::NotConfigured)?;
    let from = worker::worker_id().unwrap_or(-1);
    let letter = Letter { to, from, kind: kind as u8, name, data };
    zone.post(&letter).map_err(Refusal::Zone)?;
    doorbell::ring();
    Ok(())
}

own_thread! {
    /// This worker's place among those that get messages.
    static MEMBERSHIP: RefCell<Option<Rc<Membership>>> = RefCell::new(None);
}

/// A process starts: a worker gets what is sent from now on; nginx's helper processes get nothing.
pub fn process_starts(cycle: Cycle) {
    if !process::is_helper() {
        join(cycle);
    }
}

/// A process that reads a new configuration, and goes on to serve requests itself, goes on with the
/// new zone.
pub fn configuration_is_read(cycle: Cycle) {
    if MEMBERSHIP.borrow().is_some() {
        join(cycle);
    }
}

fn join(cycle: Cycle) {
    process_ends();
    let zone = MainConf::of_cycle(&cycle).and_then(|main| main.events.zone());
    let (Some(zone), Some(worker)) = (zone, worker::worker_id()) else { return };
    let Some(membership) = zone.join(worker) else {
        return log_cycle(Level::Alert, b"lua_worker_events has no room for this worker");
    };
    *MEMBERSHIP.borrow_mut() = Some(Rc::new(membership));
    doorbell::listen(deliver);
}

/// The process ends, or leaves its zone for another one.
pub fn process_ends() {
    if let Some(membership) = MEMBERSHIP.borrow_mut().take() {
        drop(membership);
        doorbell::stop();
    }
}

/// Reads the messages that have been sent so far. Those that are sent meanwhile ring again.
fn deliver() {
    let Some(membership) = MEMBERSHIP.borrow().clone() else { return };
    let Some(end) = membership.news() else { return };
    MainConf::with_current(|main| deliver_until(end, &membership, main));
}

fn deliver_until(end: u64, membership: &Membership, main: &MainConf) {
    loop {
        // Handlers count as running timers, and have the same limit.
        if fake_request::running_timers() >= main.max_running_timers() {
            return doorbell::remind();
        }
        match membership.next(end) {
            Ok(Next::Message(message)) => dispatch(main, &message),
            Ok(Next::Lost(count)) => lua::tell_of_loss(main, count),
            Ok(Next::Nothing) => return,
            Err(_) => return doorbell::remind(),
        }
    }
}
