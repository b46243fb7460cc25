//! `ngx.location.capture` and `ngx.location.capture_multi`.

use crate::lua::State;
use crate::nginx::conf::Conf;

pub fn install_filters(_cf: Conf) {}
pub fn inject(_state: State) {}
