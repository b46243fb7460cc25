//! Variables that a directive sets in the rewrite phase, as `set` does: steps of this module's
//! among those that nginx's rewrite module runs.

use export::callback;

use crate::nginx::Level;
use crate::nginx::core::bits;
use crate::nginx::core::conf::{Conf, ConfError, ConfResult};
use crate::nginx::core::status::Status;
use crate::nginx::core::strings::{self, PoolStr};
use crate::nginx::guard;
use crate::nginx::http::configuration::{Configuration, Scope};
use crate::nginx::http::request::Request;
use crate::nginx::sys::{
    NGX_HTTP_VAR_CHANGEABLE, lua_rewrite_conf_t, ngx_http_add_variable, ngx_http_core_main_conf_t,
    ngx_http_get_variable_index, ngx_http_request_t, ngx_http_script_code_pt,
    ngx_http_script_engine_t, ngx_http_script_set_var_code, ngx_http_script_start_code,
    ngx_http_script_var_code_t, ngx_http_script_var_handler_code_t,
    ngx_http_script_var_set_handler_code, ngx_http_variable_t, ngx_http_variable_value_t,
    ngx_int_t, ngx_module_t, ngx_str_t,
};

// Declared by hand: nginx has it in a C file, not in a header.
unsafe extern "C" {
    static mut ngx_http_rewrite_module: ngx_module_t;
}

/// What gives a variable its value.
pub trait ScriptValue {
    /// The value, in the request's pool; `Err` with the status that the request ends with.
    fn evaluate(&self, request: Request) -> Result<PoolStr, Status>;
}

/// One step: nginx reads the first word of each, and calls it.
#[repr(C)]
struct ScriptStep<V> {
    code: ngx_http_script_code_pt,
    value: *const V,
}

/// Has nginx set the variable `target` (`$name`) to `value`, in order with the other directives.
#[expect(clippy::disallowed_methods, reason = "of the configuration, when nginx reads it")]
pub fn set_variable<V: ScriptValue + 'static>(cf: Conf, target: &[u8], value: V) -> ConfResult {
    let Some((b'$', name)) = target.split_first().filter(|(_, name)| !name.is_empty()) else {
        let text = [b"invalid variable name \"".as_slice(), target, b"\""].concat();
        return Err(cf.refuse(&text));
    };
    let pool = cf.pool()?;
    let mut name = pool.copy_str(name)?;
    let value = pool.own(value)?;
    // SAFETY: a live parser within `http`; the steps are filled as nginx's own directives do it.
    unsafe {
        let variable = ngx_http_add_variable(cf.as_ptr(), &mut name, NGX_HTTP_VAR_CHANGEABLE as _);
        let index = ngx_http_get_variable_index(cf.as_ptr(), &mut name);
        let Some(variable) = variable.as_mut().filter(|_| index >= 0) else {
            return Err(ConfError::Logged);
        };
        if variable.get_handler.is_none() && !is_of_header(strings::bytes(name)) {
            variable.get_handler = Some(uninitialized);
            variable.data = index as usize;
        }
        let step: *mut ScriptStep<V> = add_step(cf)?;
        *step = ScriptStep { code: Some(run::<V>), value: value.as_ptr() };
        if variable.set_handler.is_some() {
            let step: *mut ngx_http_script_var_handler_code_t = add_step(cf)?;
            (*step).code = Some(ngx_http_script_var_set_handler_code);
            (*step).handler = variable.set_handler;
            (*step).data = variable.data;
        } else {
            let step: *mut ngx_http_script_var_code_t = add_step(cf)?;
            (*step).code = Some(ngx_http_script_set_var_code);
            (*step).index = index as usize;
        }
    }
    Ok(())
}

/// Whether a variable of this name has a value of its own until it is set.
fn is_of_header(name: &[u8]) -> bool {
    [b"http_".as_slice(), b"sent_http_", b"upstream_http_"].iter().any(|prefix| {
        name.get(..prefix.len()).is_some_and(|start| start.eq_ignore_ascii_case(prefix))
    })
}

