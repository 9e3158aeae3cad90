//! The socket of a connection that is being made, so that an attempt can be ended.
//!
//! lapin runs each connection in a thread of its own, which nothing ends while the other side accepts connections and
//! never says a word, as a frozen broker does: every attempt would leave a thread and a socket behind.

use super::CONNECT_TIMEOUT;
use lapin::tcp::{AMQPUriTcpExt as _, AsyncTcpStream, OwnedTLSConfig, TLSConfig};
use lapin::uri::{AMQPScheme, AMQPUri};
use lapin::{Connection, ConnectionProperties};
use std::io;
use std::net::{Shutdown, TcpStream};
use std::os::fd::AsFd as _;
use std::sync::{Arc, Mutex, PoisonError};

/// Connects as far as AMQP's handshake. Dropping the future closes the socket.
pub(super) async fn connect(
    uri: &AMQPUri,
    tls: OwnedTLSConfig,
    properties: ConnectionProperties,
) -> lapin::Result<Connection> {
    let attempt = Attempt::default();
    let socket = Arc::clone(&attempt.socket);
    let runtime = lapin::runtime::default_runtime()?;
    let reactor = runtime.clone();
    let open = async move |uri: AMQPUri, _| {
        let opening = async {
            let plain = AMQPUri { scheme: AMQPScheme::AMQP, ..uri.clone() };
            let stream = plain.connect_with_config_async(TLSConfig::default(), &reactor).await?;
            if let AsyncTcpStream::Plain(stream) = &stream {
                let shared = TcpStream::from(stream.get_ref().as_fd().try_clone_to_owned()?);
                *socket.lock().unwrap_or_else(PoisonError::into_inner) = Some(shared);
            }
            match uri.scheme {
                AMQPScheme::AMQP => Ok(stream),
                AMQPScheme::AMQPS => stream.into_tls(&uri.authority.host, tls.as_ref()).await,
            }
        };
        let opened = tokio::time::timeout(CONNECT_TIMEOUT, opening).await;
        Ok(opened.unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into()))?)
    };
    let connection = Connection::connector(uri.clone(), runtime, open, properties).await?;
    attempt.succeeded();
    Ok(connection)
}

/// Shuts the socket down when it is dropped before the attempt has succeeded.
#[derive(Default)]
struct Attempt {
    socket: Arc<Mutex<Option<TcpStream>>>,
}

impl Attempt {
    /// From now on only the connection holds the socket, and so closes it.
    fn succeeded(self) {
        drop(self.take());
    }

    fn take(&self) -> Option<TcpStream> {
        self.socket.lock().unwrap_or_else(PoisonError::into_inner).take()
    }
}

impl Drop for Attempt {
    fn drop(&mut self) {
        if let Some(socket) = self.take() {
            // It may have been closed by the other side already.
            let _ = socket.shutdown(Shutdown::Both);
        }
    }
}
