//! What stands in front of Pebble where a test needs more than this Pebble can: advice on renewals (ARI, RFC 9773), which it does not know,
//! and answers that no honest authority gives.
//!
//! Everything else is Pebble's own: requests reach it as they came, and since it writes its addresses by the host that it was asked by,
//! all of them come through here.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use bytes::Bytes;
use countersign::clock::now_seconds;
use countersign::edge::dev_certificates::make_dev;
use http::header::{CONNECTION, CONTENT_LENGTH, TRANSFER_ENCODING};
use http::{Request, Response};
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio::runtime::{Builder, Runtime};

use super::client::connect_tls;
use super::tls_server::acceptor;

/// A request as it came.
#[derive(Clone, Debug)]
pub struct Asked {
    pub method: String,
    pub path: String,
    /// What was signed.
    pub payload: Value,
}

/// An answer of the test's own, to requests whose path begins so.
#[derive(Clone, Debug)]
pub struct Says {
    pub path: &'static str,
    pub status: u16,
    pub headers: Vec<(&'static str, String)>,
    pub body: String,
}

pub struct AcmeFront {
    pub address: SocketAddr,
    pub ca_pem: String,
    desk: Arc<Desk>,
    /// Of its own: while a test waits for a gateway, its own runtime stands still.
    runtime: Option<Runtime>,
}

struct Desk {
    address: SocketAddr,
    /// Where Pebble is, by what it is known, and who vouches for it.
    pebble: (SocketAddr, String),
    says: Mutex<Option<Says>>,
    /// From when to when renewals are suggested, as RFC 3339 has it.
    advice: Mutex<Option<(String, String)>>,
    asked: Mutex<Vec<Asked>>,
}

impl AcmeFront {
    /// In front of the Pebble at this address.
    pub fn start(pebble: SocketAddr, pebble_ca_pem: &str) -> Self {
        let made = make_dev(&[], now_seconds()).expect("certificates");
        let acceptor = acceptor(&made);
        let runtime = Builder::new_multi_thread().worker_threads(1).enable_all().build().expect("a runtime");
        let listener = std::net::TcpListener::bind(("127.0.0.1", 0)).expect("a socket");
        let address = listener.local_addr().expect("an address");
        listener.set_nonblocking(true).expect("set");
        let desk = Arc::new(Desk {
            address,
            pebble: (pebble, pebble_ca_pem.to_owned()),
            says: Mutex::default(),
            advice: Mutex::default(),
            asked: Mutex::default(),
        });
        runtime.spawn({
            let desk = Arc::clone(&desk);
            async move {
                let listener = TcpListener::from_std(listener).expect("a socket");
                while let Ok((stream, _)) = listener.accept().await {
                    let (acceptor, desk) = (acceptor.clone(), Arc::clone(&desk));
                    tokio::spawn(async move {
                        let Ok(stream) = acceptor.accept(stream).await else { return };
                        let service = service_fn(move |request| {
                            let desk = Arc::clone(&desk);
                            async move { Ok::<_, Infallible>(desk.answer(request).await) }
                        });
                        // A client that goes away early does so by its own will.
                        drop(
                            hyper::server::conn::http1::Builder::new()
                                .serve_connection(TokioIo::new(stream), service)
                                .await,
                        );
                    });
                }
            }
        });
        Self { address, ca_pem: made.ca_pem, desk, runtime: Some(runtime) }
    }

    pub fn directory(&self) -> String {
        format!("https://{}/dir", self.address)
    }

    /// From now on this is answered, or what Pebble says.
    pub fn say(&self, says: Option<Says>) {
        *self.desk.says.lock().expect("whole") = says;
    }

    /// Suggests that renewals be from so many seconds to so many seconds from now.
    pub fn advise(&self, from: i64, to: i64) {
        let moment =
            |seconds: i64| jiff::Timestamp::from_second(now_seconds().0 + seconds).expect("a moment").to_string();
        *self.desk.advice.lock().expect("whole") = Some((moment(from), moment(to)));
    }

    /// What was asked for, at paths that begin so.
    pub fn asked(&self, path: &str) -> Vec<Asked> {
        self.desk.asked.lock().expect("whole").iter().filter(|asked| asked.path.starts_with(path)).cloned().collect()
    }
}

impl Desk {
    async fn answer(&self, request: Request<Incoming>) -> Response<Full<Bytes>> {
        let (parts, body) = request.into_parts();
        let body = body.collect().await.map(http_body_util::Collected::to_bytes).unwrap_or_default();
        let (method, path) = (parts.method.to_string(), parts.uri.path().to_owned());
        let payload = payload(&body);
        self.asked.lock().expect("whole").push(Asked { method, path: path.clone(), payload: payload.clone() });
        let says = self.says.lock().expect("whole").clone();
        if let Some(says) = says.filter(|says| path.starts_with(says.path)) {
            let mut response = Response::builder().status(says.status);
            for (name, value) in says.headers {
                response = response.header(name, value);
            }
            return response.body(Full::from(says.body)).expect("an answer");
        }
        let advice = self.advice.lock().expect("whole").clone();
        if let (Some((start, end)), true) = (advice.clone(), path.starts_with("/renewal-info/")) {
            let info = json!({ "suggestedWindow": { "start": start, "end": end } });
            return Response::builder()
                .header("retry-after", "1")
                .body(Full::from(info.to_string()))
                .expect("an answer");
        }
        let response = self.ask_pebble(Request::from_parts(parts, Full::from(body))).await;
        let is_changed =
            advice.is_some() && matches!(path.as_str(), "/dir" | "/order-plz") && response.status().is_success();
        if !is_changed {
            return response.map(Full::from);
        }
        let (parts, body) = response.into_parts();
        let mut document: Value = String::from_utf8_lossy(&body).parse().expect("JSON");
        if path == "/dir" {
            document["renewalInfo"] = format!("https://{}/renewal-info", self.address).into();
        } else if !payload["replaces"].is_null() {
            // RFC 9773 §5: it is in the answer too.
            document["replaces"] = payload["replaces"].clone();
        }
        Response::from_parts(parts, Full::from(document.to_string()))
    }

    async fn ask_pebble(&self, request: Request<Full<Bytes>>) -> Response<Bytes> {
        let (address, ca_pem) = &self.pebble;
        let stream = connect_tls(*address, ca_pem, &address.ip().to_string(), &[b"http/1.1"]).await.expect("pebble");
        let (mut sender, connection) =
            hyper::client::conn::http1::handshake(TokioIo::new(stream)).await.expect("http/1.1");
        tokio::spawn(async { drop(connection.await) });
        let (mut parts, body) = sender.send_request(request).await.expect("an answer").into_parts();
        let body = body.collect().await.expect("a body").to_bytes();
        for name in [CONNECTION, CONTENT_LENGTH, TRANSFER_ENCODING] {
            parts.headers.remove(name);
        }
        Response::from_parts(parts, body)
    }
}

/// What a request signs (RFC 8555 §6.2).
fn payload(body: &[u8]) -> Value {
    let request: Value = String::from_utf8_lossy(body).parse().unwrap_or_default();
    let payload = request["payload"].as_str().and_then(|text| URL_SAFE_NO_PAD.decode(text).ok());
    payload.and_then(|payload| String::from_utf8_lossy(&payload).parse().ok()).unwrap_or_default()
}

impl Drop for AcmeFront {
    fn drop(&mut self) {
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }
}
