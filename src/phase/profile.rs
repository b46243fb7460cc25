//! `lua_profile`: a content handler that records what the Lua code of its worker does.

use codec::fallible::OutOfMemory;

use super::answer;
use crate::api::profile::{self, CannotAsk, Memory, Profile, Wanted};
use crate::api::slices::Work;
use crate::config::LocationConf;
use crate::nginx::core::conf::Conf;
use crate::nginx::http::callback::Event;
use crate::nginx::http::{callback, departure};
use crate::nginx::{Request, Status};
use crate::runtime::profile::{Refusal, is_recording};

/// Makes it the content handler of the location that is being read.
pub fn install(cf: Conf) {
    cf.set_content_handler(callback::handler(enter));
}

fn enter(request: Request) -> Status {
    answer::answer(request, "lua_profile", || start(request))
}

fn start(request: Request) -> Result<Status, OutOfMemory> {
    let refuse = |status, reason| Ok(answer::send(request, &profile::refuse(status, reason)?));
    let Ok(wanted) = Wanted::by(request.args())? else {
        return refuse(Status::HTTP_BAD_REQUEST, profile::REFUSAL);
    };
    let started = if wanted.memory {
        Memory::start(wanted.format).map(|work| run(request, work))
    } else if is_recording() || profile::awaits() {
        Err(Refusal::InUse)
    } else {
        let awaited = match profile::ask(&wanted) {
            Ok(awaited) => awaited,
            Err(CannotAsk::Refused(status, reason)) => return refuse(status, reason),
            Err(CannotAsk::NoMemory) => return Err(OutOfMemory),
        };
        Profile::start(wanted, awaited).map(|work| run(request, work))
    };
    match started {
        Ok(answer) => answer,
        Err(Refusal::NoMemory) => Err(OutOfMemory),
        Err(Refusal::InUse) => refuse(Status::HTTP_CONFLICT, IN_USE),
    }
}

fn run<T: Work>(request: Request, work: T) -> Result<Status, OutOfMemory> {
    if !request.is_subrequest() {
        departure::watch_client(request, CLIENT_EVENT);
    }
    answer::in_slices(request, "lua_profile", work)
}

const IN_USE: &str = "this worker is being profiled already\n";

const CLIENT_EVENT: Event = callback::event(client_event);

/// The client has left, perhaps.
fn client_event(request: Request) {
    let rc = departure::check_client(request, LocationConf::of(&request).abort_level());
    if rc != Status::OK {
        request.finalize(rc);
    }
}

/// The worker ends: nothing is recorded any more.
pub fn process_ends() {
    profile::stop();
    crate::runtime::profile::stop();
}
