//! A zone through which processes send each other messages: a ring of bytes that all of them read,
//! each from its own position on.
//!
//! Everything but the first look for news is done with the zone's lock held. A process may die at
//! any instruction: a message is part of the ring once the end of the ring has been moved behind
//! it, by one store; what a process was writing when it died is overwritten by the next one. A
//! process that is found dead, or reads nothing for too long while others need the room, no longer
//! keeps messages: it loses what it has not read, and is told how many.

use std::ffi::c_void;
use std::mem::size_of;
use std::ptr::NonNull;
use std::sync::atomic::{
    AtomicI32, AtomicU64, Ordering::Acquire, Ordering::Relaxed, Ordering::Release,
};

use codec::message_ring::{Head, Message, MessageRing};
use export::callback;

use super::zones::SharedZones;
use crate::nginx::core::conf::Conf;
use crate::nginx::core::pool::OutOfMemory;
use crate::nginx::core::{time, worker};
use crate::nginx::sys::{
    ngx_int_t, ngx_shm_zone_t, ngx_shmtx_lock, ngx_shmtx_unlock, ngx_slab_alloc_locked,
    ngx_slab_pool_t,
};

/// The most processes at a time, those of several reloads together.
const READERS: usize = 256;
/// How long a process may leave a message unread, in nanoseconds, if others need the room.
const PATIENCE: u64 = 5_000_000_000;

/// What the zone holds before the bytes of the ring. Of it, all zero is valid: an empty ring.
#[repr(C)]
struct Root {
    /// The size of the ring.
    size: u64,
    /// Behind the last message.
    end: AtomicU64,
    /// Before it, nothing is needed any more.
    start: AtomicU64,
    /// How many processes have read from the ring so far.
    joined: AtomicU64,
    readers: [Reader; READERS],
}

/// A process that reads.
#[repr(C)]
struct Reader {
    /// 0 for a place that is free.
    pid: AtomicI32,
    /// Its number as a worker.
    worker: AtomicI32,
    /// Its number among all that have ever read, from 1 on.
    number: AtomicU64,
    /// Its next message.
    position: AtomicU64,
    /// How many messages it has lost since it was told.
    lost: AtomicU64,
}

/// Why a message cannot be sent.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum PostError {
    Full,
    TooLong,
    NoWorker,
}

/// What comes next for a process.
pub enum Next {
    Message(Message),
    /// So many messages were lost.
    Lost(u64),
    Nothing,
}

/// What a message is, without its bytes.
pub struct Letter<'a> {
    /// The worker that is to get it, or all of them.
    pub to: Option<i32>,
    pub from: i32,
    pub kind: u8,
    pub name: &'a [u8],
    pub data: &'a [u8],
}

/// The zone; copies are the same one.
#[derive(Clone, Copy)]
pub struct Messages(NonNull<ngx_shm_zone_t>);

impl Messages {
    /// Registers the zone `name`, with `size` bytes for messages; `None` on an error, which has
    /// been logged.
    pub fn define(cf: Conf, zones: &SharedZones, name: &[u8], size: usize) -> Option<Messages> {
        static TAG: u8 = 0;
        let tag: *mut c_void = std::ptr::from_ref(&TAG).cast_mut().cast();
        let size = SharedZones::size_for(size_of::<Root>() + size);
        let mut zone = zones.add(cf, name, size, tag)?;
        // SAFETY: a live zone of this tag, whose data and `init` only this function sets.
        let its = unsafe { zone.as_mut() };
        its.init = Some(init);
        its.data = zone.as_ptr().cast();
        Some(Messages(zone))
    }

    fn pool(&self) -> Option<NonNull<ngx_slab_pool_t>> {
        // SAFETY: a zone of a cycle that is still in use; its memory begins with a slab pool.
        NonNull::new(unsafe { self.0.as_ref() }.shm.addr.cast())
    }

    /// Nothing while nginx has no memory for the zone yet.
    fn root(&self) -> Option<&Root> {
        // SAFETY: `init` has put a root there, and it stays as long as processes use the
        // configuration.
        unsafe { self.pool()?.as_ref().data.cast::<Root>().as_ref() }
    }

