//! `lua_threads`: a content handler that runs no Lua code, and lists that of its worker.

use super::answer;
use crate::api::formats::{self, Format};
use crate::api::threads::Listing;
use crate::nginx::core::conf::Conf;
use crate::nginx::core::pool::OutOfMemory;
use crate::nginx::http::callback;
use crate::nginx::{Request, Status};

/// Makes it the content handler of the location that is being read.
pub fn install(cf: Conf) {
    cf.set_content_handler(callback::handler(enter));
}

fn enter(request: Request) -> Status {
    answer::answer(request, "lua_threads", || start(request))
}

fn start(request: Request) -> Result<Status, OutOfMemory> {
    let mut format = Format::Text;
    let arguments = formats::for_each_argument(request.args(), |name, value| {
        if name == b"format" {
            format = Format::named(value, &[Format::Text, Format::Json])?;
        }
        Ok(())
    });
    if arguments?.is_err() {
        return Ok(Status::HTTP_BAD_REQUEST);
    }
    answer::in_slices(request, "lua_threads", Listing::new(format)?)
}
