//! `ngx.hmac_sha1`; lua-resty-core has the other functions, which call the C symbols.

use hmac::{Hmac, Mac};
use sha1::Sha1;

use crate::api::call::{Row, set_functions};
use crate::lua::{LuaError, LuaResult, Returns, State};

/// Puts the function into the `ngx` table on top.
pub fn inject(state: State) {
    set_functions(state, &[Row::anywhere(c"hmac_sha1", hmac_sha1)]);
}

/// `ngx.hmac_sha1(secret, text)`: the digest of RFC 2104, 20 bytes.
fn hmac_sha1(state: State) -> LuaResult {
    let n = state.top();
    if n != 2 {
        return Err(LuaError::text(format_args!("expecting 2 arguments, but got {n}")));
    }
    let (secret, text) = (state.check_bytes(1)?, state.check_bytes(2)?);
    let mut mac = Hmac::<Sha1>::new_from_slice(secret)
        .map_err(|_| LuaError::text("bad length of the secret key"))?;
    mac.update(text);
    state.push_bytes(&mac.finalize().into_bytes());
    Ok(Returns::Values(1))
}
