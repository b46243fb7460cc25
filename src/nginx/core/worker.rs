//! nginx's processes: this one, its master and its siblings; and what the core configuration says.

use std::ptr::addr_of;

use crate::nginx::core::strings::PoolStr;
use crate::nginx::sys::{
    NGX_MAX_PROCESSES, NGX_PROCESS_MASTER, NGX_PROCESS_SINGLE, NGX_PROCESS_WORKER, ngx_array_t,
    ngx_core_conf_t, ngx_core_module, ngx_cycle, ngx_exiting, ngx_pagesize, ngx_parent, ngx_pid,
    ngx_process, ngx_process_slot, ngx_process_t, ngx_processes, ngx_quit, ngx_str_t, ngx_worker,
};

/// This process's id.
pub fn pid() -> i32 {
    // SAFETY: a plain word that nginx sets when it starts a process.
    unsafe { ngx_pid }
}

/// Whether there is a process with this id, be it another user's.
pub fn is_alive(pid: i32) -> bool {
    // SAFETY: signal 0 is sent to nobody.
    let failed = unsafe { libc::kill(pid, 0) } != 0;
    !failed || std::io::Error::last_os_error().raw_os_error() != Some(libc::ESRCH)
}

/// The id of the master; of this process, where it is the only one.
pub fn master_pid() -> i32 {
    // SAFETY: as for `pid`.
    if process() == NGX_PROCESS_SINGLE { pid() } else { unsafe { ngx_parent } }
}

/// The kind of this process as nginx numbers it: single, master, signaller, worker, helper.
///
/// A process that reads a configuration counts as single to nginx; here it is the master, if the
/// configuration asks for one.
pub fn process_type() -> u32 {
    let master = with_core_conf(|conf| conf.master != 0).unwrap_or(false);
    if process() == NGX_PROCESS_SINGLE && master { NGX_PROCESS_MASTER } else { process() }
}

fn process() -> u32 {
    // SAFETY: as for `pid`.
    unsafe { ngx_process as u32 }
}

/// This worker's number, from 0; none in other processes.
pub fn worker_id() -> Option<i32> {
    let works = matches!(process(), NGX_PROCESS_WORKER | NGX_PROCESS_SINGLE);
    // SAFETY: as for `pid`.
    works.then_some(unsafe { ngx_worker as i32 })
}

/// How many workers the configuration asks for.
pub fn worker_count() -> i32 {
    with_core_conf(|conf| conf.worker_processes as i32).unwrap_or(0)
}

/// `worker_shutdown_timeout` in milliseconds, if it is set.
pub fn shutdown_timeout() -> Option<usize> {
    with_core_conf(|conf| conf.shutdown_timeout).filter(|timeout| *timeout > 0)
}

/// Whether the worker was told to finish its work and leave.
pub fn is_exiting() -> bool {
    // SAFETY: as for `pid`.
    unsafe { ngx_exiting != 0 }
}

/// The size of a page of memory.
pub fn page_size() -> usize {
    // SAFETY: as for `pid`.
    unsafe { ngx_pagesize }
}

/// Has this process finish its work and exit, as after the signal QUIT.
pub fn quit() {
    // SAFETY: a plain word, which nginx's signal handler sets the same way.
    unsafe { ngx_quit = 1 }
}

/// Writes the ids of the processes that the master started, this one included, to `pids`; returns
/// their number. A worker knows only those that were started before it.
pub fn pids(pids: &mut [i32]) -> usize {
    let table = addr_of!(ngx_processes).cast::<ngx_process_t>();
    // SAFETY: as for `pid`.
    let own = unsafe { ngx_process_slot };
    // SAFETY: a slot of the table, read without a reference: nginx's signal handler may write it.
    let process = |slot: usize| unsafe { addr_of!((*table.add(slot)).pid).read_volatile() };
    let slots = (0..NGX_MAX_PROCESSES as usize).map(|slot| (slot, process(slot)));
    // A slot with pid 0 ends the table, except for a worker's own slot, which nginx leaves empty in
    // that worker.
    let known = slots.map_while(|(slot, process)| match process {
        0 if usize::try_from(own) == Ok(slot) => Some(pid()),
        0 => None,
        other => Some(other),
    });
    // A process that has gone leaves -1.
    let running = known.filter(|&pid| pid > 0);
    pids.iter_mut().zip(running).map(|(entry, pid)| *entry = pid).count()
}

/// An entry `NAME=VALUE` of the configuration's `env` directives, as nginx keeps it: the bytes of
/// the name, which `=`, the value and a NUL follow in the same memory.
pub fn configured_env(name: &[u8]) -> Option<PoolStr> {
    with_core_conf(|conf| env_entry(&conf.env, name))?
}

fn env_entry(env: &ngx_array_t, name: &[u8]) -> Option<PoolStr> {
    // SAFETY: an array of strings in the cycle's pool, filled while the configuration is read.
    let entries: &[ngx_str_t] = unsafe {
        if env.elts.is_null() {
            return None;
        }
        std::slice::from_raw_parts(env.elts.cast(), env.nelts)
    };
    entries.iter().find_map(|entry| {
        // SAFETY: words of the configuration, which nginx ends with a NUL each; they live as long
        // as the cycle.
        let known = unsafe { PoolStr::new(*entry) };
        // SAFETY: the NUL, at least, follows the name.
        let has_value = unsafe { *entry.data.add(entry.len) } == b'=';
        (has_value && known.bytes() == name).then_some(known)
    })
}

/// What `look` makes of the configuration outside of any block, once that has been read.
fn with_core_conf<T>(look: impl FnOnce(&ngx_core_conf_t) -> T) -> Option<T> {
    // SAFETY: the cycle, its configurations and their contents live as long as the cycle is the
    // current one, which does not change during a call. The first cycle has no configuration yet.
    unsafe {
        let contexts = (*addr_of!(ngx_cycle)).as_ref()?.conf_ctx.as_ref()?;
        let contexts: *const *mut *mut *mut std::ffi::c_void = contexts;
        let core = *contexts.add(ngx_core_module.index);
        core.cast::<ngx_core_conf_t>().as_ref().map(look)
    }
}
