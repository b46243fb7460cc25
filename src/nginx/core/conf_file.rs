//! The file that nginx's parser reads, for directives whose blocks the parser cannot read itself.

use crate::nginx::core::conf::{Conf, ConfError};
use crate::nginx::core::strings;
use crate::nginx::sys::{file_size, ngx_buf_t, ngx_conf_file_t, ngx_read_file};

/// The file that the parser reads, at its current position.
pub struct ConfFile {
    conf: Conf,
    /// The last bytes that were handed out, so that some can be given back.
    handed_out: Vec<u8>,
}

/// The file behind the parser; nothing for `-g` parameters.
pub fn conf_file(conf: Conf) -> Option<ConfFile> {
    // SAFETY: conf_file is null or live while the parser runs.
    let file = unsafe { conf.get().conf_file.as_ref() }?;
    (file.file.fd >= 0).then(|| ConfFile { conf, handed_out: Vec::new() })
}

impl ConfFile {
    fn file(&mut self) -> &mut ngx_conf_file_t {
        // SAFETY: `conf_file` has checked that it is not null; the parser is waiting for this
        // directive, so nothing else uses it now.
        unsafe { &mut *self.conf.get().conf_file }
    }

    fn buffer(&mut self) -> &mut ngx_buf_t {
        // SAFETY: an open configuration file always has its buffer.
        unsafe { &mut *self.file().buffer }
    }

    pub fn line(&mut self) -> usize {
        self.file().line
    }

    pub fn set_line(&mut self, line: usize) {
        self.file().line = line;
    }

    /// The bytes that nginx has read and its parser has not used yet.
    pub fn buffered(&mut self) -> &[u8] {
        let buffer = self.buffer();
        // SAFETY: pos..last lies within the parser's buffer.
        unsafe { strings::raw(buffer.pos, buffer.last.offset_from(buffer.pos).max(0) as usize) }
    }

    /// Consumes those bytes.
    pub fn take_buffered(&mut self) -> Vec<u8> {
        let bytes = self.buffered().to_vec();
        self.buffer().pos = self.buffer().last;
        self.remember(&bytes);
        bytes
    }

    fn remember(&mut self, bytes: &[u8]) {
        /// The lexer never gives back more than two of nginx's buffers.
        const KEPT: usize = 2 * 4096;
        self.handed_out.extend_from_slice(bytes);
        let excess = self.handed_out.len().saturating_sub(KEPT);
        self.handed_out.drain(..excess);
    }

    /// Reads the next piece of the file, and records it for `nginx -T`; `None` at the end.
    pub fn read_more(&mut self) -> Result<Option<Vec<u8>>, ConfError> {
        // SAFETY: nginx's parser reads its file in the same way, into the same buffer; it is
        // waiting for this directive, so nothing else uses either.
        let bytes = unsafe {
            let file = &mut *self.conf.get().conf_file;
            let buffer = &mut *file.buffer;
            let room = buffer.end.offset_from(buffer.start).max(0) as usize;
            let left = (file_size(&file.file) - file.file.offset).max(0) as usize;
            let want = room.min(left);
            if want == 0 {
                return Ok(None);
            }
            let offset = file.file.offset;
            let n = ngx_read_file(&mut file.file, buffer.start, want, offset);
            if n < 0 {
                return Err(ConfError::Logged);
            }
            if n as usize != want {
                let text = format!("read() returned only {n} bytes instead of {want}");
                return Err(self.conf.refuse(text.as_bytes()));
            }
            buffer.pos = buffer.start.add(want);
            buffer.last = buffer.pos;
            let bytes = strings::raw(buffer.start, want).to_vec();
            if let Some(dump) = file.dump.as_mut() {
                let room = dump.end.offset_from(dump.last).max(0) as usize;
                let len = room.min(want);
                std::ptr::copy_nonoverlapping(bytes.as_ptr(), dump.last, len);
                dump.last = dump.last.add(len);
            }
            bytes
        };
        self.remember(&bytes);
        Ok(Some(bytes))
    }

    /// Gives the last `count` bytes back to nginx's parser.
    pub fn unread(&mut self, count: usize) -> Result<(), ConfError> {
        let conf = self.conf;
        let too_long = || conf.refuse(b"too long line after a lua code block");
        let from = self.handed_out.len().checked_sub(count).ok_or_else(too_long)?;
        let tail = self.handed_out.get(from..).unwrap_or_default().to_vec();
        let buffer = self.buffer();
        // SAFETY: the bytes are copied into the parser's buffer after their length is checked.
        unsafe {
            let room = buffer.end.offset_from(buffer.start).max(0) as usize;
            if tail.len() > room {
                return Err(too_long());
            }
            // If they are still at the end of the buffer, they stay there: nginx relies on it.
            let read = buffer.last.offset_from(buffer.start).max(0) as usize;
            if count <= read {
                buffer.pos = buffer.last.sub(count);
                return Ok(());
            }
            std::ptr::copy_nonoverlapping(tail.as_ptr(), buffer.start, tail.len());
            buffer.pos = buffer.start;
            buffer.last = buffer.start.add(tail.len());
        }
        Ok(())
    }
}
