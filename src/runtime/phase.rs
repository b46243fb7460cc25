//! The phases in which Lua code runs, with upstream's bits and names.

/// A place where Lua code runs. The numbers are those of `ngx_http_lua_ffi_get_phase`.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[repr(u32)]
pub enum Phase {
    Set = 0x0001,
    Rewrite = 0x0002,
    Access = 0x0004,
    Content = 0x0008,
    Log = 0x0010,
    HeaderFilter = 0x0020,
    BodyFilter = 0x0040,
    Timer = 0x0080,
    InitWorker = 0x0100,
    Balancer = 0x0200,
    SslCertificate = 0x0400,
    SslSessionStore = 0x0800,
    SslSessionFetch = 0x1000,
    ExitWorker = 0x2000,
    SslClientHello = 0x4000,
    ServerRewrite = 0x8000,
}

impl Phase {
    /// The name in "API disabled in the context of …".
    pub fn context_name(self) -> &'static str {
        match self {
            Phase::Set => "set_by_lua*",
            Phase::Rewrite => "rewrite_by_lua*",
            Phase::Access => "access_by_lua*",
            Phase::Content => "content_by_lua*",
            Phase::Log => "log_by_lua*",
            Phase::HeaderFilter => "header_filter_by_lua*",
            Phase::BodyFilter => "body_filter_by_lua*",
            Phase::Timer => "ngx.timer",
            Phase::InitWorker => "init_worker_by_lua*",
            Phase::Balancer => "balancer_by_lua*",
            Phase::SslCertificate => "ssl_certificate_by_lua*",
            Phase::SslSessionStore => "ssl_session_store_by_lua*",
            Phase::SslSessionFetch => "ssl_session_fetch_by_lua*",
            Phase::ExitWorker => "exit_worker_by_lua*",
            Phase::SslClientHello => "ssl_client_hello_by_lua*",
            Phase::ServerRewrite => "server_rewrite_by_lua*",
        }
    }

    /// The name in "failed to run …".
    pub fn failed_name(self) -> &'static str {
        match self {
            Phase::SslSessionStore => "session_store_by_lua*",
            _ => self.context_name(),
        }
    }

    pub const fn bit(self) -> u32 {
        self as u32
    }
}

/// Several phases.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct PhaseSet(pub u32);

impl PhaseSet {
    pub const fn of(phases: &[Phase]) -> PhaseSet {
        let mut bits = 0;
        let mut i = 0;
        while i < phases.len() {
            bits |= phases[i].bit();
            i += 1;
        }
        PhaseSet(bits)
    }

    /// Where a request waits for Lua code and the response is still to be made.
    pub const REQUEST: PhaseSet =
        PhaseSet::of(&[Phase::ServerRewrite, Phase::Rewrite, Phase::Access, Phase::Content]);

    /// The phases of a TLS handshake.
    pub const HANDSHAKE: PhaseSet = PhaseSet::of(&[
        Phase::SslClientHello,
        Phase::SslCertificate,
        Phase::SslSessionFetch,
        Phase::SslSessionStore,
    ]);

    /// Where Lua code may wait: the request phases, timers and the TLS phases that can.
    pub const YIELDABLE: PhaseSet = PhaseSet(
        PhaseSet::REQUEST.0
            | PhaseSet::of(&[
                Phase::Timer,
                Phase::SslClientHello,
                Phase::SslCertificate,
                Phase::SslSessionFetch,
            ])
            .0,
    );

    pub const fn has(self, phase: Phase) -> bool {
        self.0 & phase.bit() != 0
    }
}
