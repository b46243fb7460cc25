//! `lua_worker_events SIZE`: messages between workers.

use std::cell::{Cell, RefCell};
use std::collections::HashMap;

use super::main::MainConf;
use super::values;
use crate::lua::Anchor;
use crate::nginx::Level;
use crate::nginx::core::conf::{Conf, ConfError, ConfResult};
use crate::nginx::core::shared_memory::messages::Messages;
use crate::nginx::event::doorbell;

/// The least size of the directive, in bytes.
const LEAST: usize = 16 * 1024;

/// The zone, if there is one, and what Lua code wants to be called for.
#[derive(Default)]
pub struct WorkerEvents {
    size: Cell<Option<usize>>,
    zone: Cell<Option<Messages>>,
    /// By the names of events: functions in the worker's VM.
    pub handlers: RefCell<HashMap<Vec<u8>, Anchor>>,
    /// The function that is to know of lost messages.
    pub on_lost: RefCell<Option<Anchor>>,
}

impl WorkerEvents {
    pub fn zone(&self) -> Option<Messages> {
        self.zone.get()
    }

    /// To be called when the `http` block has been read: makes the zone that it asks for.
    pub fn define(&self, cf: Conf, main: &MainConf) -> ConfResult {
        let Some(size) = self.size.get() else { return Ok(()) };
        if let Err(error) = doorbell::make() {
            let text = format!("lua_worker_events: eventfd() failed: {error}");
            cf.log(Level::Emerg, text.as_bytes());
            return Err(ConfError::Logged);
        }
        let zone = Messages::define(cf, &main.zones, b"lua_worker_events", size);
        self.zone.set(Some(zone.ok_or(ConfError::Logged)?));
        Ok(())
    }
}

/// Sets the directive.
pub fn set(cf: Conf, main: &MainConf) -> ConfResult {
    let mut size = main.events.size.get();
    values::set_size(cf, &mut size)?;
    if size.is_some_and(|size| size < LEAST) {
        return Err(values::refuse(cf, b", it must be 16k at least"));
    }
    main.events.size.set(size);
    Ok(())
}
