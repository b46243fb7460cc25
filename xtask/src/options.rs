//! The options that several commands share, and one way to refuse the rest.

use anyhow::{Result, bail};

/// Which nginx the module is built for and run on.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum NginxChoice {
    /// Debian's packages `nginx` and `nginx-dev`, or the tree that NGINX_SOURCE_DIR and
    /// NGINX_BUILD_DIR name.
    #[default]
    Installed,
    /// The source that the crate `nginx-src` carries, built under `target/`.
    Vendored,
    /// The same source with none of nginx's optional parts: no TLS, no threads.
    Minimal,
}

/// What to build.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Options {
    pub release: bool,
    pub nginx: NginxChoice,
    /// Flags that only the command itself knows, as given.
    pub flags: Vec<String>,
    /// Everything that is not an option.
    pub files: Vec<String>,
}

impl Options {
    /// Parses a command's arguments; `own_flags` are the further flags that it takes.
    ///
    /// Errors: an option that is not known, or one without the value that it needs.
    pub fn parse(arguments: &[String], own_flags: &[&str]) -> Result<Self> {
        let mut options = Self::default();
        let mut rest = arguments.iter();
        while let Some(argument) = rest.next() {
            match argument.as_str() {
                "--release" => options.release = true,
                "--nginx" => options.nginx = nginx_choice(rest.next().map(String::as_str))?,
                flag if own_flags.contains(&flag) => options.flags.push(flag.to_string()),
                option if option.starts_with('-') => bail!("unknown option \"{option}\""),
                file => options.files.push(file.to_string()),
            }
        }
        Ok(options)
    }

    /// A debug build for Debian's nginx, and these files.
    pub fn of_files(files: &[&str]) -> Self {
        Self { files: files.iter().map(|file| file.to_string()).collect(), ..Self::default() }
    }

    /// Refuses file arguments, for commands that take none.
    pub fn no_files(self) -> Result<Self> {
        match self.files.first() {
            Some(file) => bail!("unexpected argument \"{file}\""),
            None => Ok(self),
        }
    }

    /// Whether the command's own flag `flag` was given.
    pub fn has(&self, flag: &str) -> bool {
        self.flags.iter().any(|given| given == flag)
    }
}

fn nginx_choice(value: Option<&str>) -> Result<NginxChoice> {
    match value {
        Some("debian") => Ok(NginxChoice::Installed),
        Some("vendored") => Ok(NginxChoice::Vendored),
        Some("minimal") => Ok(NginxChoice::Minimal),
        Some(other) => bail!("--nginx takes debian, vendored or minimal, not \"{other}\""),
        None => bail!("--nginx needs a value: debian, vendored or minimal"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(arguments: &[&str], own: &[&str]) -> Result<Options> {
        Options::parse(&arguments.iter().map(|a| a.to_string()).collect::<Vec<_>>(), own)
    }

    #[test]
    fn everything_at_once() {
        let options = parse(&["--release", "t/a.t", "--nginx", "vendored", "--once"], &["--once"]);
        let options = options.unwrap();
        assert!(options.release && options.has("--once") && !options.has("--twice"));
        assert_eq!(options.nginx, NginxChoice::Vendored);
        assert_eq!(options.files, ["t/a.t"]);
    }

    #[test]
    fn refusals_name_the_argument() {
        for (arguments, wanted) in [
            (&["--relase"][..], "unknown option \"--relase\""),
            (&["--once"][..], "unknown option \"--once\""),
            (&["--nginx"][..], "--nginx needs a value"),
            (&["--nginx", "freenginx"][..], "not \"freenginx\""),
        ] {
            assert!(format!("{:#}", parse(arguments, &[]).unwrap_err()).contains(wanted));
        }
        let error = parse(&["file"], &[]).unwrap().no_files().unwrap_err();
        assert_eq!(format!("{error}"), "unexpected argument \"file\"");
    }
}
