//! The `lua_ssl_*` directives: TLS on cosockets.

use std::rc::Rc;

use super::location::LocationConf;
use super::main::MainConf;
use crate::lua::resty_core;
use crate::nginx::core::conf::{Conf, ConfError, ConfResult};
use crate::nginx::core::conf_value;
use crate::nginx::core::pool::OutOfMemory;
use crate::nginx::event::tls;
use crate::nginx::event::tls::{Authorities, Context, Settings, SystemStore};

/// The values; `None` if not set.
#[derive(Clone, Default, PartialEq)]
pub struct Tls {
    protocols: Option<usize>,
    pub ciphers: Option<Vec<u8>>,
    pub verify_depth: Option<usize>,
    pub trusted_certificate: Option<Vec<u8>>,
    pub crl: Option<Vec<u8>>,
    certificates: Option<Vec<Vec<u8>>>,
    certificate_keys: Option<Vec<Vec<u8>>>,
    pub key_log: Option<Vec<u8>>,
    commands: Option<Vec<(Vec<u8>, Vec<u8>)>>,
}

impl Tls {
    /// These values; those that are not set are taken from `outer`.
    pub fn over(&self, outer: &Tls) -> Tls {
        Tls {
            protocols: self.protocols.or(outer.protocols),
            ciphers: self.ciphers.clone().or_else(|| outer.ciphers.clone()),
            verify_depth: self.verify_depth.or(outer.verify_depth),
            trusted_certificate: self
                .trusted_certificate
                .clone()
                .or_else(|| outer.trusted_certificate.clone()),
            crl: self.crl.clone().or_else(|| outer.crl.clone()),
            certificates: self.certificates.clone().or_else(|| outer.certificates.clone()),
            certificate_keys: self
                .certificate_keys
                .clone()
                .or_else(|| outer.certificate_keys.clone()),
            key_log: self.key_log.clone().or_else(|| outer.key_log.clone()),
            commands: self.commands.clone().or_else(|| outer.commands.clone()),
        }
    }

    /// Makes the context for connections from a location with these values.
    pub fn make_context(&self, cf: Conf) -> Result<Rc<Context>, ConfError> {
        let authorities = match self.trusted_certificate.as_deref() {
            None | Some(b"" | b"system") => Authorities::System(MainConf::of(&cf).system_store()?),
            Some(name) => Authorities::File(name),
        };
        let settings = Settings {
            protocols: self.protocols.unwrap_or(tls::DEFAULT_PROTOCOLS as usize),
            ciphers: self.ciphers.as_deref().unwrap_or(b"DEFAULT"),
            verify_depth: self.verify_depth,
            authorities,
            crl: self.crl.as_deref().unwrap_or_default(),
            certificates: self.certificates.as_deref().unwrap_or_default(),
            certificate_keys: self.certificate_keys.as_deref().unwrap_or_default(),
            key_log: self.key_log.as_deref().unwrap_or_default(),
            commands: self.commands.as_deref().unwrap_or_default(),
        };
        let context = Rc::new(Context::new(cf, &settings)?);
        if self.protocols.is_none() {
            let made = (context.clone(), self.commands.clone().unwrap_or_default());
            MainConf::of(&cf).default_tls.borrow_mut().push(made);
        }
        Ok(context)
    }
}

impl MainConf {
    /// The system's authorities; every reload reads them anew.
    fn system_store(&self) -> Result<Rc<SystemStore>, OutOfMemory> {
        if let Some(store) = self.system_store.get() {
            return Ok(store.clone());
        }
        let store = Rc::new(SystemStore::new()?);
        Ok(self.system_store.get_or_init(|| store).clone())
    }
}

/// A context for which no directive names protocols, and the commands that it was made with.
pub type DefaultContext = (Rc<Context>, Vec<(Vec<u8>, Vec<u8>)>);

/// To be called once it is known which release is presented: gives contexts for which no directive
/// names protocols the default of that release.
pub fn set_default_protocols(cf: Conf, main: &MainConf) -> ConfResult {
    let contexts = main.default_tls.take();
    if resty_core::presented() < 10_025 {
        return Ok(());
    }
    let set = |(context, commands): &DefaultContext| {
        context.set_protocols(cf, tls::NEWER_PROTOCOLS, commands)
    };
    contexts.iter().try_for_each(set)
}

/// `lua_ssl_protocols`: adds protocols to those of earlier directives.
pub fn set_protocols(cf: Conf, location: &LocationConf) -> ConfResult {
    let mut written = location.written.borrow_mut();
    let before = written.tls.protocols.unwrap_or(0);
    written.tls.protocols = Some(conf_value::bits(cf, before, tls::PROTOCOLS)?);
    Ok(())
}

/// `lua_ssl_conf_command`: adds a command.
pub fn add_command(cf: Conf, location: &LocationConf) -> ConfResult {
    let mut written = location.written.borrow_mut();
    let command = (cf.word(1).to_vec(), cf.word(2).to_vec());
    written.tls.commands.get_or_insert_default().push(command);
    Ok(())
}

/// `lua_ssl_certificate`: adds a file.
pub fn add_certificate(cf: Conf, location: &LocationConf) -> ConfResult {
    let mut written = location.written.borrow_mut();
    written.tls.certificates.get_or_insert_default().push(cf.word(1).to_vec());
    Ok(())
}

/// `lua_ssl_certificate_key`: adds a file.
pub fn add_certificate_key(cf: Conf, location: &LocationConf) -> ConfResult {
    let mut written = location.written.borrow_mut();
    written.tls.certificate_keys.get_or_insert_default().push(cf.word(1).to_vec());
    Ok(())
}