    fn lock(&self) -> Option<Locked<'_>> {
        let (pool, root) = (self.pool()?, self.root()?);
        // SAFETY: a live slab pool; its lock is held until `Locked` is dropped.
        unsafe { ngx_shmtx_lock(&raw mut (*pool.as_ptr()).mutex) };
        Some(Locked { pool, root })
    }

    /// Sends a message: whoever reads now gets it, once.
    pub fn post(self, letter: &Letter) -> Result<(), PostError> {
        let head = Head::new(letter.name.len(), letter.data.len()).ok_or(PostError::TooLong)?;
        self.lock().ok_or(PostError::NoWorker)?.post(head, letter)
    }

    /// Has this process get messages, as a worker with that number. `None` where too many do so
    /// already.
    pub fn join(self, worker: i32) -> Option<Membership> {
        let reader = self.lock()?.join(worker)?;
        Some(Membership { zone: self, reader })
    }
}

/// A process's place among those that get messages. Dropping it gives the place up.
pub struct Membership {
    zone: Messages,
    /// Its index.
    reader: usize,
}

impl Membership {
    /// Where the ring ends now, if there is anything that this process has not read.
    pub fn news(&self) -> Option<u64> {
        let end = self.zone.root()?.end.load(Acquire);
        (self.reader()?.position.load(Relaxed) != end).then_some(end)
    }

    fn reader(&self) -> Option<&Reader> {
        self.zone.root()?.readers.get(self.reader)
    }

    /// What comes next before `end`. Without memory for a message, it stays the next one.
    pub fn next(&self, end: u64) -> Result<Next, OutOfMemory> {
        let (Some(mut locked), Some(reader)) = (self.zone.lock(), self.reader()) else {
            return Ok(Next::Nothing);
        };
        locked.next(reader, end)
    }
}

impl Drop for Membership {
    fn drop(&mut self) {
        if let (Some(locked), Some(reader)) = (self.zone.lock(), self.reader()) {
            reader.pid.store(0, Relaxed);
            drop(locked);
        }
    }
}

/// The ring while its lock is held.
struct Locked<'z> {
    pool: NonNull<ngx_slab_pool_t>,
    root: &'z Root,
}

