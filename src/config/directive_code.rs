//! Directives whose value is Lua code: where the code stands, and what it is for.

use std::rc::Rc;

use super::code::{HookCode, HookScript, Script, SetScript, SharedScript};
use super::directive::{Directive, Form, HookField};
use super::location::LocationConf;
use super::main::MainConf;
use super::phases::Phase;
use super::server::ServerConf;
use super::{block, check, installers};
use crate::lua::chunk::Chunk;
use crate::nginx::Level;
use crate::nginx::core::conf::{Conf, ConfError, ConfResult};
use crate::nginx::http::complex_value::ComplexValue;
use crate::nginx::http::script_code;

impl Directive {
    /// Sets a location's code of `phase` to what `read` reads: none, where that is empty.
    pub(super) fn set_code(
        cf: Conf,
        location: &LocationConf,
        phase: Phase,
        read: impl FnOnce() -> Result<Option<Script>, ConfError>,
    ) -> ConfResult {
        if location.written.borrow().scripts.get(phase).is_some() {
            return Err(ConfError::Directive(c"is duplicate"));
        }
        if let Some(script) = read()? {
            location.written.borrow_mut().scripts.set(phase, SharedScript::new(script));
            MainConf::of(&cf).uses(phase);
            if phase == Phase::Content {
                installers::run(cf, |installers| installers.content);
            }
        }
        Ok(())
    }

    pub(super) fn set_hook(
        &self,
        cf: Conf,
        main: &MainConf,
        form: Form,
        field: HookField,
    ) -> ConfResult {
        if field(&mut main.written.borrow_mut()).is_some() {
            return Err(ConfError::Directive(c"is duplicate"));
        }
        let line = cf.line();
        let code = self.read_code(cf, form)?;
        let name = self.name.to_str().unwrap_or_default();
        let name = name.strip_suffix("_block").unwrap_or(name);
        if code.is_empty() && name.starts_with("init_by") {
            return Err(no_code(cf));
        }
        let code = if form == Form::File {
            let path = cf.full_name(&code, false)?.as_bytes().to_vec();
            if !name.starts_with("init_by") {
                check::note_file(cf, line, &path);
            }
            HookCode::File(path)
        } else if name.starts_with("init_by") {
            HookCode::Inline(Chunk::new(&code, &self.chunk_name(cf, line)))
        } else {
            HookCode::Inline(self.chunk(cf, &code, line))
        };
        *field(&mut main.written.borrow_mut()) = Some(Rc::new(HookScript { name, code }));
        Ok(())
    }

    /// `set_by_lua* $variable CODE ARGUMENT…`: the code is the second word, or the block.
    pub(super) fn set_variable(&self, cf: Conf, form: Form) -> ConfResult {
        let line = cf.line();
        let target = cf.word(1).to_vec();
        let (code, first) = match form {
            Form::Block => (block::read(cf)?, 2),
            Form::Inline | Form::File => (cf.word(2).to_vec(), 3),
        };
        let script = self.script(cf, form, &code, line)?;
        let arguments: Result<Vec<_>, _> = (first..cf.words().len())
            .map(|index| ComplexValue::compile(cf, cf.word(index)))
            .collect();
        MainConf::of(&cf).uses(Phase::Set);
        script_code::set_variable(cf, &target, SetScript { script, arguments: arguments? })
    }

    /// Sets the code of an `upstream` block; the path of a file cannot have variables.
    pub(super) fn set_balancer(&self, cf: Conf, server: &ServerConf, form: Form) -> ConfResult {
        if server.balancer.get().is_some() {
            return Err(ConfError::Directive(c"is duplicate"));
        }
        let line = cf.line();
        let script = match self.read_fixed_script(cf, form)? {
            Some(script) => script,
            // It runs, and leaves the choice to nginx.
            None if form == Form::Block => Script::Inline(self.chunk(cf, b"", line)),
            None => return Err(no_code(cf)),
        };
        MainConf::of(&cf).uses(Phase::Balancer);
        let _ = server.balancer.set(script);
        installers::run(cf, |installers| installers.balancer);
        Ok(())
    }

    /// Sets the code of a server's TLS handshakes; empty code means none.
    pub(super) fn set_tls(
        &self,
        cf: Conf,
        server: &ServerConf,
        form: Form,
        phase: Phase,
    ) -> ConfResult {
        if server.script(phase).is_some() {
            return Err(ConfError::Directive(c"is duplicate"));
        }
        let script = self.read_fixed_script(cf, form)?;
        let script = script.map(|script| match script {
            // Without a place, before release 0.10.25.
            Script::Inline(chunk) if phase == Phase::SslClientHello => {
                Script::Inline(chunk.formerly(10_025, b"=ssl_client_hello_by_lua"))
            }
            script => script,
        });
        if let Some(script) = script {
            server.set_script(phase, SharedScript::new(script));
            MainConf::of(&cf).uses(phase);
        }
        Ok(())
    }

    /// The directive's code, with a path without variables; `None` if it is empty.
    pub(super) fn read_fixed_script(
        &self,
        cf: Conf,
        form: Form,
    ) -> Result<Option<Script>, ConfError> {
        let line = cf.line();
        let code = self.read_code(cf, form)?;
        if code.is_empty() {
            return Ok(None);
        }
        if form == Form::File {
            let path = cf.full_name(&code, false)?;
            check::note_file(cf, line, path.as_bytes());
            return Ok(Some(Script::fixed_file(path.as_bytes(), &code)));
        }
        Ok(Some(Script::Inline(self.chunk(cf, &code, line))))
    }

    /// The directive's code, from its argument or its block.
    pub(super) fn read_script(&self, cf: Conf, form: Form) -> Result<Script, ConfError> {
        let line = cf.line();
        let code = self.read_code(cf, form)?;
        if code.is_empty() {
            return Err(no_code(cf));
        }
        self.script(cf, form, &code, line)
    }

    /// The script in `code`, or in the file whose path `code` is, which may have variables.
    fn script(&self, cf: Conf, form: Form, code: &[u8], line: usize) -> Result<Script, ConfError> {
        if form != Form::File {
            return Ok(Script::Inline(self.chunk(cf, code, line)));
        }
        let path = ComplexValue::compile(cf, code)?;
        if path.is_constant() {
            check::note_file(cf, line, cf.full_name(code, false)?.as_bytes());
        }
        Ok(Script::file(path, code))
    }

    /// The inline code of the directive at `line`.
    fn chunk(&self, cf: Conf, code: &[u8], line: usize) -> Chunk {
        let name = self.chunk_name(cf, line);
        check::note_code(cf, line, code, &name);
        Chunk::new(code, &name)
    }

    fn read_code(&self, cf: Conf, form: Form) -> Result<Vec<u8>, ConfError> {
        match form {
            Form::Block => block::read(cf),
            Form::Inline | Form::File => Ok(cf.word(1).to_vec()),
        }
    }

    /// What Lua calls inline code of the directive at `line`: `=content_by_lua(nginx.conf:42)`.
    fn chunk_name(&self, cf: Conf, line: usize) -> Vec<u8> {
        let name = self.name.to_str().unwrap_or_default();
        let tag = name.strip_suffix("_block").unwrap_or(name);
        codec::chunk_name::inline(tag, cf.file_name(), cf.prefix(), line)
    }
}

fn no_code(cf: Conf) -> ConfError {
    cf.log(Level::Err, b"invalid location config: no runnable Lua code");
    ConfError::Logged
}
