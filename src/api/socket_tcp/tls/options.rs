//! The options table of `sock:sslhandshake`, and `sock:getalpn`, which returns what came of one of
//! the options.
//!
//! lua-resty-core's `sslhandshake` takes no options: lua/socket_sslhandshake.lua is called in its
//! place, gives the options to the socket, and then calls it.

use std::ffi::CString;
use std::rc::Rc;

use codec::fallible::{self, Grow, OutOfMemory};

use crate::api::call::Call;
use crate::api::socket_tcp::handle;
use crate::api::socket_tcp::socket::Socket;
use crate::lua::function::wrap;
use crate::lua::state::REGISTRY;
use crate::lua::{Kind, LuaError, LuaResult, Outcome, Returns, State};
use crate::nginx::core::log::Shown;
use crate::nginx::event::tls::{Connection, Offer, VERSIONS};

/// The options that lua/socket_sslhandshake.lua handles.
const CERTIFICATE: [&[u8]; 2] = [b"client_cert", b"client_priv_key"];

/// Why options are refused: the text for Lua.
struct Refused(String);

impl From<OutOfMemory> for Refused {
    fn from(_: OutOfMemory) -> Refused {
        Refused(String::from("no memory"))
    }
}

/// Prepares the cosockets' metatable, `metatable` in the registry, so that the `sslhandshake` which
/// lua-resty-core sets there is called by way of lua/socket_sslhandshake.lua.
///
/// Runs in protected mode: may raise.
pub fn inject(mut state: State, metatable: &std::ffi::CStr) {
    let code = include_bytes!("../../../../lua/socket_sslhandshake.lua");
    if state.load(code, c"=sslhandshake") != Outcome::Done {
        return state.pop(1);
    }
    state.get_field(REGISTRY, metatable);
    state.push_function(wrap(prepare));
    state.call_raising(2, 0);
}

/// `sock:getalpn()`: the protocol that the server has chosen of those in the option `alpn`; `nil`
/// if none.
pub fn getalpn(call: &Call) -> LuaResult {
    let n = call.arguments();
    if n != 1 {
        return Err(LuaError::text(format_args!(
            "expecting 1 argument (including the object), but got {n}"
        )));
    }
    let open = |socket: &Rc<Socket>| {
        socket.is_connected() && !(socket.read_closed.get() && socket.write_closed.get())
    };
    let socket = handle::of_call(call)?.filter(open);
    let Some(stream) = socket.and_then(|socket| socket.stream.get()) else {
        return call.fail("closed");
    };
    let established = Connection::of(stream).filter(|connection| connection.is_established());
    let Some(connection) = established else { return call.fail("no ssl connection") };
    match connection.alpn() {
        // OpenSSL's own bytes would be gone if a finalizer of Lua's closed the socket meanwhile.
        Some(name) => call.state.push_bytes(&fallible::copy(name)?),
        None => call.state.push_nil(),
    }
    Ok(Returns::Values(1))
}

/// `prepare(sock, options)`, called from lua/socket_sslhandshake.lua: sets the options of the
/// socket's next handshake. Returns an error text if they are wrong, otherwise nothing.
fn prepare(state: State) -> LuaResult {
    if state.kind(2) != Kind::Table {
        let kind = state.kind(2).name();
        state.push_str(&fallible::format(format_args!("table expected, got {kind}"))?);
        return Ok(Returns::Values(1));
    }
    match read(state, 2) {
        Ok(offer) => {
            if let Some(socket) = handle::socket(state, state.table_at(1)) {
                let offer = (offer != Offer::default()).then(|| Rc::new(offer));
                socket.tls.borrow_mut().offer_next(offer);
            }
            Ok(Returns::Values(0))
        }
        Err(Refused(text)) => {
            state.push_str(&text);
            Ok(Returns::Values(1))
        }
    }
}

/// Reads the options table at index `table`. On failure, values are left on the stack.
fn read(mut state: State, table: i32) -> Result<Offer, Refused> {
    let mut offer = Offer::default();
    let walk = state.walk(table);
    while state.next(walk) {
        // Reading a key that is a number as a string would change it, and confuse the walk.
        let key = if state.kind(-2) == Kind::String { state.bytes(-2) } else { None };
        match key {
            Some(b"alpn") => offer.alpn = alpn(state)?,
            Some(b"min_version") => offer.min_version = Some(version(state, "min_version")?),
            Some(b"max_version") => offer.max_version = Some(version(state, "max_version")?),
            Some(b"ciphers") => offer.ciphers = Some(text(state, "ciphers")?),
            Some(b"ciphersuites") => offer.ciphersuites = Some(text(state, "ciphersuites")?),
            Some(key) if CERTIFICATE.contains(&key) => {}
            Some(key) => return refuse(format_args!("unknown option \"{}\"", Shown(key))),
            None => {
                let kind = state.kind(-2).name();
                return refuse(format_args!("the name of an option is a string, not a {kind}"));
            }
        }
        state.pop(1);
    }
    Ok(offer)
}

fn refuse<T>(text: std::fmt::Arguments<'_>) -> Result<T, Refused> {
    Err(Refused(fallible::format(text)?))
}

fn bad_kind<T>(state: State, option: &str) -> Result<T, Refused> {
    refuse(format_args!("bad \"{option}\" option type: {}", state.kind(-1).name()))
}

/// The string on top of the stack, which must have no NUL.
fn text(state: State, option: &str) -> Result<CString, Refused> {
    let Some(text) = string(&state) else { return bad_kind(state, option) };
    if text.contains(&0) {
        return refuse(format_args!("bad \"{option}\" option value: {}", Shown(text)));
    }
    Ok(fallible::c_string(text)?)
}

/// The string on top of the stack; `None` for a value of another type.
fn string(state: &State) -> Option<&[u8]> {
    if state.kind(-1) == Kind::String { state.bytes(-1) } else { None }
}

/// OpenSSL's number of the TLS version whose name is on top of the stack.
fn version(state: State, option: &str) -> Result<u16, Refused> {
    let Some(name) = string(&state) else { return bad_kind(state, option) };
    match VERSIONS.iter().find(|(known, _)| known.as_bytes() == name) {
        Some((_, version)) => Ok(*version),
        None => refuse(format_args!("bad \"{option}\" option value: {}", Shown(name))),
    }
}

/// The protocol names in the table on top of the stack, in the form that TLS sends: each after a
/// byte with its length.
fn alpn(mut state: State) -> Result<Vec<u8>, Refused> {
    if state.kind(-1) != Kind::Table {
        return bad_kind(state, "alpn");
    }
    let mut names = Vec::new();
    for index in 1.. {
        state.raw_get_index(-1, index);
        if state.is_nil_or_none(-1) {
            break;
        }
        let Some(name) = string(&state) else { return bad_kind(state, "alpn") };
        let len = u8::try_from(name.len()).unwrap_or(0);
        if len == 0 || names.len() + name.len() >= usize::from(u16::MAX) {
            return refuse(format_args!("bad \"alpn\" option value: {}", Shown(name)));
        }
        names.try_push(len)?;
        names.try_append(name)?;
        state.pop(1);
    }
    state.pop(1);
    if names.is_empty() {
        return refuse(format_args!("bad \"alpn\" option value: no protocol"));
    }
    Ok(names)
}
