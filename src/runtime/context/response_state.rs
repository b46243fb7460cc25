//! The state of a request's response.

use std::cell::Cell;

use crate::runtime::output::Held;

/// How far the response has come.
#[derive(Clone, Copy, Default, PartialEq, Eq, Debug)]
pub enum Stage {
    /// Code may still send something.
    #[default]
    Open,
    /// The last buffer has been sent.
    Ended,
    /// `ngx.req.socket(true)` has the client's connection: this module sends no response.
    Raw,
}

/// How much of a response's body may still be sent.
#[derive(Clone, Copy, Default, PartialEq, Eq, Debug)]
pub enum BodyCount {
    /// Nothing is counted.
    #[default]
    Off,
    /// This many bytes.
    Left(u64),
    /// There was more than the header promised, which has been logged.
    Exceeded,
}

/// The response of one request.
#[derive(Default)]
pub struct Output {
    pub stage: Cell<Stage>,
    /// The header was sent by this module, whatever nginx's flag says since.
    pub header_sent: Cell<bool>,
    /// A response header was set by the script: Content-Length and Accept-Ranges are its own.
    pub headers_set: Cell<bool>,
    /// Content-Type has been set, by the script or by the location's types.
    pub mime_set: Cell<bool>,
    /// Some of the body has been given to the filters, or held back.
    pub seen_body_data: Cell<bool>,
    /// HTTP/1.0: the body is held back until its length is known.
    pub buffering: Cell<bool>,
    pub body_count: Cell<BodyCount>,
    /// The body that the filters have not been given yet.
    pub held: Cell<Held>,
    /// How many threads wait in `ngx.flush(true)`.
    pub flushing: Cell<usize>,
}