/// Adds space for a step to the steps of the location that is being read.
///
/// # Safety
/// The parser must be within `http`. The step must be filled before nginx runs it.
unsafe fn add_step<T>(cf: Conf) -> Result<*mut T, ConfError> {
    // SAFETY: the rewrite module has a configuration everywhere in `http`.
    unsafe {
        let module = &*std::ptr::addr_of!(ngx_http_rewrite_module);
        let rewrite: *mut lua_rewrite_conf_t =
            Configuration::under(cf).slot(Scope::Location, module).cast();
        let pool = cf.pool()?;
        let codes = (&raw mut (*rewrite).codes).cast();
        let step = ngx_http_script_start_code(pool.as_ptr(), codes, size_of::<T>());
        if step.is_null() { Err(ConfError::Logged) } else { Ok(step.cast()) }
    }
}

/// The end of the steps: nginx stops at a word of zero.
static END: usize = 0;

/// nginx runs a step of ours: pushes the value onto the engine's stack, for the next step.
///
/// # Safety
/// Only nginx may call this, as the callback that it was registered as.
#[callback(unguarded = "what is this module's has a guard")]
unsafe extern "C" fn run<V: ScriptValue + 'static>(engine: *mut ngx_http_script_engine_t) {
    let failed = Err(Status::HTTP_INTERNAL_SERVER_ERROR);
    // SAFETY: nginx passes its engine at a step that `set_variable` made, with room for one value
    // on its stack; the value lives as long as the configuration.
    unsafe {
        let e = &mut *engine;
        let step = &*e.ip.cast::<ScriptStep<V>>();
        let request = Request::from_ptr(e.request);
        match guard(failed, || request.map_or(failed, |r| (*step.value).evaluate(r))) {
            Ok(text) => {
                let mut value: ngx_http_variable_value_t = std::mem::zeroed();
                bits::set_value_len(&mut value, text.bytes().len());
                value.set_valid(1);
                value.data = text.raw().data;
                *e.sp = value;
                e.sp = e.sp.add(1);
                e.ip = e.ip.add(size_of::<ScriptStep<V>>());
            }
            Err(status) => {
                e.ip = std::ptr::from_ref(&END).cast_mut().cast();
                e.status = status.0;
            }
        }
    }
}

/// The value of a variable that has not been set yet: empty, with a warning.
///
/// # Safety
/// Only nginx may call this, as the callback that it was registered as.
#[callback(Status::ERROR.0)]
unsafe extern "C" fn uninitialized(
    r: *mut ngx_http_request_t,
    value: *mut ngx_http_variable_value_t,
    data: usize,
) -> ngx_int_t {
    // SAFETY: nginx passes a live request, a value to fill, and the variable's index.
    unsafe {
        let Some(request) = Request::from_ptr(r) else { return Status::ERROR.0 };
        let rewrite: *const lua_rewrite_conf_t = Configuration::of(request)
            .slot(Scope::Location, &*std::ptr::addr_of!(ngx_http_rewrite_module))
            .cast();
        if (*rewrite).uninitialized_variable_warn != 0 {
            let main: *const ngx_http_core_main_conf_t = Configuration::of(request).core_main();
            let all: &[ngx_http_variable_t] = (*main).variables.as_slice();
            let name = all.get(data).map_or(ngx_str_t::empty(), |variable| variable.name);
            let name = strings::bytes(name);
            let pieces = [b"using uninitialized \"".as_slice(), name, b"\" variable"];
            request.log().write_pieces(Level::Warn, &pieces);
        }
        let mut empty: ngx_http_variable_value_t = std::mem::zeroed();
        empty.set_valid(1);
        empty.data = c"".as_ptr().cast_mut().cast();
        *value = empty;
        Status::OK.0
    }
}
