//! Who may read the numbers, and how long may they take?
//!
//! HTTP/1 without keep-alive: one request, one answer, a few milliseconds. Whoever connects and stays silent loses his
//! place to the next one, so that slow or broken readers never keep others out.

use std::collections::VecDeque;
use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use bytes::Bytes;
use http_body_util::Full;
use hyper::header::{ALLOW, CACHE_CONTROL, CONTENT_TYPE, HeaderValue};
use hyper::server::conn::http1;
use hyper::{Method, Request, Response, StatusCode};
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::AbortHandle;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

/// Readers at once. One more takes the place of the one that has been silent longest.
pub(super) const READERS_MAX: usize = 16;
/// From the connection to the end of the request's head.
const HEAD_TIME: Duration = Duration::from_secs(2);
/// From the connection to the end of the answer.
const ANSWER_TIME: Duration = Duration::from_secs(10);
/// Largest head of a request.
const HEAD_BYTES_MAX: usize = 8 * 1024;
/// Headers of a request.
const HEADERS_MAX: usize = 64;
/// Wait after the system could not give a connection, for want of file descriptors for instance.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);
/// OpenMetrics 1.0 as text, which Prometheus asks for first.
const OPENMETRICS: HeaderValue =
    HeaderValue::from_static("application/openmetrics-text; version=1.0.0; charset=utf-8");
const PLAIN: HeaderValue = HeaderValue::from_static("text/plain; charset=utf-8");

/// What is served.
pub(super) trait Pages: Send + Sync + 'static {
    /// The numbers as OpenMetrics text, or why there are none.
    fn metrics(&self) -> impl Future<Output = Result<Bytes, String>> + Send;

    /// Whether the node is well, or why not.
    fn health(&self) -> Result<(), String>;
}

/// One reader.
struct Reader {
    task: AbortHandle,
    /// Whether its request is there.
    has_asked: Arc<AtomicBool>,
}

/// Opens the door.
pub(super) async fn bind(address: SocketAddr) -> std::io::Result<TcpListener> {
    let listener = TcpListener::bind(address).await?;
    if !address.ip().is_loopback() {
        tracing::warn!(
            %address,
            "metrics are served to whoever can reach this address, without any password"
        );
    }
    Ok(listener)
}

/// Answers until it is dropped or stopped.
pub(super) async fn serve<P: Pages>(
    listener: TcpListener,
    pages: Arc<P>,
    tasks: TaskTracker,
    stop: CancellationToken,
) {
    let mut readers: VecDeque<Reader> = VecDeque::new();
    loop {
        let stream = tokio::select! {
            () = stop.cancelled() => return,
            accepted = listener.accept() => match accepted {
                Ok((stream, _)) => stream,
                Err(error) => {
                    tracing::warn!(%error, "the metrics port cannot accept connections");
                    tokio::time::sleep(ACCEPT_PAUSE).await;
                    continue;
                }
            },
        };
        readers.retain(|reader| !reader.task.is_finished());
        if READERS_MAX <= readers.len() {
            let is_silent = |reader: &Reader| !reader.has_asked.load(Ordering::Relaxed);
            let victim = readers.iter().position(is_silent).unwrap_or(0);
            if let Some(reader) = readers.remove(victim) {
                reader.task.abort();
            }
        }
        let has_asked = Arc::new(AtomicBool::new(false));
        let answer = answer(stream, Arc::clone(&pages), Arc::clone(&has_asked));
        let answer = stop.clone().run_until_cancelled_owned(answer);
        let task = tasks.spawn(answer).abort_handle();
        readers.push_back(Reader { task, has_asked });
    }
}

/// Answers one request.
async fn answer<P: Pages>(stream: TcpStream, pages: Arc<P>, has_asked: Arc<AtomicBool>) {
    let service = hyper::service::service_fn(|request| {
        has_asked.store(true, Ordering::Relaxed);
        respond(Arc::clone(&pages), request)
    });
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEAD_TIME)
        .max_buf_size(HEAD_BYTES_MAX)
        .max_headers(HEADERS_MAX)
        .keep_alive(false)
        .serve_connection(TokioIo::new(stream), service);
    match tokio::time::timeout(ANSWER_TIME, connection).await {
        Ok(Ok(())) => {}
        Ok(Err(error)) => tracing::debug!(%error, "a reader of the metrics made a mistake"),
        Err(_) => tracing::debug!("a reader of the metrics was too slow"),
    }
}

