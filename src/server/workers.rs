//! Workers: threads that serve connections, each with a runtime of its own.
//!
//! A connection stays with the worker that it was given to, and a connection to an upstream with the worker that opened it, so that no
//! request wakes another thread. Measured beside one runtime whose threads take each other's work: see `docs/performance.md`.

use std::io;
use std::num::NonZeroUsize;
use std::thread::{self, JoinHandle};

use tokio::runtime::{Builder, Handle};
use tokio_util::sync::CancellationToken;

/// Threads that run what is spawned on them until they are stopped. Dropped, they are told to stop, and not waited for.
pub(super) struct Workers {
    threads: Vec<JoinHandle<()>>,
    handles: Vec<Handle>,
    stop: CancellationToken,
}

impl Workers {
    /// Starts `count` workers.
    ///
    /// # Errors
    ///
    /// A runtime or thread cannot be had.
    pub(super) fn start(count: NonZeroUsize) -> io::Result<Self> {
        let mut workers = Self { threads: Vec::new(), handles: Vec::new(), stop: CancellationToken::new() };
        for number in 0..count.get() {
            let runtime = Builder::new_current_thread().enable_all().build()?;
            workers.handles.push(runtime.handle().clone());
            let stop = workers.stop.clone();
            let work = move || {
                runtime.block_on(stop.cancelled());
                // A name that is still being looked up holds nobody up.
                runtime.shutdown_background();
            };
            workers.threads.push(thread::Builder::new().name(format!("worker-{number}")).spawn(work)?);
        }
        Ok(workers)
    }

    /// Their runtimes.
    pub(super) fn handles(&self) -> &[Handle] {
        &self.handles
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

#[cfg(test)]
mod tests {
    use std::future::pending;
    use std::sync::atomic::{AtomicUsize, Ordering};
    use std::sync::{Arc, Barrier};

    use super::*;

    #[test]
    fn each_worker_serves_on_a_thread_of_its_own_until_it_is_stopped() {
        struct Ended(Arc<AtomicUsize>);
        impl Drop for Ended {
            fn drop(&mut self) {
                self.0.fetch_add(1, Ordering::SeqCst);
            }
        }
        let count = NonZeroUsize::new(3).expect("not zero");
        let workers = Workers::start(count).expect("workers");
        // Whoever waits at it needs the others on other threads, or would wait for ever.
        let all = Arc::new(Barrier::new(count.get() + 1));
        let ended = Arc::new(AtomicUsize::new(0));
        for worker in workers.handles() {
            let (all, ended) = (Arc::clone(&all), Ended(Arc::clone(&ended)));
            worker.spawn(async move {
                let _ended = ended;
                all.wait();
                pending::<()>().await;
            });
        }
        all.wait();
        assert_eq!(ended.load(Ordering::SeqCst), 0);
        workers.stop();
        assert_eq!(ended.load(Ordering::SeqCst), 3);
    }
}
