//! The arguments of `ngx.location.capture` and `capture_multi`: they are read and checked before
//! any subrequest is made.

use std::borrow::Cow;

use codec::fallible::{self, Grow, Shown};
use codec::uri::escape_controls;

use crate::api::arguments;
use crate::lua::{Kind, LuaError, State};
use crate::nginx::Request;
use crate::nginx::core::strings::PoolStr;
use crate::nginx::http::redirect::{self, UriError};
use crate::nginx::http::subrequest::Variables;

const METHOD_GET: usize = 0x2;
const METHOD_POST: usize = 0x8;
const METHOD_PUT: usize = 0x10;

/// A name and a value: of a variable, or of a header.
pub type Pair = (Vec<u8>, Vec<u8>);

/// One subrequest, as the script asks for it.
pub struct Query {
    pub uri: PoolStr,
    /// The arguments of the URI, then those of the options.
    pub args: PoolStr,
    pub options: Options,
}

/// The options of a subrequest.
pub struct Options {
    args: Vec<u8>,
    /// One of nginx's `NGX_HTTP_*` numbers of methods, as the script gives it.
    pub method: usize,
    /// The body; without one, that of the parent may be forwarded.
    pub body: Option<Vec<u8>>,
    pub always_forward_body: bool,
    /// With which variables it starts.
    pub variables: Variables,
    /// Variables to set.
    pub vars: Vec<Pair>,
    /// Request headers to set; they replace the parent's.
    pub headers: Vec<Pair>,
    /// The stack index of the table that is to be the subrequest's `ngx.ctx`.
    pub ctx: Option<i32>,
}

impl Default for Options {
    fn default() -> Options {
        Options {
            args: Vec::new(),
            method: METHOD_GET,
            body: None,
            always_forward_body: false,
            variables: Variables::Fresh,
            vars: Vec::new(),
            headers: Vec::new(),
            ctx: None,
        }
    }
}

impl Options {
    /// Whether a subrequest without a body of its own gets its parent's.
    pub fn forwards_body(&self, parent: Request) -> bool {
        self.always_forward_body
            || matches!(self.method, METHOD_POST | METHOD_PUT)
            || parent.get().headers_in.content_length_n <= 0
    }
}

/// The error if the value at index `uri`, the URI, is no string. As in the C module, where the URI
/// is at that index, it is called argument 3.
fn no_string(mut state: State, uri: i32) -> LuaError {
    if state.top() < 3 {
        state.set_top(3);
    }
    state.push_value(uri);
    state.replace(3);
    LuaError::wrong_type(3, c"string")
}

/// Reads query number `index` (from 0), whose URI and options are at these stack indexes. A `ctx`
/// table is left on top of the stack.
pub fn read(
    state: State,
    request: Request,
    index: usize,
    uri: i32,
    options: Option<i32>,
) -> Result<Query, LuaError> {
    state.reserve(8)?;
    let mut asked = Options::default();
    if let Some(options) = options {
        read_options(state, options, index, &mut asked)?;
    }
    let given = state.bytes(uri).ok_or_else(|| no_string(state, uri))?;
    let parsed = redirect::parse_quietly(request, given);
    let (uri, mut args) = parsed.map_err(|error| match error {
        UriError::Unsafe => {
            let shown = Shown(given);
            LuaError::text(format_args!("unsafe uri in argument #1: {shown}"))
        }
        UriError::OutOfMemory => LuaError::text(fallible::NO_MEMORY),
    })?;
    if !asked.args.is_empty() {
        let and: &[u8] = if args.bytes().is_empty() { b"" } else { b"&" };
        args = request.pool().concat(&[args.bytes(), and, &asked.args])?;
    }
    if let Cow::Owned(escaped) = escape_controls(args.bytes())? {
        args = request.pool().concat(&[&escaped])?;
    }
    Ok(Query { uri, args, options: asked })
}