async fn respond<P: Pages>(
    pages: Arc<P>,
    request: Request<hyper::body::Incoming>,
) -> Result<Response<Full<Bytes>>, Infallible> {
    let response = match (request.method(), request.uri().path()) {
        (&Method::GET, "/metrics") => match pages.metrics().await {
            Ok(text) => page(StatusCode::OK, OPENMETRICS, text),
            Err(why) => page(StatusCode::SERVICE_UNAVAILABLE, PLAIN, line(&why)),
        },
        (&Method::GET, "/health") => match pages.health() {
            Ok(()) => page(StatusCode::OK, PLAIN, line("ok")),
            Err(why) => page(StatusCode::SERVICE_UNAVAILABLE, PLAIN, line(&why)),
        },
        (_, "/metrics" | "/health") => {
            let mut response = page(StatusCode::METHOD_NOT_ALLOWED, PLAIN, line("only GET is served"));
            response
                .headers_mut()
                .insert(ALLOW, HeaderValue::from_static("GET"));
            response
        }
        _ => page(
            StatusCode::NOT_FOUND,
            PLAIN,
            line("there are /metrics and /health"),
        ),
    };
    Ok(response)
}

fn line(text: &str) -> Bytes {
    format!("{text}\n").into()
}

fn page(status: StatusCode, kind: HeaderValue, body: Bytes) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::new(body));
    *response.status_mut() = status;
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, kind);
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

    use super::*;

    struct Fixed;

    impl Pages for Fixed {
        async fn metrics(&self) -> Result<Bytes, String> {
            Ok(Bytes::from_static(b"rustle_up 1\n# EOF\n"))
        }

        fn health(&self) -> Result<(), String> {
            Err("the disk is full".to_owned())
        }
    }

    async fn start() -> (SocketAddr, CancellationToken, TaskTracker) {
        let listener = bind(([127, 0, 0, 1], 0).into()).await.unwrap();
        let address = listener.local_addr().unwrap();
        let (stop, tasks) = (CancellationToken::new(), TaskTracker::new());
        tasks.spawn(serve(listener, Arc::new(Fixed), tasks.clone(), stop.clone()));
        (address, stop, tasks)
    }

    async fn ask(address: SocketAddr, request: &str) -> String {
        let mut stream = TcpStream::connect(address).await.unwrap();
        stream.write_all(request.as_bytes()).await.unwrap();
        let mut answer = String::new();
        // A reset behind the answer is no failure: what was answered has been read.
        let _ = stream.read_to_string(&mut answer).await;
        answer
    }

    #[tokio::test]
    async fn two_pages_are_served_to_get_only() {
        let (address, stop, tasks) = start().await;
        for (request, status, part) in [
            ("GET /metrics HTTP/1.1\r\nhost: x\r\n\r\n", "200", "rustle_up 1"),
            (
                "GET /metrics?x=y HTTP/1.1\r\nhost: x\r\n\r\n",
                "200",
                "application/openmetrics-text",
            ),
            (
                "GET /health HTTP/1.1\r\nhost: x\r\n\r\n",
                "503",
                "the disk is full",
            ),
            (
                "POST /metrics HTTP/1.1\r\nhost: x\r\ncontent-length: 0\r\n\r\n",
                "405",
                "allow: GET",
            ),
            ("GET / HTTP/1.1\r\nhost: x\r\n\r\n", "404", "/metrics"),
            ("nonsense\r\n\r\n", "400", ""),
        ] {
            let answer = ask(address, request).await;
            let head = answer.lines().next().unwrap_or_default();
            assert!(
                head.contains(status) && answer.contains(part),
                "{request}: {answer}"
            );
        }
        let many = "x: y\r\n".repeat(HEADERS_MAX + 1);
        let long = format!("x: {}\r\n", "y".repeat(2 * HEAD_BYTES_MAX));
        for headers in [many, long] {
            let answer = ask(address, &format!("GET /metrics HTTP/1.1\r\n{headers}\r\n")).await;
            assert!(answer.starts_with("HTTP/1.1 431"), "{answer}");
        }
        stop.cancel();
        tasks.close();
        tasks.wait().await;
    }

    #[tokio::test]
    async fn silent_readers_keep_nobody_out() {
        let (address, stop, _) = start().await;
        let mut silent = Vec::new();
        for index in 0..4 * READERS_MAX {
            let mut stream = TcpStream::connect(address).await.unwrap();
            // Half of them dribble a head that never ends.
            if index % 2 == 0 {
                stream.write_all(b"GET /metrics HTTP/1.1\r\nx: ").await.unwrap();
            }
            silent.push(stream);
        }

        let asked = tokio::time::timeout(HEAD_TIME / 2, ask(address, "GET /metrics HTTP/1.1\r\n\r\n"));
        assert!(asked.await.unwrap().contains("rustle_up 1"));

        // The first of them have lost their places to the last.
        let mut byte = [0];
        let first = silent[1].read(&mut byte).await;
        assert!(matches!(first, Ok(0) | Err(_)), "{first:?}");
        stop.cancel();
    }

    #[tokio::test]
    async fn a_silent_reader_has_its_time_and_no_more() {
        let (address, _stop, _) = start().await;
        let mut stream = TcpStream::connect(address).await.unwrap();
        stream.write_all(b"GET /metr").await.unwrap();
        let mut answer = Vec::new();
        let read = tokio::time::timeout(2 * HEAD_TIME, stream.read_to_end(&mut answer));
        let _ = read.await.expect("the connection is closed in time");
        assert!(!answer.starts_with(b"HTTP/1.1 200"));
    }
}
