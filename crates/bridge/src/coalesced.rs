//! Coalesces identical reads: callers that wait at the same time share one answer.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use tokio::sync::Mutex;

/// The answer of a read that many callers make at the same time, such as the list of all apps, of which each of a thousand apps needs
/// one entry.
///
/// No caller gets an answer that is older than its call: a read that is already under way is never joined, only the next one. So at most
/// two reads serve all callers of a moment, and a caller sees everything that happened before it called.
#[derive(Debug)]
pub(super) struct Coalesced<T> {
    callers: AtomicU64,
    last: Mutex<Option<Answered<T>>>,
}

#[derive(Debug)]
struct Answered<T> {
    /// The number of callers there were when the read began. Only they may have its answer.
    callers: u64,
    /// `None` if the read failed.
    answer: Option<Arc<T>>,
}

impl<T> Default for Coalesced<T> {
    fn default() -> Self {
        Self { callers: AtomicU64::new(0), last: Mutex::default() }
    }
}

impl<T> Coalesced<T> {
    /// Returns the answer of a read that began after this call.
    ///
    /// Cancel: dropping this future aborts its read; the next caller makes its own. Error: an error is not shared, because callers differ
    /// in whether they retry. Those that have waited for a read that failed make their own, all at the same time.
    pub(super) async fn get<E>(&self, read: impl Future<Output = Result<T, E>>) -> Result<Arc<T>, E> {
        let own = self.callers.fetch_add(1, Ordering::SeqCst);
        let mut last = self.last.lock().await;
        if let Some(answered) = last.as_ref().filter(|answered| answered.callers > own) {
            if let Some(answer) = &answered.answer {
                return Ok(Arc::clone(answer));
            }
            drop(last);
            return read.await.map(Arc::new);
        }
        let callers = self.callers.load(Ordering::SeqCst);
        let answer = read.await.map(Arc::new);
        // Without another caller, nobody may have this answer, so it is not kept.
        *last =
            (callers > own + 1).then(|| Answered { callers, answer: answer.as_ref().ok().map(Arc::clone) });
        answer
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use futures::future::join_all;
    use tokio::time::sleep;

    use super::*;

    const READ: Duration = Duration::from_millis(20);

    /// A read whose answer is its number, starting with 1.
    #[derive(Default)]
    struct Source {
        shared: Coalesced<u64>,
        reads: AtomicU64,
        fails: bool,
    }

    impl Source {
        async fn get(&self) -> Result<u64, &'static str> {
            let read = async {
                let number = self.reads.fetch_add(1, Ordering::SeqCst) + 1;
                sleep(READ).await;
                if self.fails { Err("down") } else { Ok(number) }
            };
            self.shared.get(read).await.map(|answer| *answer)
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_thousand_callers_at_the_same_time_make_two_reads() {
        let source = Source::default();
        let answers = join_all((0..1000).map(|_| source.get())).await;
        assert_eq!(source.reads.load(Ordering::SeqCst), 2);
        assert_eq!(answers[0], Ok(1));
        assert!(answers[1..].iter().all(|answer| *answer == Ok(2)));
    }

    #[tokio::test(start_paused = true)]
    async fn an_answer_is_never_older_than_the_call() {
        let source = Source::default();
        let (first, second, third) = tokio::join!(
            source.get(),
            async {
                sleep(READ / 2).await;
                source.get().await
            },
            async {
                sleep(READ + READ / 2).await;
                source.get().await
            },
        );
        assert_eq!((first, second, third), (Ok(1), Ok(2), Ok(3)));
        assert_eq!(source.get().await, Ok(4), "an old answer is not used");
    }

    #[tokio::test(start_paused = true)]
    async fn an_aborted_read_does_not_affect_the_others() {
        let source = Source::default();
        let (aborted, second, third) =
            tokio::join!(tokio::time::timeout(READ / 2, source.get()), source.get(), source.get());
        assert!(aborted.is_err());
        assert_eq!((second, third), (Ok(2), Ok(2)));
    }

    #[tokio::test(start_paused = true)]
    async fn after_an_error_the_others_read_at_the_same_time() {
        let source = Source { fails: true, ..Source::default() };
        let began = tokio::time::Instant::now();
        let answers = join_all((0..100).map(|_| source.get())).await;
        assert!(answers.iter().all(Result::is_err));
        assert_eq!(source.reads.load(Ordering::SeqCst), 100);
        assert_eq!(began.elapsed(), READ * 3);
    }
}
