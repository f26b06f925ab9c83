//! The requests that arrived at the demo's API.

use std::collections::VecDeque;
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bytes::Bytes;
use http::{HeaderMap, Method};
use serde_json::{Map, Value};
use tokio::sync::broadcast;

const RECEIVED_MAX: usize = 64;

/// One request, exactly as it arrived.
pub struct ReceivedRequest {
    /// Counts from 1 in the order of arrival.
    pub number: u64,
    pub method: Method,
    pub path_and_query: String,
    pub headers: HeaderMap,
    pub body: Bytes,
    /// The attributes as this lenient backend read them, those of a genuine token among them.
    pub attributes: Map<String, Value>,
}

/// Says how much arrived and never what.
impl fmt::Debug for ReceivedRequest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ReceivedRequest")
            .field("number", &self.number)
            .field("headers", &self.headers.len())
            .field("body_bytes", &self.body.len())
            .field("attributes", &self.attributes.len())
            .finish_non_exhaustive()
    }
}

/// The newest requests; older ones make room.
#[derive(Debug)]
pub struct Received {
    newest: Mutex<Newest>,
    arrivals: broadcast::Sender<Arc<ReceivedRequest>>,
}

#[derive(Debug, Default)]
struct Newest {
    count: u64,
    requests: VecDeque<Arc<ReceivedRequest>>,
}

impl Default for Received {
    fn default() -> Self {
        Self { newest: Mutex::default(), arrivals: broadcast::channel(RECEIVED_MAX).0 }
    }
}

impl Received {
    /// How many arrived since the start, those already forgotten among them.
    #[must_use]
    pub fn count(&self) -> u64 {
        self.lock().count
    }

    /// Those that arrived after the first `count`, oldest first, as far as they are remembered.
    #[must_use]
    pub fn since(&self, count: u64) -> Vec<Arc<ReceivedRequest>> {
        self.lock().requests.iter().filter(|request| request.number > count).cloned().collect()
    }

    /// The newest one.
    #[must_use]
    pub fn last(&self) -> Option<Arc<ReceivedRequest>> {
        self.lock().requests.back().cloned()
    }

    /// Each request from now on, as it arrives.
    #[must_use]
    pub fn subscribe(&self) -> broadcast::Receiver<Arc<ReceivedRequest>> {
        self.arrivals.subscribe()
    }

    pub(super) fn remember(&self, head: &http::request::Parts, body: Bytes, attributes: Map<String, Value>) {
        let request = {
            let mut newest = self.lock();
            newest.count += 1;
            let request = Arc::new(ReceivedRequest {
                number: newest.count,
                method: head.method.clone(),
                path_and_query: head.uri.path_and_query().map_or_else(String::new, ToString::to_string),
                headers: head.headers.clone(),
                body,
                attributes,
            });
            if newest.requests.len() == RECEIVED_MAX {
                newest.requests.pop_front();
            }
            newest.requests.push_back(Arc::clone(&request));
            request
        };
        // Nobody need be listening.
        let _ = self.arrivals.send(request);
    }

    fn lock(&self) -> MutexGuard<'_, Newest> {
        // A panic elsewhere leaves a queue that is still whole.
        self.newest.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use http::Request;

    use super::*;

    #[test]
    fn only_the_newest_are_remembered() {
        let received = Received::default();
        let (head, ()) = Request::post("/messenger/web/ping").body(()).unwrap().into_parts();
        for _ in 0..=RECEIVED_MAX {
            received.remember(&head, Bytes::new(), Map::new());
        }
        assert_eq!(received.since(0).len(), RECEIVED_MAX);
        assert_eq!(received.since(0)[0].number, 2);
        assert_eq!(received.since(RECEIVED_MAX as u64).len(), 1);
    }
}
