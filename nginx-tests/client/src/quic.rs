//! HTTP/3.

use std::future::poll_fn;
use std::net::{Ipv4Addr, SocketAddr};
use std::pin::pin;
use std::sync::Arc;

use anyhow::{Context, Result};
use bytes::{Buf, Bytes};
use futures_util::StreamExt;
use h3::client::{RequestStream, SendRequest};
use h3::error::Code;
use h3_quinn::{OpenStreams, RecvStream, SendStream};
use http::Response;
use quinn::crypto::rustls::QuicClientConfig;
use quinn::{ClientConfig, Endpoint, TransportConfig};
use rustls::pki_types::CertificateDer;
use tokio::sync::oneshot;

use crate::exchange;
use crate::script::{Request, Script};
use crate::tls;

/// A connection.
pub struct Connection {
    endpoint: Endpoint,
    quic: quinn::Connection,
    sender: SendRequest<OpenStreams, Bytes>,
}

impl Connection {
    /// Connects as `script` says.
    pub async fn open(script: &Script) -> Result<Connection> {
        let crypto = QuicClientConfig::try_from(tls::settings(script.protocol)?)?;
        let mut settings = ClientConfig::new(Arc::new(crypto));
        let mut transport = TransportConfig::default();
        if let Some(window) = script.window {
            transport.stream_receive_window(window.into());
        }
        settings.transport_config(Arc::new(transport));
        let endpoint = Endpoint::client(SocketAddr::from((Ipv4Addr::LOCALHOST, 0)))?;
        let quic = endpoint.connect_with(settings, script.address, &script.name)?;
        let quic = tokio::time::timeout(script.patience(), quic).await;
        let quic = quic.context("no handshake in time")?.context("handshake")?;
        let http = h3_quinn::Connection::new(quic.clone());
        // A frame of an unknown type after the body is not an error, but nginx takes it for one.
        let mut builder = h3::client::builder();
        let (mut driver, sender) = builder.send_grease(false).build(http).await?;
        tokio::spawn(async move { poll_fn(|cx| driver.poll_close(cx)).await });
        Ok(Connection { endpoint, quic, sender })
    }

    /// The server's certificate.
    pub fn certificate(&self) -> Option<String> {
        let identity = self.quic.peer_identity()?;
        tls::certificate(identity.downcast_ref::<Vec<CertificateDer>>().map(Vec::as_slice))
    }

    /// Closes the connection, and tells the server.
    pub async fn close(self) {
        self.quic.close(0x100u32.into(), b"");
        self.endpoint.wait_idle().await;
    }
}

impl exchange::Connection for Connection {
    type Exchange = Exchange;

    async fn send(&self, script: &Script, request: &Request) -> Result<Exchange> {
        let stream = self.sender.clone().send_request(script.header(request)?).await?;
        let (sending, receiving) = stream.split();
        let (stop, stopped) = oneshot::channel();
        tokio::spawn(send_body(sending, exchange::body(request), stopped));
        Ok(Exchange { receiving, stop })
    }
}

/// Sends the body; resets the stream if told so before.
async fn send_body(
    mut stream: RequestStream<SendStream<Bytes>, Bytes>,
    body: impl futures_util::Stream<Item = Bytes>,
    stopped: oneshot::Receiver<()>,
) {
    let send = async {
        let mut body = pin!(body);
        while let Some(piece) = body.next().await {
            stream.send_data(piece).await?;
        }
        stream.finish().await
    };
    // A body that the server does not take shows in its response.
    let is_stopped = tokio::select! {
        _ = send => false,
        told = stopped => told.is_ok(),
    };
    if is_stopped {
        stream.stop_stream(Code::H3_REQUEST_CANCELLED);
    }
}

/// A request under way.
pub struct Exchange {
    receiving: RequestStream<RecvStream, Bytes>,
    /// Stops the sending of the body.
    stop: oneshot::Sender<()>,
}

impl exchange::Exchange for Exchange {
    async fn header(&mut self) -> Result<Response<()>> {
        Ok(self.receiving.recv_response().await?)
    }

    async fn data(&mut self) -> Result<Option<Bytes>> {
        let data = self.receiving.recv_data().await?;
        Ok(data.map(|mut data| data.copy_to_bytes(data.remaining())))
    }

    fn reset(self) {
        // A response that is dropped is cancelled. The body may have been sent.
        let _ = self.stop.send(());
    }
}
