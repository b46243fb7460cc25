//! The module's table of phases, and sets of phases in words.

use anyhow::{Result, bail};

/// A phase of nginx; the table names them.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum HttpPhase {
    ServerRewrite,
    Rewrite,
    Access,
    Precontent,
    Log,
}

#[path = "../../../src/config/phases.rs"]
#[expect(dead_code, reason = "the module's own file; the pages need a part of it")]
mod table;

pub use table::{PHASES, Phase, PhaseSet, Place};

/// In the order in which a process, a connection and a request go through them.
const ORDER: &[Phase] = &[
    Phase::InitWorker,
    Phase::ExitWorker,
    Phase::Timer,
    Phase::SslClientHello,
    Phase::SslSessionFetch,
    Phase::SslCertificate,
    Phase::SslSessionStore,
    Phase::ServerRewrite,
    Phase::Set,
    Phase::Rewrite,
    Phase::Access,
    Phase::Precontent,
    Phase::Content,
    Phase::Balancer,
    Phase::ProxySslCertificate,
    Phase::ProxySslVerify,
    Phase::HeaderFilter,
    Phase::BodyFilter,
    Phase::Log,
];

/// How many exceptions make "everywhere but …" shorter than a list.
const FEW: usize = 4;
/// `init_by_lua*` is no phase of the table: it runs before there are requests, fake ones included.
pub const INIT: &str = "init_by_lua*";

/// Where a function may be called.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Where {
    /// In `init_by_lua*`.
    pub init: bool,
    pub phases: PhaseSet,
}

impl Where {
    pub const ANYWHERE: Where = Where { init: true, phases: PhaseSet::ALL };

    pub const fn of(phases: PhaseSet) -> Where {
        Where { init: false, phases }
    }

    /// What `words` name: sets and phases of the table and `Init`, each added, or taken away after
    /// a minus. `ANYWHERE` is all of them.
    pub fn parse(words: &str) -> Result<Where> {
        let mut all = Where::of(PhaseSet::NONE);
        for word in words.split_whitespace() {
            let (name, adds) = match word.strip_prefix('-') {
                Some(name) => (name, false),
                None => (word, true),
            };
            let part = match (name, set(name), phase(name)) {
                ("ANYWHERE", ..) => Where::ANYWHERE,
                ("Init", ..) => Where { init: true, phases: PhaseSet::NONE },
                (_, Some(set), _) => Where::of(set),
                (_, None, Some(phase)) => Where::of(PhaseSet::of(&[phase])),
                _ => bail!("no phase or set of phases is called {name}"),
            };
            let bits = part.phases.0;
            if adds {
                all.init |= part.init;
                all.phases.0 |= bits;
            } else {
                all.init &= !part.init;
                all.phases.0 &= !bits;
            }
        }
        Ok(all)
    }

    /// Whether it is a part of `other`, and not all of it.
    pub fn is_within(self, other: Where) -> bool {
        let fits = (other.init || !self.init) && self.phases.0 & !other.phases.0 == 0;
        fits && self != other
    }

    /// The names of the phases, in order.
    pub fn names(self) -> Vec<&'static str> {
        let init = self.init.then_some(INIT);
        let phases = ORDER.iter().filter(|phase| self.phases.has(**phase));
        init.into_iter().chain(phases.map(|phase| phase.context_name())).collect()
    }

    /// In words, in Markdown.
    pub fn shown(self) -> String {
        let others =
            Where { init: !self.init, phases: PhaseSet(PhaseSet::ALL.0 & !self.phases.0) }.names();
        if others.is_empty() {
            return "everywhere".into();
        }
        if others.len() <= FEW {
            return format!("everywhere but in {}", listed(&others));
        }
        if self == Where::of(PhaseSet::OF_CLIENTS) {
            return "where there is a client's request: not in ".to_string()
                + &listed(&others).replace(" and ", " or ");
        }
        listed(&self.names())
    }
}

/// `names` as code, in a list.
pub fn listed(names: &[&str]) -> String {
    let names: Vec<String> = names.iter().map(|name| format!("`{name}`")).collect();
    match names.split_last() {
        Some((last, [])) => last.clone(),
        Some((last, before)) => format!("{} and {last}", before.join(", ")),
        None => String::new(),
    }
}

/// The phases in order.
pub fn ordered() -> impl Iterator<Item = Phase> {
    ORDER.iter().copied()
}

fn phase(name: &str) -> Option<Phase> {
    PHASES.iter().map(|row| row.phase).find(|phase| format!("{phase:?}") == name)
}

/// The table's set with that name.
fn set(name: &str) -> Option<PhaseSet> {
    Some(match name {
        "NONE" => PhaseSet::NONE,
        "REQUEST" => PhaseSet::REQUEST,
        "OF_CLIENTS" => PhaseSet::OF_CLIENTS,
        "ALL" => PhaseSet::ALL,
        "HANDSHAKE" => PhaseSet::HANDSHAKE,
        "UPSTREAM_HANDSHAKE" => PhaseSet::UPSTREAM_HANDSHAKE,
        "YIELDABLE" => PhaseSet::YIELDABLE,
        "FAKE" => PhaseSet::FAKE,
        _ => return None,
    })
}

/// The bits of `Phase::X` and `PhaseSet::X`.
pub fn leaf(path: &str) -> Option<u32> {
    match path.split_once("::")? {
        ("Phase", name) => phase(name).map(Phase::bit),
        ("PhaseSet", name) => set(name).map(|set| set.0),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_phase_has_a_place_in_the_order() {
        assert_eq!(PhaseSet::of(ORDER), PhaseSet::ALL);
        assert_eq!(ORDER.len(), PHASES.len());
    }

    #[test]
    fn sets_are_put_into_words() {
        let shown = |words: &str| Where::parse(words).unwrap().shown();
        assert_eq!(shown("ANYWHERE"), "everywhere");
        assert_eq!(shown("ALL"), "everywhere but in `init_by_lua*`");
        assert_eq!(shown("ALL -Timer"), "everywhere but in `init_by_lua*` and `ngx.timer`");
        assert_eq!(shown("Timer Access"), "`ngx.timer` and `access_by_lua*`");
        assert!(shown("OF_CLIENTS").starts_with("where there is a client's request"));
        assert!(Where::parse("Nowhere").is_err());
    }
}
