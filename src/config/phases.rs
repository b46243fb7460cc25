//! The table of phases: one row for each place where Lua code runs. Everything that depends on the
//! phase is decided by the table: where code is configured, what installs its handler, whether it
//! may wait, which API it sees. A new phase is a row here, the rows of its directives, and a file
//! in `src/phase/`.

use super::HttpPhase;

/// Where nginx runs the code of a phase.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Place {
    /// A handler in one of nginx's phases.
    Handler(HttpPhase),
    /// The handler that makes a location's response.
    Content,
    /// A filter of response headers.
    HeaderFilter,
    /// A filter of response bodies.
    BodyFilter,
    /// A variable that is set in order with nginx's `rewrite` directives.
    Variable,
    /// The choice of a server of an `upstream` block.
    Balancer,
    /// A callback of OpenSSL in a client's handshake.
    Handshake,
    /// A callback of OpenSSL in a handshake with the server that a request is passed to.
    UpstreamHandshake,
    /// The start or end of a worker.
    Worker,
    /// A timer.
    Timer,
}

/// One phase.
pub struct PhaseRow {
    pub phase: Phase,
    /// In "API disabled in the context of …".
    pub name: &'static str,
    /// In debug lines.
    pub short: &'static str,
    pub place: Place,
    /// Whether its code may wait.
    pub waits: bool,
}

macro_rules! phases {
    ($($phase:ident, $bit:literal, $name:literal, $short:literal, $place:expr, $waits:literal;)*) => {
        /// A place where Lua code runs. The numbers are those of `ngx_http_lua_ffi_get_phase`.
        #[derive(Clone, Copy, PartialEq, Eq, Debug)]
        #[repr(u32)]
        pub enum Phase {
            $(#[doc = concat!("`", $name, "`")] $phase = $bit,)*
        }

        /// The phases.
        pub const PHASES: &[PhaseRow] = &[$(PhaseRow {
            phase: Phase::$phase,
            name: $name,
            short: $short,
            place: $place,
            waits: $waits,
        },)*];

        impl Phase {
            /// Its row of the table.
            pub const fn row(self) -> &'static PhaseRow {
                match self {
                    $(Phase::$phase => const {
                        &PhaseRow {
                            phase: Phase::$phase,
                            name: $name,
                            short: $short,
                            place: $place,
                            waits: $waits,
                        }
                    })*
                }
            }
        }
    };
}

use Place::{
    Balancer, BodyFilter, Content, Handler, Handshake, HeaderFilter, Timer, UpstreamHandshake,
    Variable, Worker,
};

phases! {
    // phase, bit, name, short name, place, whether it may wait
    Set,             0x0001, "set_by_lua*",               "set",               Variable, false;
    Rewrite,         0x0002, "rewrite_by_lua*",           "rewrite",           Handler(HttpPhase::Rewrite), true;
    Access,          0x0004, "access_by_lua*",            "access",            Handler(HttpPhase::Access), true;
    Content,         0x0008, "content_by_lua*",           "content",           Content, true;
    Log,             0x0010, "log_by_lua*",               "log",               Handler(HttpPhase::Log), true;
    HeaderFilter,    0x0020, "header_filter_by_lua*",     "header",            HeaderFilter, true;
    BodyFilter,      0x0040, "body_filter_by_lua*",       "body",              BodyFilter, true;
    Timer,           0x0080, "ngx.timer",                 "timer",             Timer, true;
    InitWorker,      0x0100, "init_worker_by_lua*",       "init worker",       Worker, true;
    Balancer,        0x0200, "balancer_by_lua*",          "balancer",          Balancer, true;
    SslCertificate,  0x0400, "ssl_certificate_by_lua*",   "ssl cert",          Handshake, true;
    SslSessionStore, 0x0800, "ssl_session_store_by_lua*", "ssl session store", Handshake, false;
    SslSessionFetch, 0x1000, "ssl_session_fetch_by_lua*", "ssl session fetch", Handshake, true;
    ExitWorker,      0x2000, "exit_worker_by_lua*",       "exit worker",       Worker, true;
    SslClientHello,  0x4000, "ssl_client_hello_by_lua*",  "ssl client hello",  Handshake, true;
    Precontent,      0x2_0000, "precontent_by_lua*",    "precontent",        Handler(HttpPhase::Precontent), true;
    ProxySslVerify,  0x1_0000, "proxy_ssl_verify_by_lua*", "proxy ssl verify", UpstreamHandshake, false;
    ProxySslCertificate, 0x4_0000, "proxy_ssl_certificate_by_lua*", "proxy ssl cert", UpstreamHandshake, false;
    ServerRewrite,   0x8000, "server_rewrite_by_lua*",    "server rewrite",    Handler(HttpPhase::ServerRewrite), true;
}

