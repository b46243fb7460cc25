//! `log_by_lua*`, and `lua_malloc_trim`, which counts requests at the same place.

use super::{runner, synchronous};
use crate::config::{LocationConf, MainConf};
use crate::nginx::core::process;
use crate::nginx::{Request, Status};
use crate::ngx_debug;
use crate::runtime::Phase;

/// nginx's log phase.
pub fn enter(request: Request) -> Status {
    count_for_malloc_trim(request);
    runner::log_entry(request, Phase::Log.row().short);
    let Some(script) = LocationConf::of(request).script(Phase::Log) else {
        return Status::DECLINED;
    };
    let Ok(context) = runner::context_of(request, Phase::Log) else {
        return Status::ERROR;
    };
    match synchronous::run_plainly(&context, script, Phase::Log) {
        Ok(()) => Status::OK,
        Err(failed) => failed.into(),
    }
}

/// Has the C library return free memory to the system once every `lua_malloc_trim` requests.
fn count_for_malloc_trim(request: Request) {
    let main = MainConf::of(request);
    let cycle = main.malloc_trim();
    if cycle == 0 {
        ngx_debug!(request.log(), "malloc_trim() disabled");
        return;
    }
    let count = main.requests_since_trim.get() + 1;
    if count < cycle {
        main.requests_since_trim.set(count);
        return;
    }
    main.requests_since_trim.set(0);
    let released = process::malloc_trim();
    ngx_debug!(request.log(), "malloc_trim(1) returned {released}");
}
