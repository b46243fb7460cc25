//! Userdata that own a Rust value: Lua's garbage collector drops it.
//!
//! Each stores the type of its value, so that a userdata of another library is never taken for one
//! of these.

use std::any::TypeId;
use std::ffi::c_void;
use std::mem::{align_of, size_of};

use super::function::{CFunction, Returns, wrap};
use super::registry::RegistryKey;
use super::state::State;
use super::tables::TableAt;

/// The alignment of a userdata's memory in LuaJIT.
const ALIGNMENT: usize = 8;

#[repr(C)]
struct Slot<T> {
    kind: TypeId,
    value: Option<T>,
}

/// Makes the registry's metatable `metatable` for userdata that own a `T`.
pub fn inject<T: 'static>(mut state: State, metatable: RegistryKey) {
    state.new_table(0, 1);
    state.push_function(collector::<T>());
    state.set_field(-2, c"__gc");
    state.register(metatable);
}

/// Pushes a userdata that owns `value`, with a metatable that [`inject`] made.
pub fn push<T: 'static>(mut state: State, value: T, metatable: RegistryKey) {
    const { assert!(align_of::<Slot<T>>() <= ALIGNMENT) };
    let slot: *mut Slot<T> = state.new_userdata(size_of::<Slot<T>>()).cast();
    // SAFETY: fresh memory of that size; it is filled before anything can read it.
    unsafe { slot.write(Slot { kind: TypeId::of::<T>(), value: Some(value) }) };
    state.push_registered(metatable);
    state.set_metatable(-2);
}

/// The value of the userdata at `index`; `None` for anything else.
pub fn get<T: Clone + 'static>(state: State, index: i32) -> Option<T> {
    // SAFETY: a userdata of at least the slot's size, or null.
    unsafe { of_payload(memory::<T>(state, index)) }
}

/// The value of the userdata that is item `item` of `table`; `None` for anything else.
pub fn in_table<T: Clone + 'static>(mut state: State, table: TableAt, item: i32) -> Option<T> {
    state.raw_get_item(table, item);
    let value = get(state, -1);
    state.pop(1);
    value
}

/// Takes the value out of the userdata at `index`, which is not relative to the top, so that the
/// garbage collector has nothing to finalize.
pub fn release<T: 'static>(state: State, index: i32) -> Option<T> {
    let value = take::<T>(state, index)?;
    state.remove_metatable(index);
    Some(value)
}

/// Takes the value out of the userdata at `index`.
fn take<T: 'static>(state: State, index: i32) -> Option<T> {
    let slot: *mut Slot<T> = memory::<T>(state, index).cast();
    if slot.is_null() {
        return None;
    }
    // SAFETY: as in `of_payload`.
    unsafe { if (*slot).kind == TypeId::of::<T>() { (*slot).value.take() } else { None } }
}

/// The memory of the userdata at `index`, if it is large enough for a slot; null for anything else.
/// (Strings and tables have a length too, but are not userdata; a light userdata has no length.)
fn memory<T>(state: State, index: i32) -> *mut c_void {
    if state.raw_len(index) < size_of::<Slot<T>>() {
        return std::ptr::null_mut();
    }
    state.userdata(index)
}

/// The value of the userdata whose memory this is, as LuaJIT's FFI passes it.
///
/// # Safety
/// `payload` must be null, or the memory of a userdata of at least the slot's size.
pub unsafe fn of_payload<T: Clone + 'static>(payload: *const c_void) -> Option<T> {
    let slot: *const Slot<T> = payload.cast();
    if slot.is_null() || !slot.is_aligned() {
        return None;
    }
    // SAFETY: the payload is null or at least a slot's size, the contract of this function; the
    // value is only read if the type is right.
    unsafe {
        if (&raw const (*slot).kind).read_unaligned() != TypeId::of::<T>() {
            return None;
        }
        (*slot).value.clone()
    }
}

/// The `__gc` of userdata that own a `T`.
fn collector<T: 'static>() -> CFunction {
    wrap(|state: State| {
        drop(take::<T>(state, 1));
        Ok(Returns::Values(0))
    })
}