/// Reads the options table at index `options` into `parsed`.
fn read_options(
    mut state: State,
    options: i32,
    index: usize,
    parsed: &mut Options,
) -> Result<(), LuaError> {
    let kind = state.kind(options);
    if kind != Kind::Table {
        return Err(LuaError::text(format_args!(
            "expecting table as the 2nd argument for subrequest {index}, but got {}",
            kind.name()
        )));
    }
    state.get_field(options, c"args");
    parsed.args = match state.kind(-1) {
        Kind::Table => arguments::encode(state, state.top())?,
        Kind::Nil => Vec::new(),
        Kind::Number | Kind::String => fallible::copy(state.bytes(-1).unwrap_or_default())?,
        _ => return Err(LuaError::text("Bad args option value")),
    };
    state.pop(1);
    parsed.vars = read_pairs(state, options, c"vars", "variable")?;
    parsed.headers = read_pairs(state, options, c"headers", "header")?;
    let share = flag(state, options, c"share_all_vars", "Bad share_all_vars option value")?;
    let copy = flag(state, options, c"copy_all_vars", "Bad copy_all_vars option value")?;
    parsed.variables = match (share, copy) {
        (true, _) => Variables::Shared,
        (false, true) => Variables::Copied,
        (false, false) => Variables::Fresh,
    };
    state.get_field(options, c"always_forward_body");
    parsed.always_forward_body = state.boolean(-1);
    state.pop(1);
    parsed.method = read_method(state, options)?;
    parsed.body = read_body(state, options)?;
    read_ctx(state, options, parsed)
}

/// Reads the option `ctx`, whose table stays on top of the stack.
fn read_ctx(mut state: State, options: i32, parsed: &mut Options) -> Result<(), LuaError> {
    state.get_field(options, c"ctx");
    match state.kind(-1) {
        Kind::Nil => state.pop(1),
        Kind::Table => parsed.ctx = Some(state.top()),
        kind => {
            return Err(LuaError::text(format_args!(
                "Bad ctx option value type {}, expected a Lua table",
                kind.name()
            )));
        }
    }
    Ok(())
}

/// The boolean option `name`; false without it. `error` is the text for a value of another type.
fn flag(
    mut state: State,
    options: i32,
    name: &std::ffi::CStr,
    error: &'static str,
) -> Result<bool, LuaError> {
    state.get_field(options, name);
    let value = match state.kind(-1) {
        Kind::Nil => false,
        Kind::Boolean => state.boolean(-1),
        _ => return Err(LuaError::text(error)),
    };
    state.pop(1);
    Ok(value)
}

fn read_method(mut state: State, options: i32) -> Result<usize, LuaError> {
    state.get_field(options, c"method");
    let method = match state.kind(-1) {
        Kind::Nil => METHOD_GET,
        Kind::Number => state.number(-1) as usize,
        _ => return Err(LuaError::text("Bad http request method")),
    };
    state.pop(1);
    Ok(method)
}

fn read_body(mut state: State, options: i32) -> Result<Option<Vec<u8>>, LuaError> {
    state.get_field(options, c"body");
    let body = match state.kind(-1) {
        Kind::Nil => None,
        Kind::Number | Kind::String => Some(fallible::copy(state.bytes(-1).unwrap_or_default())?),
        _ => return Err(LuaError::text("Bad http request body")),
    };
    state.pop(1);
    Ok(body)
}

/// The names and values in the table that is the option `name`. Errors call a value a `noun`'s.
fn read_pairs(
    mut state: State,
    options: i32,
    name: &std::ffi::CStr,
    noun: &'static str,
) -> Result<Vec<Pair>, LuaError> {
    let option = name.to_str().unwrap_or_default();
    let mut pairs = Vec::new();
    state.get_field(options, name);
    match state.kind(-1) {
        Kind::Nil => {}
        Kind::Table => {
            let walk = state.walk(-1);
            while state.next(walk) {
                if state.kind(-2) != Kind::String {
                    return Err(LuaError::text(format_args!(
                        "attempt to use a non-string key in the \"{option}\" option table"
                    )));
                }
                let kind = state.kind(-1);
                if !matches!(kind, Kind::String | Kind::Number) {
                    return Err(LuaError::text(format_args!(
                        "attempt to use bad {noun} value type {}",
                        kind.name()
                    )));
                }
                let name = fallible::copy(state.bytes(-2).unwrap_or_default())?;
                pairs.try_push((name, fallible::copy(state.bytes(-1).unwrap_or_default())?))?;
                state.pop(1);
            }
        }
        _ => return Err(LuaError::text(format_args!("Bad {option} option value"))),
    }
    state.pop(1);
    Ok(pairs)
}
