//! Looks at what a request stands on while the request lasts, and ends it when that falls.

use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll};

use tokio::time::{Instant, Sleep};

use super::looks::{Looks, Place};

/// What a request stands on.
pub(super) trait Ground {
    /// Why it no longer holds, in the operator's words; `None` while it does.
    fn fault(&mut self) -> Option<&'static str>;

    /// The same of all that it stood on when it began, also of what it may outlast.
    fn whole_fault(&mut self) -> Option<&'static str> {
        self.fault()
    }
}

/// What a request stands on no longer holds: why, in the operator's words.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Fallen(pub(super) &'static str);

/// Somebody who looks from time to time. Whoever is done before the first look pays for none.
pub(super) struct Watch<G> {
    looks: Rc<Looks>,
    place: Place,
    ground: G,
    deadline: Option<Instant>,
    timer: Option<Pin<Box<Sleep>>>,
}

impl<G: Ground> Watch<G> {
    /// Begins with ground that holds.
    pub(super) fn new(looks: &Rc<Looks>, ground: G) -> Self {
        Self { looks: Rc::clone(looks), place: looks.enter(), ground, deadline: None, timer: None }
    }

    /// Ends at `deadline` in any case.
    pub(super) fn until(&mut self, deadline: Option<Instant>) {
        self.deadline = deadline;
    }

    /// Looks now.
    pub(super) fn look(&mut self) -> Result<(), Fallen> {
        if self.deadline.is_some_and(|deadline| deadline <= Instant::now()) {
            return Err(OUT_OF_TIME);
        }
        self.ground.fault().map_or(Ok(()), |why| Err(Fallen(why)))
    }

    /// Looks now, at what may be outlasted as well: nothing has been sent yet.
    pub(super) fn look_whole(&mut self) -> Result<(), Fallen> {
        // What may be outlasted is let go of at a look.
        self.ground.whole_fault().map_or(Ok(()), |why| Err(Fallen(why)))?;
        self.look()
    }

    /// Looks if it is time to; for whoever has something to do at every poll.
    pub(super) fn look_if_due(&mut self) -> Result<(), Fallen> {
        if self.looks.is_due(&mut self.place) { self.look() } else { Ok(()) }
    }

    /// Ready when the ground has fallen; else the task is woken for the next look.
    pub(super) fn poll_fall(&mut self, context: &mut Context<'_>) -> Poll<Fallen> {
        if let Err(fallen) = self.look_if_due() {
            return Poll::Ready(fallen);
        }
        if let Some(deadline) = self.deadline {
            let timer = self.timer.get_or_insert_with(|| Box::pin(tokio::time::sleep_until(deadline)));
            if timer.as_mut().poll(context).is_ready() {
                return Poll::Ready(OUT_OF_TIME);
            }
        }
        self.looks.wait(&mut self.place, context.waker());
        Poll::Pending
    }

    /// Waits until the ground falls.
    pub(super) async fn fall(&mut self) -> Fallen {
        std::future::poll_fn(|context| self.poll_fall(context)).await
    }

    /// What comes of `work`, unless the ground falls first. What comes late is not handed out on ground that has fallen meanwhile.
    pub(super) async fn over<T>(&mut self, mut work: Pin<&mut impl Future<Output = T>>) -> Result<T, Fallen> {
        std::future::poll_fn(|context| match work.as_mut().poll(context) {
            Poll::Ready(done) if self.looks.has_lasted(&self.place) => Poll::Ready(self.look().map(|()| done)),
            Poll::Ready(done) => Poll::Ready(Ok(done)),
            Poll::Pending => self.poll_fall(context).map(Err),
        })
        .await
    }
}

impl<G> Drop for Watch<G> {
    fn drop(&mut self) {
        self.looks.leave(&self.place);
    }
}

const OUT_OF_TIME: Fallen = Fallen("the time that the route gives a request is over");

#[cfg(test)]
mod tests {
    use std::cell::Cell;
    use std::pin::pin;
    use std::time::Duration;

    use futures_util::FutureExt as _;
    use tokio::sync::oneshot;

    use super::*;

    /// Holds as long as the cell says, and counts looks.
    #[derive(Clone, Default)]
    struct Fake(Rc<Cell<bool>>, Rc<Cell<u32>>);

    impl Ground for Fake {
        fn fault(&mut self) -> Option<&'static str> {
            self.1.set(self.1.get() + 1);
            self.0.get().then_some("it was taken away")
        }
    }

    const TAKEN: Fallen = Fallen("it was taken away");

    #[tokio::test]
    async fn what_is_done_before_the_first_look_is_not_looked_at() {
        let (looks, fake) = (Rc::default(), Fake::default());
        let mut watch = Watch::new(&looks, fake.clone());
        let (done, work) = oneshot::channel();
        let mut work = pin!(work);
        assert_eq!(watch.over(work.as_mut()).now_or_never(), None);
        fake.0.set(true);
        done.send(7).unwrap();
        assert_eq!(watch.over(work).now_or_never(), Some(Ok(Ok(7))));
        assert_eq!(fake.1.get(), 0);
    }

    #[tokio::test]
    async fn work_ends_at_the_first_look_after_the_fall() {
        let (looks, fake) = (Rc::<Looks>::default(), Fake::default());
        let mut watch = Watch::new(&looks, fake.clone());
        let mut work = pin!(std::future::pending::<()>());
        looks.turn();
        looks.turn();
        assert_eq!(watch.over(work.as_mut()).now_or_never(), None, "it holds");
        fake.0.set(true);
        assert_eq!(watch.over(work.as_mut()).now_or_never(), None, "it is not time");
        looks.turn();
        assert_eq!(watch.over(work).now_or_never(), Some(Err(TAKEN)));
    }

    #[tokio::test]
    async fn what_comes_late_is_looked_at_once_more() {
        let (looks, fake) = (Rc::<Looks>::default(), Fake::default());
        let mut watch = Watch::new(&looks, fake.clone());
        let (done, work) = oneshot::channel();
        let mut work = pin!(work);
        looks.turn();
        looks.turn();
        assert_eq!(watch.over(work.as_mut()).now_or_never(), None);
        fake.0.set(true);
        done.send(7).unwrap();
        assert_eq!(watch.over(work).now_or_never(), Some(Err(TAKEN)), "it fell after the last look");
    }

    #[tokio::test(start_paused = true)]
    async fn a_deadline_is_kept_to_between_two_looks() {
        let looks = Rc::default();
        let mut watch = Watch::new(&looks, Fake::default());
        watch.until(Some(Instant::now() + Duration::from_millis(30)));
        let began = Instant::now();
        assert_eq!(watch.fall().await, OUT_OF_TIME);
        assert_eq!(began.elapsed(), Duration::from_millis(30));
    }
}
