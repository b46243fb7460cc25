//! `lua_error_log_format line | json`.

use std::cell::Cell;

use super::main::MainConf;
use super::values;
use crate::nginx::core::conf::{Conf, ConfError, ConfResult};
use crate::nginx::core::cycle::Cycle;
use crate::nginx::core::json_log;
use crate::nginx::http::variable;

pub(super) fn set(cf: Conf, main: &MainConf) -> ConfResult {
    let value = &mut main.written.borrow_mut().json_log;
    if value.is_some() {
        return Err(ConfError::Directive(c"is duplicate"));
    }
    *value = Some(match cf.word(1) {
        b"json" => true,
        b"line" => false,
        _ => return Err(values::refuse(cf, b", it must be \"line\" or \"json\"")),
    });
    Ok(())
}

/// Whether a configuration has the process log as it says without being in force yet: where it is
/// refused then, the process logs as the one in force says again.
#[derive(Default)]
pub struct Trial(Cell<bool>);

impl Drop for Trial {
    fn drop(&mut self) {
        if self.0.get() {
            json_log::turn(MainConf::with_current(MainConf::json_log).unwrap_or(false));
        }
    }
}

/// The configuration that is being read is complete: from now on, its code logs as it says.
pub fn prepare(cf: Conf, main: &MainConf) {
    if main.json_log() {
        main.request_id.set(variable::index(cf, b"request_id"));
        // nginx logs to what there is of the cycle's own log before `apply` is called.
        json_log::attach_to_cycle(cf.cycle());
    }
    main.log_format_trial.0.set(true);
    json_log::turn(main.json_log());
}

/// The configuration of `cycle` is in force: from now on, this process logs as it says, and so do
/// the files to which nginx itself logs.
pub fn apply(cycle: Cycle) {
    let main = MainConf::of_cycle(&cycle);
    if let Some(main) = main {
        main.log_format_trial.0.set(false);
    }
    let is_json = main.is_some_and(MainConf::json_log);
    json_log::turn(is_json);
    if is_json {
        json_log::attach_to_cycle(cycle);
    }
}
