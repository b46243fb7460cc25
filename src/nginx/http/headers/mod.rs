//! What request and response headers have in common: nginx's lists of them.

pub(in crate::nginx) mod change;
pub(in crate::nginx) mod error;
pub(in crate::nginx) mod list;
pub(in crate::nginx) mod values;
