//! Statics of which each thread has its own: what nginx's thread and those of its thread pools both
//! use, such as PCRE2's match context, which Lua code of `ngx.run_worker_thread` needs too.
//!
//! What only nginx's thread uses is a static of `own_thread!`, whose accesses cost nothing. A test
//! in `xtask/src/statics.rs` makes sure that there are no other statics that can be changed.

/// Defines statics of which each thread has its own, made at its first use there and dropped at the
/// thread's end: `per_thread! { static NAME: Type = value; }`. A value is a constant expression.
#[macro_export]
macro_rules! per_thread {
    ($($(#[$attribute:meta])* static $name:ident: $type:ty = $value:expr;)*) => {
        ::std::thread_local! {
            $($(#[$attribute])* static $name: $type = const { $value };)*
        }
    };
}
