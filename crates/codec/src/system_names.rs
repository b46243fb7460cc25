//! What the system says about host names: `resolv.conf` and `hosts`.

use std::net::{IpAddr, SocketAddr};
use std::str::FromStr;

use crate::fallible::{self, Grow, OutOfMemory};

/// The port of name servers.
const PORT: u16 = 53;
/// As many servers as the C library asks.
const MAX_SERVERS: usize = 3;
const MAX_NDOTS: usize = 15;

/// The parts of a `resolv.conf` that count here. What cannot be read is left out.
#[derive(Debug, PartialEq, Eq)]
pub struct ResolvConf {
    /// `nameserver`: an address, or as OpenBSD has it, `[address]:port`.
    pub servers: Vec<SocketAddr>,
    /// `search` or `domain`, whichever is last.
    search: Vec<Vec<u8>>,
    /// `options ndots:`.
    ndots: usize,
}

impl ResolvConf {
    pub fn parse(text: &[u8]) -> ResolvConf {
        let mut conf = ResolvConf { servers: Vec::new(), search: Vec::new(), ndots: 1 };
        for line in lines(text) {
            let mut words = words(line);
            match words.next() {
                Some(b"nameserver") => {
                    let server = words.next().and_then(server);
                    conf.servers.extend(server.filter(|_| conf.servers.len() < MAX_SERVERS));
                }
                Some(b"search") => conf.search = words.map(domain).collect(),
                Some(b"domain") => conf.search = words.take(1).map(domain).collect(),
                Some(b"options") => {
                    let ndots = words.filter_map(|word| word.strip_prefix(b"ndots:"));
                    if let Some(ndots) = ndots.filter_map(number::<usize>).last() {
                        conf.ndots = ndots.min(MAX_NDOTS);
                    }
                }
                _ => {}
            }
        }
        conf.search.retain(|domain| !domain.is_empty());
        conf
    }

    /// The names to ask for, one after the other, to find `name`: with few dots, those in the
    /// domains to search come first; a dot at its end forbids them.
    pub fn candidates(&self, name: &[u8]) -> Result<Vec<Vec<u8>>, OutOfMemory> {
        let mut names = Vec::new();
        if !name.ends_with(b".") {
            for domain in &self.search {
                names.try_push(fallible::concat(&[name, b".", domain])?)?;
            }
        }
        let dots = name.iter().filter(|byte| **byte == b'.').count();
        let at = if dots >= self.ndots { 0 } else { names.len() };
        names.try_push(fallible::copy(name)?)?;
        if let Some(rest) = names.get_mut(at..) {
            rest.rotate_right(1);
        }
        Ok(names)
    }
}

/// A file of names and their addresses.
#[derive(Debug, Default)]
pub struct Hosts(Vec<(Vec<u8>, IpAddr)>);

impl Hosts {
    pub fn parse(text: &[u8]) -> Hosts {
        let mut entries = Vec::new();
        for line in lines(text) {
            let mut words = words(line);
            if let Some(address) = words.next().and_then(address) {
                entries.extend(words.map(|name| (name.to_ascii_lowercase(), address)));
            }
        }
        entries.sort();
        entries.dedup();
        Hosts(entries)
    }

    /// The addresses of a name, whose case does not matter.
    pub fn find(&self, name: &[u8]) -> impl Iterator<Item = IpAddr> {
        let name = name.strip_suffix(b".").unwrap_or(name);
        let lower = |name: &[u8], other: &[u8]| {
            let name = name.iter().map(u8::to_ascii_lowercase);
            other.iter().copied().cmp(name)
        };
        let start = self.0.partition_point(|(known, _)| lower(name, known).is_lt());
        let end = self.0.partition_point(|(known, _)| lower(name, known).is_le());
        self.0.get(start..end).unwrap_or_default().iter().map(|(_, address)| *address)
    }
}

/// The lines, without comments.
fn lines(text: &[u8]) -> impl Iterator<Item = &[u8]> {
    text.split(|byte| *byte == b'\n')
        .map(|line| line.split(|byte| matches!(byte, b'#' | b';')).next().unwrap_or_default())
}

fn words(line: &[u8]) -> impl Iterator<Item = &[u8]> {
    line.split(u8::is_ascii_whitespace).filter(|word| !word.is_empty())
}

fn address(word: &[u8]) -> Option<IpAddr> {
    std::str::from_utf8(word).ok()?.parse().ok()
}

fn server(word: &[u8]) -> Option<SocketAddr> {
    let Some(rest) = word.strip_prefix(b"[") else {
        return address(word).map(|ip| SocketAddr::new(ip, PORT));
    };
    let end = rest.iter().position(|byte| *byte == b']')?;
    let (ip, port) = (address(rest.get(..end)?)?, rest.get(end..)?.strip_prefix(b"]:")?);
    Some(SocketAddr::new(ip, number(port)?))
}

fn number<T: FromStr>(word: &[u8]) -> Option<T> {
    std::str::from_utf8(word).ok()?.parse().ok()
}

/// A domain to search, without a dot at its end.
fn domain(word: &[u8]) -> Vec<u8> {
    word.strip_suffix(b".").unwrap_or(word).to_vec()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(conf: &str, name: &str) -> Vec<String> {
        let conf = ResolvConf::parse(conf.as_bytes());
        let names = conf.candidates(name.as_bytes()).unwrap();
        names.into_iter().map(|name| String::from_utf8(name).unwrap()).collect()
    }

    #[test]
    fn the_servers_that_can_be_asked() {
        let text = "; a comment\nnameserver 10.0.0.1 # the first\n nameserver\tfd00::53\nnameserver\n\
            nameserver fe80::1%eth0\nnameserver [10.0.0.2]:5353\nnameserver 10.0.0.3\nsortlist 1.2.3.4\n\
            nameserver [10.0.0.4]\n";
        let expected = ["10.0.0.1:53", "[fd00::53]:53", "10.0.0.2:5353"];
        let expected = expected.map(|text| text.parse().unwrap());
        assert_eq!(ResolvConf::parse(text.as_bytes()).servers, expected);
        assert!(ResolvConf::parse(b"").servers.is_empty());
    }

    #[test]
    fn the_names_to_ask_for() {
        let conf = "domain gone\nsearch a.test. b.test\noptions rotate ndots:2\n";
        assert_eq!(names(conf, "x"), ["x.a.test", "x.b.test", "x"]);
        assert_eq!(names(conf, "x.y"), ["x.y.a.test", "x.y.b.test", "x.y"]);
        assert_eq!(names(conf, "x.y.z"), ["x.y.z", "x.y.z.a.test", "x.y.z.b.test"]);
        assert_eq!(names(conf, "x."), ["x."]);
        assert_eq!(names("search .\noptions ndots:many", "x"), ["x"]);
        assert_eq!(names("domain one two", "x"), ["x.one", "x"]);
        assert_eq!(names("options ndots:0\nsearch a", "x"), ["x", "x.a"]);
    }

    #[test]
    fn the_addresses_of_hosts() {
        let hosts = Hosts::parse(
            b"127.0.0.1 localhost Here # comment there\n::1 localhost\nbad name\n127.0.0.1 localhost\n",
        );
        let find = |name: &[u8]| hosts.find(name).map(|ip| ip.to_string()).collect::<Vec<_>>();
        assert_eq!(find(b"LOCALHOST"), ["127.0.0.1", "::1"]);
        assert_eq!(find(b"here."), ["127.0.0.1"]);
        assert!(find(b"there").is_empty());
        assert!(find(b"name").is_empty());
        assert!(find(b"").is_empty());
    }
}