impl<'z> Locked<'z> {
    fn ring(&mut self) -> MessageRing<'_> {
        let root = std::ptr::from_ref(self.root);
        // SAFETY: behind the root are so many bytes (`init`), which are read and written with the
        // lock held only.
        MessageRing(unsafe {
            let bytes = root.add(1).cast::<u8>().cast_mut();
            std::slice::from_raw_parts_mut(bytes, (*root).size as usize)
        })
    }

    fn post(&mut self, mut head: Head, letter: &Letter) -> Result<(), PostError> {
        if head.size() > self.root.size {
            return Err(PostError::TooLong);
        }
        if let Some(worker) = letter.to {
            head.to = self.number_of(worker).ok_or(PostError::NoWorker)?;
        }
        head.time = time::nanoseconds();
        (head.from, head.kind) = (letter.from, letter.kind);
        self.make_room(head.size(), head.time)?;
        let end = self.root.end.load(Relaxed);
        self.ring().write(end, &head, letter.name, letter.data);
        self.root.end.store(end + head.size(), Release);
        Ok(())
    }

    /// The places that are taken.
    fn readers(&self) -> impl Iterator<Item = &'z Reader> + use<'z> {
        self.root.readers.iter().filter(|reader| reader.pid.load(Relaxed) != 0)
    }

    /// The process that is this worker now: after a reload, the new one.
    fn number_of(&self, worker: i32) -> Option<u64> {
        self.readers()
            .filter(|reader| reader.worker.load(Relaxed) == worker && reader.is_alive())
            .map(|reader| reader.number.load(Relaxed))
            .max()
    }

    /// Whether `size` bytes more fit, after a look at what is still needed if they did not before.
    fn fits(&self, size: u64, look: bool) -> bool {
        let end = self.root.end.load(Relaxed);
        if look {
            let positions = self.readers().map(|reader| reader.position.load(Relaxed));
            self.root.start.store(positions.min().unwrap_or(end), Relaxed);
        }
        end - self.root.start.load(Relaxed) + size <= self.root.size
    }

    fn make_room(&mut self, size: u64, now: u64) -> Result<(), PostError> {
        if self.fits(size, false) || self.fits(size, true) {
            return Ok(());
        }
        let end = self.root.end.load(Relaxed);
        for reader in self.readers() {
            let position = reader.position.load(Relaxed);
            if position == end {
                continue;
            }
            if !reader.is_alive() {
                reader.pid.store(0, Relaxed);
            } else if now.saturating_sub(self.ring().head(position).time) > PATIENCE {
                self.pass_over(reader, end);
            }
        }
        if self.fits(size, true) { Ok(()) } else { Err(PostError::Full) }
    }

    /// What `reader` has not read is lost to it.
    fn pass_over(&mut self, reader: &Reader, end: u64) {
        let mut position = reader.position.load(Relaxed);
        let mut lost = 0;
        while position < end {
            let head = self.ring().head(position);
            lost += u64::from(reader.is_to_get(&head));
            position += head.size();
        }
        reader.lost.store(reader.lost.load(Relaxed) + lost, Relaxed);
        reader.position.store(end, Relaxed);
    }

    /// The index of a place for this process.
    fn join(&mut self, worker: i32) -> Option<usize> {
        // This process has no place yet: one with its id is that of a dead process that had the id.
        let is_own = |reader: &&Reader| reader.pid.load(Relaxed) == worker::pid();
        self.readers().filter(|reader| !reader.is_alive() || is_own(reader)).for_each(|dead| {
            dead.pid.store(0, Relaxed);
        });
        let is_free = |reader: &&Reader| reader.pid.load(Relaxed) == 0;
        let (index, free) = self.root.readers.iter().enumerate().find(|(_, at)| is_free(at))?;
        let number = self.root.joined.load(Relaxed) + 1;
        self.root.joined.store(number, Relaxed);
        free.worker.store(worker, Relaxed);
        free.number.store(number, Relaxed);
        free.position.store(self.root.end.load(Relaxed), Relaxed);
        free.lost.store(0, Relaxed);
        // Last, because from here on the place counts as taken.
        free.pid.store(worker::pid(), Release);
        Some(index)
    }

    fn next(&mut self, reader: &Reader, end: u64) -> Result<Next, OutOfMemory> {
        let lost = reader.lost.swap(0, Relaxed);
        if lost > 0 {
            return Ok(Next::Lost(lost));
        }
        let mut position = reader.position.load(Relaxed);
        while position < end {
            let head = self.ring().head(position);
            let message = match reader.is_to_get(&head) {
                true => Some(self.ring().read(position, head)?),
                false => None,
            };
            position += head.size();
            reader.position.store(position, Relaxed);
            if let Some(message) = message {
                return Ok(Next::Message(message));
            }
        }
        Ok(Next::Nothing)
    }
}

impl Drop for Locked<'_> {
    fn drop(&mut self) {
        // SAFETY: the lock is held, and the zone stays.
        unsafe { ngx_shmtx_unlock(&raw mut (*self.pool.as_ptr()).mutex) };
    }
}

impl Reader {
    fn is_alive(&self) -> bool {
        worker::is_alive(self.pid.load(Relaxed))
    }

    fn is_to_get(&self, head: &Head) -> bool {
        head.to == 0 || head.to == self.number.load(Relaxed)
    }
}

/// nginx calls this when it has the memory of a zone: makes an empty ring in it, or keeps the one
/// that is there.
///
/// # Safety
/// Only nginx may call this, as the callback that it was registered as.
#[callback(-1)]
unsafe extern "C" fn init(zone: *mut ngx_shm_zone_t, old: *mut c_void) -> ngx_int_t {
    // SAFETY: nginx passes the zone, with a slab pool at its start, which nothing else uses yet.
    unsafe {
        if !old.is_null() || (*zone).shm.exists != 0 {
            return 0;
        }
        let pool: *mut ngx_slab_pool_t = (*zone).shm.addr.cast();
        let room = (*pool).pfree * worker::page_size();
        let root: *mut Root = ngx_slab_alloc_locked(pool, room).cast();
        if root.is_null() {
            return -1;
        }
        root.write_bytes(0, 1);
        (*root).size = (room - size_of::<Root>()) as u64 / 8 * 8;
        (*pool).data = root.cast();
        0
    }
}
