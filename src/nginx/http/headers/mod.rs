//! What request and response headers have in common: nginx's lists of them.

pub(in crate::nginx) mod change;
pub(in crate::nginx) mod error;
mod index;
pub(in crate::nginx) mod indexed;
pub(in crate::nginx) mod known;
pub(in crate::nginx) mod list;
pub(in crate::nginx) mod node;
mod part;
mod places;
mod removal;
pub(in crate::nginx) mod values;
