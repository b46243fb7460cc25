//! The Nginx Development Kit (NDK), if its module is loaded: directives of the form `set_xxx $var
//! arg` as functions. It is not needed to build; its symbol is looked up at run time.

use std::ffi::{c_int, c_void};
use std::mem::transmute;

use crate::nginx::core::bits;
use crate::nginx::core::module::{commands, modules};
use crate::nginx::core::strings;
use crate::nginx::http::request::Request;
use crate::nginx::sys::{
    NGX_HTTP_MODULE, ngx_command_t, ngx_cycle, ngx_http_request_t, ngx_http_variable_value_t,
    ngx_int_t, ngx_str_t,
};

/// The function behind a directive: it takes the request, the result to fill, and one argument.
pub type SetVarValue = unsafe extern "C" fn(
    *mut ngx_http_request_t,
    *mut ngx_str_t,
    *mut ngx_http_variable_value_t,
) -> ngx_int_t;

/// `ndk_set_var_t`, to which such a directive's `post` points. Declared by hand, because NDK's
/// headers are not needed to build this module.
#[repr(C)]
struct Filter {
    kind: c_int,
    function: *mut c_void,
    size: usize,
    data: *mut c_void,
}

/// Why a directive's function could not be found.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum LookupError {
    /// The NDK is not loaded.
    NotLoaded,
    /// No directive of this name is set by the NDK.
    NotFound,
}

/// The function of the directive `name`, in any module that nginx loaded.
pub fn lookup(name: &[u8]) -> Result<SetVarValue, LookupError> {
    // SAFETY: a look-up by name among the symbols that nginx and its modules export.
    let setter = unsafe { libc::dlsym(libc::RTLD_DEFAULT, c"ndk_set_var_value".as_ptr()) };
    if setter.is_null() {
        return Err(LookupError::NotLoaded);
    }
    // SAFETY: nginx's current cycle, or null before there is one.
    unsafe { modules(ngx_cycle) }
        .filter(|module| module.type_ == NGX_HTTP_MODULE as usize)
        .flat_map(commands)
        // SAFETY: a directive of a loaded module, and ndk_set_var_value.
        .find_map(|command| unsafe { function_of(command, setter, name) })
        .ok_or(LookupError::NotFound)
}

/// # Safety
/// `command` must be a directive of a loaded module, and `setter` the address of ndk_set_var_value.
unsafe fn function_of(
    command: &ngx_command_t,
    setter: *mut c_void,
    name: &[u8],
) -> Option<SetVarValue> {
    let set = command.set? as *const c_void;
    // SAFETY: a directive's name is a static string; `post` of one set by ndk_set_var_value is a
    // static ndk_set_var_t, whose function has this type.
    unsafe {
        if !std::ptr::eq(set, setter) || strings::bytes(command.name) != name {
            return None;
        }
        let function = command.post.cast::<Filter>().as_ref()?.function;
        if function.is_null() {
            return None;
        }
        Some(transmute::<*mut c_void, SetVarValue>(function))
    }
}

/// Calls a directive's function; the result lives in the request's pool, or is static. `Err` has
/// the function's status.
///
/// # Safety
/// `function` must come from [`lookup`].
pub unsafe fn call(
    request: Request,
    function: SetVarValue,
    argument: &[u8],
) -> Result<ngx_str_t, ngx_int_t> {
    let mut result = ngx_str_t::empty();
    // SAFETY: the function is the one of a loaded module, the contract of this function; it reads
    // the argument during the call only. Zero is a valid value structure.
    unsafe {
        let mut value: ngx_http_variable_value_t = std::mem::zeroed();
        value.set_valid(1);
        bits::set_value_len(&mut value, argument.len());
        value.data = argument.as_ptr().cast_mut();
        match function(request.as_ptr(), &mut result, &mut value) {
            0 => Ok(result),
            code => Err(code),
        }
    }
}
