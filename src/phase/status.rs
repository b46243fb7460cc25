//! `lua_status`: a content handler that runs no Lua code, and what a worker does to be counted in
//! it.

use super::answer;
use crate::api::status::{self, Report, Wanted};
use crate::config::MainConf;
use crate::nginx::core::conf::Conf;
use crate::nginx::core::cycle::Cycle;
use crate::nginx::core::log::log_cycle;
use crate::nginx::core::pool::OutOfMemory;
use crate::nginx::core::process;
use crate::nginx::http::callback;
use crate::nginx::{Level, Request, Status};
use crate::runtime::counters;

/// Makes it the content handler of the location that is being read.
pub fn install(cf: Conf) {
    cf.set_content_handler(callback::handler(enter));
}

fn enter(request: Request) -> Status {
    answer::answer(request, "lua_status", || respond(request))
}

fn respond(request: Request) -> Result<Status, OutOfMemory> {
    let main = MainConf::of(&request);
    let Some(zone) = main.status() else { return Ok(Status::HTTP_INTERNAL_SERVER_ERROR) };
    let Ok(wanted) = Wanted::by(request.args())? else { return Ok(Status::HTTP_BAD_REQUEST) };
    Ok(answer::send(request, &status::write(&Report::new(main, &zone)?, wanted)?))
}

/// A worker starts to count, if its configuration asks for that.
pub fn process_starts(cycle: Cycle) {
    if !process::is_helper() {
        attach(cycle);
    }
}

/// A process that reads a new configuration, and goes on to serve requests itself, goes on to count
/// in the new one's zone: the old one's memory may be gone soon.
pub fn configuration_is_read(cycle: Cycle) {
    if counters::is_attached() {
        attach(cycle);
    }
}

fn attach(cycle: Cycle) {
    status::stop();
    let zone = MainConf::of_cycle(&cycle).and_then(MainConf::status);
    if !counters::attach(zone) {
        log_cycle(Level::Warn, b"lua_status has no room for this worker, which is not counted");
    }
    if counters::own().is_some() {
        status::start();
    }
}

/// The worker ends: what it has counted stays.
pub fn process_ends() {
    status::stop();
    counters::attach(None);
}
