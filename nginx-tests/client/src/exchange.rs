//! One request and its response, whatever carries them.

use std::io::Read;
use std::sync::LazyLock;
use std::time::Duration;

use anyhow::{Result, anyhow};
use bytes::Bytes;
use futures_util::{StreamExt, stream};
use http::Response;
use serde::Serialize;
use tokio::sync::watch;
use tokio::time::{sleep, timeout};

use crate::script::{Request, Script, Stop};

/// A connection on which requests can be sent.
pub trait Connection {
    type Exchange: Exchange;

    /// Begins to send a request.
    async fn send(&self, script: &Script, request: &Request) -> Result<Self::Exchange>;
}

/// A request that is under way.
pub trait Exchange {
    /// Waits for the response's header.
    async fn header(&mut self) -> Result<Response<()>>;
    /// Waits for more of its body; `None` at the end.
    async fn data(&mut self) -> Result<Option<Bytes>>;
    /// Tells the server that the response is not wanted any more.
    fn reset(self);
}

/// What came back for a request.
#[derive(Default, Serialize)]
pub struct Answer {
    status: Option<u16>,
    headers: Vec<(String, String)>,
    /// Each byte is a character.
    body: String,
    /// Why this is not a whole response.
    error: Option<String>,
}

/// Sends the requests of `script`; gives the answers in the same order.
pub async fn perform<C: Connection>(connection: &C, script: &Script) -> Vec<Answer> {
    let exchanges = script.requests.iter().map(|request| exchange(connection, script, request));
    let answers = stream::iter(exchanges).buffered(script.parallel).collect().await;
    sleep(Duration::from_millis(script.linger)).await;
    answers
}

async fn exchange<C: Connection>(connection: &C, script: &Script, request: &Request) -> Answer {
    let mut answer = Answer::default();
    let mut exchange = match timeout(script.patience(), connection.send(script, request)).await {
        Ok(Ok(exchange)) => exchange,
        Ok(Err(error)) => return Answer { error: Some(format!("{error:#}")), ..answer },
        Err(_) => return Answer { error: Some("not sent in time".to_string()), ..answer },
    };
    let received = timeout(script.patience(), receive(&mut exchange, request, &mut answer));
    let outcome = tokio::select! {
        outcome = received => outcome.unwrap_or_else(|_| Err(anyhow!("no answer in time"))),
        () = told(request.stop) => Err(anyhow!("stopped")),
    };
    let Err(error) = outcome else { return answer };
    answer.error = Some(format!("{error:#}"));
    match request.leave {
        true => std::mem::forget(exchange),
        false => exchange.reset(),
    }
    answer
}

/// Receives the response into `answer`.
///
/// Errors: it broke off, or the client is to stop here.
async fn receive(
    exchange: &mut impl Exchange,
    request: &Request,
    answer: &mut Answer,
) -> Result<()> {
    let response = exchange.header().await?;
    answer.status = Some(response.status().as_u16());
    let headers = response.headers().iter();
    answer.headers =
        headers.map(|(name, value)| (name.to_string(), text(value.as_bytes()))).collect();
    if request.stop == Some(Stop::Header) {
        return Err(anyhow!("stopped"));
    }
    if request.hold {
        end_of_input().await;
        if request.stop == Some(Stop::Told) {
            return Err(anyhow!("stopped"));
        }
    }
    loop {
        if request.reluctance > 0 {
            sleep(Duration::from_millis(request.reluctance)).await;
        }
        let Some(data) = exchange.data().await? else { return Ok(()) };
        answer.body.push_str(&text(&data));
        if request.stop == Some(Stop::Data) {
            return Err(anyhow!("stopped"));
        }
    }
}

/// Waits until the client is told to stop, if that is when it stops.
async fn told(stop: Option<Stop>) {
    match stop {
        Some(Stop::Told) => end_of_input().await,
        _ => std::future::pending().await,
    }
}

/// Waits until the standard input has ended, which one thread watches for all exchanges.
async fn end_of_input() {
    static ENDED: LazyLock<watch::Receiver<bool>> = LazyLock::new(|| {
        let (tell, told) = watch::channel(false);
        std::thread::spawn(move || {
            let _ = std::io::stdin().read_to_end(&mut Vec::new());
            tell.send(true)
        });
        told
    });
    // A sender that is dropped tells it, too.
    let _ = ENDED.clone().wait_for(|ended| *ended).await;
}

fn text(bytes: &[u8]) -> String {
    bytes.iter().copied().map(char::from).collect()
}

/// The pieces of a request's body, each after its pause.
pub fn body(request: &Request) -> impl stream::Stream<Item = Bytes> + Send + use<> {
    let pause = Duration::from_millis(request.pause);
    stream::iter(request.body.clone().into_iter().enumerate()).then(
        move |(index, piece)| async move {
            if index > 0 {
                sleep(pause).await;
            }
            Bytes::from(piece)
        },
    )
}
