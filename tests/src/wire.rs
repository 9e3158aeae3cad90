//! Bytes on a connection, as no HTTP client would send them.

use crate::Result;
use std::future::pending;
use std::io;
use std::sync::Arc;
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _, ReadHalf, WriteHalf, split};
use tokio::net::TcpStream;
use tokio::time::{sleep, timeout};
use tokio_rustls::TlsConnector;
use tokio_rustls::rustls::crypto::aws_lc_rs;
use tokio_rustls::rustls::pki_types::pem::PemObject as _;
use tokio_rustls::rustls::pki_types::{CertificateDer, ServerName};
use tokio_rustls::rustls::{ClientConfig, RootCertStore};
use xtask::stack::NginxAddress;

/// After this time a server that has neither answered nor closed the connection never will.
const PATIENCE: Duration = Duration::from_secs(90);

/// A listener that is spoken to.
#[derive(Clone)]
pub struct Place {
    address: String,
    tls: Option<TlsConnector>,
}

/// A connection, encrypted or not.
pub trait Duplex: AsyncRead + AsyncWrite + Send + Unpin {}

impl<T: AsyncRead + AsyncWrite + Send + Unpin> Duplex for T {}

/// How the bytes are sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Pace {
    /// All at once; then nothing more comes.
    AtOnce,
    /// All at once; then one byte a second, as long as the server takes it.
    Dripping,
    /// All at once; then the server is told that nothing more comes.
    Ending,
}

impl Place {
    /// A listener without TLS, at `host:port`.
    #[must_use]
    pub fn plain(address: String) -> Self {
        Self { address, tls: None }
    }

    /// nginx' TLS listener.
    ///
    /// # Errors
    /// Its authority's certificate cannot be read.
    pub fn nginx(nginx: &NginxAddress) -> Result<Self> {
        let mut roots = RootCertStore::empty();
        roots.add(CertificateDer::from_pem_file(&nginx.certificate_authority)?)?;
        let config = ClientConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
            .with_safe_default_protocol_versions()?
            .with_root_certificates(roots)
            .with_no_client_auth();
        let tls = Some(TlsConnector::from(Arc::new(config)));
        Ok(Self { address: format!("127.0.0.1:{}", nginx.https_port), tls })
    }

    /// A new connection.
    ///
    /// # Errors
    /// There is none to be had.
    pub async fn connect(&self) -> io::Result<Box<dyn Duplex>> {
        let stream = TcpStream::connect(&self.address).await?;
        stream.set_nodelay(true)?;
        let Some(tls) = &self.tls else { return Ok(Box::new(stream)) };
        let name = ServerName::try_from("localhost").map_err(io::Error::other)?;
        Ok(Box::new(tls.connect(name, stream).await?))
    }

    /// Sends `bytes` over a connection of their own; returns all that comes back until the server closes it.
    ///
    /// # Errors
    /// No connection, or it stays open for longer than any limit that there is.
    pub async fn exchange(&self, bytes: &[u8], pace: Pace) -> Result<Vec<u8>> {
        let (reader, writer) = split(self.connect().await?);
        let mut answer = Vec::new();
        let talk = async {
            tokio::select! {
                () = read(reader, &mut answer) => {}
                () = write(writer, bytes, pace) => {}
            }
        };
        timeout(PATIENCE, talk).await.map_err(|_| format!("{} neither answers nor closes", self.address))?;
        Ok(answer)
    }
}

/// Reads to the end. A reset after an answer is an end too: bytes of ours were left unread.
async fn read(mut reader: ReadHalf<Box<dyn Duplex>>, answer: &mut Vec<u8>) {
    let _ = reader.read_to_end(answer).await;
}

/// Writes as long as the server takes it, and never ends: what matters is what comes back.
async fn write(mut writer: WriteHalf<Box<dyn Duplex>>, bytes: &[u8], pace: Pace) {
    let mut open = writer.write_all(bytes).await.is_ok() && writer.flush().await.is_ok();
    while open && pace == Pace::Dripping {
        sleep(Duration::from_secs(1)).await;
        open = writer.write_all(b"a").await.is_ok() && writer.flush().await.is_ok();
    }
    if pace == Pace::Ending {
        let _ = writer.shutdown().await;
    }
    pending().await
}

/// The statuses of all answers in what came back, one after the other; what there is instead if there is none.
#[must_use]
pub fn statuses(answer: &[u8]) -> String {
    let text = String::from_utf8_lossy(answer).replace("HTTP/1.0 ", "HTTP/1.1 ");
    let statuses: Vec<&str> =
        text.split("HTTP/1.1 ").skip(1).filter_map(|rest| rest.split_whitespace().next()).collect();
    match statuses.as_slice() {
        [] if answer.is_empty() => "closed".to_owned(),
        [] => "a body without a head".to_owned(),
        statuses => statuses.join(" "),
    }
}
