//! What lines of the error log say of a request when they are JSON.

use super::Context;
use crate::config::MainConf;
use crate::nginx::Request;
use crate::nginx::core::json_log::Description;

/// The phase whose code the request runs, or ran last, and where its `$request_id` is.
pub fn of(request: Request) -> Description {
    let phase = Context::of(request).map_or("", |context| context.phase.get().context_name());
    Description { phase, request_id: MainConf::of(&request).request_id.get() }
}
