//! bindgen 0.73 under the number that the crate nginx-sys asks for.
//!
//! bindgen 0.72 mistakes where bit fields lie that follow a member smaller than their own type. So they do
//! in nginx's request structure since it has a `port`, and all flags after it were other flags. Once
//! nginx-sys asks for a newer bindgen, cargo says that the patch is unused, and this crate can go.

pub use newer::*;
