//! HTTP/1.1 and HTTP/2, with TLS or without.

use std::convert::Infallible;

use anyhow::{Context, Result};
use bytes::Bytes;
use futures_util::StreamExt;
use http::Response;
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt, Empty, StreamBody};
use hyper::body::{Frame, Incoming};
use hyper::client::conn::{http1, http2};
use hyper_util::rt::{TokioExecutor, TokioIo};
use std::future::Future;
use std::pin::Pin;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpSocket;
use tokio::sync::Mutex;

use crate::exchange;
use crate::script::{Protocol, Request, Script};
use crate::tls;

type Body = UnsyncBoxBody<Bytes, Infallible>;

/// The bytes below HTTP.
trait Transport: AsyncRead + AsyncWrite + Send + Unpin {}
impl<T: AsyncRead + AsyncWrite + Send + Unpin> Transport for T {}

enum Sender {
    H1(Mutex<http1::SendRequest<Body>>),
    H2(http2::SendRequest<Body>),
}

/// A connection.
pub struct Connection {
    sender: Sender,
    /// The server's certificate.
    pub certificate: Option<String>,
}

impl Connection {
    /// Connects as `script` says.
    pub async fn open(script: &Script) -> Result<Connection> {
        let socket = TcpSocket::new_v4()?;
        if let Some(window) = script.window {
            socket.set_recv_buffer_size(window)?;
        }
        let stream = socket.connect(script.address).await.context("connect")?;
        stream.set_nodelay(true)?;
        if !script.tls {
            return Self::over(script, Box::new(stream), None).await;
        }
        let stream = tls::connect(script, stream).await.context("handshake")?;
        let certificate = tls::certificate(stream.get_ref().1.peer_certificates());
        Self::over(script, Box::new(stream), certificate).await
    }

    async fn over(
        script: &Script,
        transport: Box<dyn Transport>,
        certificate: Option<String>,
    ) -> Result<Connection> {
        let io = TokioIo::new(transport);
        let sender = if script.protocol == Protocol::H1 {
            let (sender, driver) = http1::handshake(io).await?;
            tokio::spawn(driver);
            Sender::H1(Mutex::new(sender))
        } else {
            let mut builder = http2::Builder::new(TokioExecutor::new());
            builder.initial_stream_window_size(script.window);
            let (sender, driver) = builder.handshake(io).await?;
            tokio::spawn(driver);
            Sender::H2(sender)
        };
        Ok(Connection { sender, certificate })
    }
}

impl exchange::Connection for Connection {
    type Exchange = Exchange;

    async fn send(&self, script: &Script, request: &Request) -> Result<Exchange> {
        let header = script.header(request)?;
        let body = match request.body.is_empty() {
            true => Empty::new().boxed_unsync(),
            false => StreamBody::new(exchange::body(request).map(|piece| Ok(Frame::data(piece))))
                .boxed_unsync(),
        };
        let message = header.map(|()| body);
        Ok(match &self.sender {
            Sender::H1(sender) => {
                let mut sender = sender.lock().await;
                sender.ready().await?;
                Exchange::Sent(Box::pin(sender.send_request(message)))
            }
            Sender::H2(sender) => {
                let mut sender = sender.clone();
                sender.ready().await?;
                Exchange::Sent(Box::pin(sender.send_request(message)))
            }
        })
    }
}

/// A request under way: hyper resets its stream once it is dropped.
pub enum Exchange {
    Sent(Pin<Box<dyn Future<Output = hyper::Result<Response<Incoming>>>>>),
    Receiving(Incoming),
}

impl exchange::Exchange for Exchange {
    async fn header(&mut self) -> Result<Response<()>> {
        let Exchange::Sent(response) = self else { anyhow::bail!("the header has come") };
        let (header, body) = response.await?.into_parts();
        *self = Exchange::Receiving(body);
        Ok(Response::from_parts(header, ()))
    }

    async fn data(&mut self) -> Result<Option<Bytes>> {
        let Exchange::Receiving(body) = self else { anyhow::bail!("the header has not come") };
        while let Some(frame) = body.frame().await {
            if let Ok(data) = frame?.into_data() {
                return Ok(Some(data));
            }
        }
        Ok(None)
    }

    fn reset(self) {}
}
