//! Workers: threads that serve connections, each with a runtime of its own.
//!
//! A connection stays with the worker that accepted it, and a connection to an upstream with the worker that opened it, so that no request
//! wakes another thread. Measured beside one runtime whose threads take each other's work: see `docs/performance.md`.

use std::io;
use std::num::NonZeroUsize;
use std::pin::Pin;
use std::thread::{self, JoinHandle};

use tokio::runtime::{Builder, Runtime};
use tokio_util::sync::CancellationToken;

/// What one worker serves, until the drain begins.
pub(super) type Serving = Pin<Box<dyn Future<Output = ()> + Send>>;

/// Threads that serve until they are stopped. Dropped, they are told to stop, and not waited for.
pub(super) struct Workers {
    threads: Vec<JoinHandle<()>>,
    stop: CancellationToken,
}

impl Workers {
    /// Starts `count` workers; `serving` gives what each of them serves.
    ///
    /// # Errors
    ///
    /// A runtime or thread cannot be had, or `serving` fails.
    pub(super) fn start(
        count: NonZeroUsize,
        mut serving: impl FnMut() -> io::Result<Vec<Serving>>,
    ) -> io::Result<Self> {
        let mut workers = Self { threads: Vec::with_capacity(count.get()), stop: CancellationToken::new() };
        for number in 0..count.get() {
            let runtime = Builder::new_current_thread().enable_all().build()?;
            let (serving, stop) = (serving()?, workers.stop.clone());
            let thread = thread::Builder::new().name(format!("worker-{number}"));
            workers.threads.push(thread.spawn(move || work(runtime, serving, &stop))?);
        }
        Ok(workers)
    }

    /// Ends the workers, and with them what they still serve.
    pub(super) fn stop(mut self) {
        self.stop.cancel();
        for thread in self.threads.drain(..) {
            if thread.join().is_err() {
                tracing::error!("a worker ended in a panic");
            }
        }
    }
}

impl Drop for Workers {
    fn drop(&mut self) {
        self.stop.cancel();
    }
}

fn work(runtime: Runtime, serving: Vec<Serving>, stop: &CancellationToken) {
    runtime.block_on(async {
        for serving in serving {
            tokio::spawn(serving);
        }
        // Connections outlive what accepted them.
        stop.cancelled().await;
    });
    // A name that is still being looked up holds nobody up.
    runtime.shutdown_background();
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicUsize, Ordering};

    use tokio::sync::Barrier;

    use super::*;

    #[test]
    fn each_worker_serves_on_a_thread_of_its_own_until_it_is_stopped() {
        let count = NonZeroUsize::new(3).expect("not zero");
        // Whoever waits at it needs the others on other threads, or would wait for ever.
        let all = Arc::new(std::sync::Barrier::new(count.get() + 1));
        let ended = Arc::new(AtomicUsize::new(0));
        let workers = Workers::start(count, || {
            let (all, ended) = (Arc::clone(&all), Arc::clone(&ended));
            let serving: Serving = Box::pin(async move {
                struct Ended(Arc<AtomicUsize>);
                impl Drop for Ended {
                    fn drop(&mut self) {
                        self.0.fetch_add(1, Ordering::SeqCst);
                    }
                }
                let _ended = Ended(ended);
                all.wait();
                Barrier::new(2).wait().await;
            });
            Ok(vec![serving])
        })
        .expect("workers");
        all.wait();
        assert_eq!(ended.load(Ordering::SeqCst), 0);
        workers.stop();
        assert_eq!(ended.load(Ordering::SeqCst), 3);
    }
}
