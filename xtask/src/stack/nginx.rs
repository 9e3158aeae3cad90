//! A private nginx with the configuration of `nginx/`, the one that docker uses too, and a certificate of its own.

use std::{
    fs,
    path::{Path, PathBuf},
    time::Duration,
};

use anyhow::{Context, Result, bail, ensure};
use rustix::process::Signal;
use serde::{Deserialize, Serialize};

use super::{
    StackFolder,
    account::is_root,
    certificate::{self, Certificate},
    packages, ports,
    process::{Process, Program, peak_memory},
};
use crate::workspace;

const START_LIMIT: Duration = Duration::from_secs(30);

/// What differs between one nginx and another.
#[derive(Debug, Clone)]
pub struct NginxOptions {
    /// `host:port` of each receiver's public listener.
    pub receivers: Vec<String>,
    /// The file with `allow` and `deny` lines for Garmin's POSTs.
    pub garmin_allow: PathBuf,
}

impl NginxOptions {
    /// In front of this receiver, with the allow-list of `nginx/garmin-allow.conf`, which lets everyone in.
    pub fn for_receiver(receiver: impl Into<String>) -> Self {
        Self::for_receivers([receiver.into()])
    }

    /// In front of several receivers; what one cannot take goes to another.
    pub fn for_receivers(receivers: impl IntoIterator<Item = String>) -> Self {
        let garmin_allow = workspace::root().join("nginx/garmin-allow.conf");
        Self { receivers: receivers.into_iter().collect(), garmin_allow }
    }
}

/// Where a private nginx listens, and whom to trust when calling it.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct NginxAddress {
    /// Plain HTTP on 127.0.0.1.
    pub http_port: u16,
    /// TLS on 127.0.0.1; the certificate is for `localhost` and `127.0.0.1`.
    pub https_port: u16,
    /// PEM file with the authority that signed the certificate.
    pub certificate_authority: PathBuf,
}

impl NginxAddress {
    /// `https://localhost:PORT`, without a slash behind.
    #[must_use]
    pub fn url(&self) -> String {
        format!("https://localhost:{}", self.https_port)
    }
}

/// A running private nginx.
pub struct Nginx {
    /// Where it listens.
    pub address: NginxAddress,
    home: PathBuf,
    process: Process,
}

impl Nginx {
    /// Starts it on free ports. The receiver need not be there yet.
    ///
    /// # Errors
    /// The certificate cannot be made, or nginx does not start; the end of its log is in the error.
    pub fn start(stack: &StackFolder, options: &NginxOptions) -> Result<Self> {
        let home = stack.subfolder("nginx")?;
        let certificate = certificate::make(stack, &home)?;
        let (address, process) = ports::retry_with_new_ports(|| {
            let [http_port, https_port] = ports::free()?;
            let address =
                NginxAddress { http_port, https_port, certificate_authority: certificate.authority.clone() };
            configure(&home, &address, &certificate, options)?;
            let process = launch(stack, &home)?;
            Ok((address, process))
        })?;
        stack.update(|state| {
            state.urls.insert("nginx".to_owned(), address.url());
            state.nginx = Some(address.clone());
        })?;
        Ok(Self { address, home, process })
    }

    /// The access log: JSON, one request a line.
    #[must_use]
    pub fn access_log(&self) -> PathBuf {
        access_log(&self.home)
    }

    /// Has it read its configuration, certificate and allow-list again.
    pub fn reload(&self) {
        self.process.signal(Signal::HUP);
    }

    /// Stops it.
    ///
    /// # Errors
    /// The system cannot say how it ended.
    pub fn stop(&mut self) -> Result<()> {
        self.process.stop().map(drop)
    }

    /// The process ids of its workers, those included that only finish what they began before a reload.
    #[must_use]
    pub fn workers(&self) -> Vec<u32> {
        let master = self.process.pid();
        let children =
            fs::read_to_string(format!("/proc/{master}/task/{master}/children")).unwrap_or_default();
        children.split_whitespace().filter_map(|pid| pid.parse().ok()).collect()
    }

    /// The most memory that each of its processes has had resident so far, added up, in bytes; `None` once it has ended.
    #[must_use]
    pub fn peak_memory(&self) -> Option<u64> {
        [self.process.pid()].into_iter().chain(self.workers()).map(peak_memory).sum()
    }

    /// The last lines of what it printed.
    #[must_use]
    pub fn log_tail(&self) -> String {
        self.process.log_tail()
    }
}

fn access_log(home: &Path) -> PathBuf {
    home.join("access.log")
}

