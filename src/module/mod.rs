//! The module as nginx loads it: its statics, and what happens when nginx reads a configuration and
//! starts and ends processes.

mod ffi;
mod life_cycle;