impl Phase {
    pub const fn bit(self) -> u32 {
        self as u32
    }

    /// Its index in arrays with one value per phase.
    pub const fn index(self) -> usize {
        self.bit().trailing_zeros() as usize
    }

    /// The name in "API disabled in the context of …".
    pub const fn context_name(self) -> &'static str {
        self.row().name
    }

    /// The name in "failed to run …".
    pub const fn failed_name(self) -> &'static str {
        match self {
            Phase::SslSessionStore => "session_store_by_lua*",
            _ => self.context_name(),
        }
    }
}

/// The length of arrays with one value per phase.
pub const INDEXES: usize = 1 + last_index();

const fn last_index() -> usize {
    let (mut last, mut i) = (0, 0);
    while i < PHASES.len() {
        let index = PHASES[i].phase.index();
        assert!(PHASES[i].phase.bit().count_ones() == 1, "a phase is one bit");
        if index > last {
            last = index;
        }
        i += 1;
    }
    last
}

/// The set of the phases whose `$row` of the table meets the condition.
macro_rules! phases_where {
    ($row:ident, $condition:expr) => {{
        let mut set = PhaseSet::NONE;
        let mut i = 0;
        while i < PHASES.len() {
            let $row = &PHASES[i];
            if $condition {
                set = set.with($row.phase);
            }
            i += 1;
        }
        set
    }};
}

/// Several phases.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct PhaseSet(pub u32);

impl PhaseSet {
    pub const NONE: PhaseSet = PhaseSet(0);

    pub const fn of(phases: &[Phase]) -> PhaseSet {
        let mut set = PhaseSet::NONE;
        let mut i = 0;
        while i < phases.len() {
            set = set.with(phases[i]);
            i += 1;
        }
        set
    }

    pub const fn with(self, phase: Phase) -> PhaseSet {
        PhaseSet(self.0 | phase.bit())
    }

    pub const fn without(self, phase: Phase) -> PhaseSet {
        PhaseSet(self.0 & !phase.bit())
    }

    #[inline(always)]
    pub const fn has(self, phase: Phase) -> bool {
        self.0 & phase.bit() != 0
    }

    /// Whether the two sets have a phase in common.
    pub const fn meets(self, other: PhaseSet) -> bool {
        self.0 & other.0 != 0
    }

    /// The phases of a request before its response, in which the request waits for Lua code.
    pub const REQUEST: PhaseSet =
        phases_where!(row, row.waits && matches!(row.place, Handler(_) | Content))
            .without(Phase::Log);

    /// The phases whose code runs for a client's request.
    pub const OF_CLIENTS: PhaseSet = PhaseSet(PhaseSet::ALL.0 & !PhaseSet::FAKE.0);

    /// All of them.
    pub const ALL: PhaseSet = phases_where!(row, true);

    /// The starts and ends of workers.
    pub const WORKER: PhaseSet = phases_where!(row, matches!(row.place, Worker));

    /// The phases of a TLS handshake.
    pub const HANDSHAKE: PhaseSet = phases_where!(row, matches!(row.place, Handshake));

    /// The phases of a handshake with a server, whose code ends at `ngx.exit`.
    pub const UPSTREAM_HANDSHAKE: PhaseSet =
        phases_where!(row, matches!(row.place, UpstreamHandshake));

    /// The phases whose code may wait.
    pub const YIELDABLE: PhaseSet = phases_where!(row, row.waits);

    /// The filters of a response.
    pub const FILTERS: PhaseSet =
        phases_where!(row, matches!(row.place, HeaderFilter | BodyFilter));

    /// Whether a function for these phases has to do with tasks: whether it waits, or makes
    /// something that does. Such a function works in no phase that cannot wait.
    #[inline(always)]
    pub const fn is_of_tasks(self) -> bool {
        self.has(Phase::HeaderFilter) && self.0 & !PhaseSet::YIELDABLE.0 == 0
    }

    /// What a refusal in `phase` of a function for these phases adds: what can be done instead.
    pub const fn instead_in(self, phase: Phase) -> &'static str {
        match phase {
            Phase::Set if self.is_of_tasks() => {
                ", which cannot wait: use rewrite_by_lua*, and set ngx.var there"
            }
            _ => "",
        }
    }

    /// The phases whose code runs for a fake request.
    pub const FAKE: PhaseSet = phases_where!(row, matches!(row.place, Handshake | Timer | Worker));
}