fn configure(
    home: &Path,
    address: &NginxAddress,
    certificate: &Certificate,
    options: &NginxOptions,
) -> Result<()> {
    let template = workspace::root().join("nginx/templates/apollo.conf.template");
    let template =
        fs::read_to_string(&template).with_context(|| format!("cannot read {}", template.display()))?;
    let path = |path: &Path| plain(&path.display().to_string());
    let site = fill_in(
        &template,
        &[
            ("APOLLO_LISTEN_ADDRESS", "127.0.0.1".to_owned()),
            ("APOLLO_HTTP_PORT", address.http_port.to_string()),
            ("APOLLO_HTTPS_PORT", address.https_port.to_string()),
            ("APOLLO_SERVER_NAME", "localhost".to_owned()),
            ("APOLLO_RECEIVERS", servers(&options.receivers)?),
            ("APOLLO_TLS_CERTIFICATE", path(&certificate.certificate)?),
            ("APOLLO_TLS_KEY", path(&certificate.key)?),
            ("APOLLO_GARMIN_ALLOW", path(&options.garmin_allow)?),
            ("APOLLO_ACCESS_LOG", path(&access_log(home))?),
        ],
    )?;
    fs::write(home.join("apollo.conf"), site)?;
    fs::write(home.join("nginx.conf"), surroundings())?;
    Ok(())
}

/// The lines of the upstream, but for the end of the last, which is the template's.
fn servers(receivers: &[String]) -> Result<String> {
    let servers = receivers.iter().map(|receiver| Ok(format!("server {} max_fails=0", plain(receiver)?)));
    Ok(servers.collect::<Result<Vec<_>>>()?.join("; "))
}

/// `value`, if nginx takes it for one word.
fn plain(value: &str) -> Result<String> {
    if value.contains(|character: char| character.is_whitespace() || "\"';{}$\\".contains(character)) {
        bail!("nginx cannot have {value:?} in its configuration: move the checkout to a plainer path");
    }
    Ok(value.to_owned())
}

/// Puts values in the place of `${NAME}`. Names that are not ours stay as they are, as with envsubst in the image.
fn fill_in(template: &str, values: &[(&str, String)]) -> Result<String> {
    let mut filled = template.to_owned();
    for (name, value) in values {
        filled = filled.replace(&format!("${{{name}}}"), value);
    }
    let missing = filled.split("${APOLLO_").nth(1);
    ensure!(missing.is_none(), "the nginx template has a variable that nobody sets: {missing:?}");
    Ok(filled)
}

/// What the official image has around the site: here without a file outside the stack's folder.
fn surroundings() -> String {
    // Workers of a master that is root would be `nobody` and could not enter a checkout in root's home.
    let user = if is_root() { "user root;\n" } else { "" };
    format!(
        "{user}worker_processes 2;\n\
         pid nginx.pid;\n\
         error_log stderr crit;\n\
         events {{ worker_connections 4096; }}\n\
         http {{\n\
         \x20   client_body_temp_path body;\n\
         \x20   proxy_temp_path proxy;\n\
         \x20   fastcgi_temp_path fastcgi;\n\
         \x20   uwsgi_temp_path uwsgi;\n\
         \x20   scgi_temp_path scgi;\n\
         \x20   include apollo.conf;\n\
         }}\n"
    )
}

fn launch(stack: &StackFolder, home: &Path) -> Result<Process> {
    let pid_file = home.join("nginx.pid");
    let prefix = format!("{}/", home.display());
    let program = Program::new("nginx", packages::find("nginx")?)
        .args(["-p", &prefix, "-c", "nginx.conf", "-e", "stderr", "-g", "daemon off;"])
        .folder(home);
    let mut process = Process::start(stack, program)?;
    // It writes the file once it listens; a connection would not tell our nginx from another run's on the same port.
    process.wait_ready(START_LIMIT, |process| {
        Ok(fs::read_to_string(&pid_file).is_ok_and(|pid| pid.trim() == process.pid().to_string()))
    })?;
    Ok(process)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_our_names_are_filled_in() {
        let values = [("APOLLO_SERVER_NAME", "localhost".to_owned())];
        let filled = fill_in("name ${APOLLO_SERVER_NAME}; $host ${host} $status", &values).unwrap();
        assert_eq!(filled, "name localhost; $host ${host} $status");
    }

    #[test]
    fn a_name_without_a_value_is_an_error() {
        assert!(fill_in("listen ${APOLLO_HTTP_PORT};", &[]).is_err());
    }

    #[test]
    fn a_value_that_would_end_the_directive_is_an_error() {
        assert!(plain("/a b").is_err());
        assert!(plain("/a;b").is_err());
        assert!(servers(&["a:1; server b:2".to_owned()]).is_err());
    }

    #[test]
    fn several_receivers_are_several_servers() {
        let receivers = ["a:1".to_owned(), "b:2".to_owned()];
        assert_eq!(servers(&receivers).unwrap(), "server a:1 max_fails=0; server b:2 max_fails=0");
    }
}
