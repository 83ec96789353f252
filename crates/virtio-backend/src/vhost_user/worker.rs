// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! Threads that serve guests: few, each with many of them.

use std::io;
use std::mem;
use std::sync::mpsc::{self, Receiver, RecvTimeoutError, Sender};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

use super::guest::{Guest, Settings};
use super::lost;
use super::source::Source;
use crate::panic::caught;
use crate::reactor::{INTERRUPTED, Key, Reactor, Waker};
use crate::{Watch, lock};

/// Where a guest's number is in a key.
const GUEST: u32 = 40;

/// The guest whose keys are the worker's own.
const OWN: Key = (1 << (Key::BITS - GUEST)) - 2;

/// How often rings are looked at before the worker sees to what else there is: a look costs much less
/// than that.
const POLLS: usize = 32;

/// What a worker keeps of a long request between two requests, in bytes.
const KEPT: usize = 64 << 10;

/// The threads of a daemon, among which its guests are distributed.
pub(crate) struct Workers {
    workers: Vec<Worker>,
    /// The one whose turn it is to get a guest.
    next: usize,
    /// Closes when the last thread has ended.
    ended: Mutex<Receiver<()>>,
}

struct Worker {
    reactor: Arc<Reactor>,
    /// How many guests were given a place.
    guests: Key,
    orders: Arc<Orders>,
    waker: Waker,
}

/// What a thread is told.
#[derive(Default)]
struct Orders {
    guests: Mutex<Vec<(Key, Settings)>>,
    stop: Mutex<bool>,
}

/// A guest's place on a worker, from before its device is there.
pub(crate) struct Place {
    worker: usize,
    guest: Key,
    /// For the device.
    pub(crate) watch: Watch,
}

impl Workers {
    /// Starts `count` threads, which have nothing to do yet.
    pub(crate) fn start(count: usize) -> io::Result<Self> {
        let (running, ended) = mpsc::channel();
        let workers = (0..count).map(|number| Worker::start(number, running.clone()));
        Ok(Self {
            workers: workers.collect::<io::Result<_>>()?,
            next: 0,
            ended: Mutex::new(ended),
        })
    }

    /// A place for one more guest. `None` if there are no threads.
    pub(crate) fn place(&mut self) -> Option<Place> {
        let number = self.next;
        self.next = (number + 1) % self.workers.len().max(1);
        let worker = self.workers.get_mut(number)?;
        let guest = worker.guests;
        worker.guests += 1;
        Some(Place {
            worker: number,
            guest,
            watch: Watch::of(Arc::clone(&worker.reactor), guest << GUEST),
        })
    }

    /// Serves a guest from now on.
    pub(crate) fn serve(&self, place: &Place, settings: Settings) {
        if let Some(worker) = self.workers.get(place.worker) {
            lock(&worker.orders.guests).push((place.guest, settings));
            worker.waker.wake();
        }
    }

    /// Ends all sessions, and the threads. `false` if one has not ended within this time.
    pub(crate) fn stop(self, within: Duration) -> bool {
        for worker in &self.workers {
            *lock(&worker.orders.stop) = true;
            worker.waker.wake();
        }
        // On this channel nobody says anything.
        lock(&self.ended).recv_timeout(within) != Err(RecvTimeoutError::Timeout)
    }
}

impl Worker {
    fn start(number: usize, running: Sender<()>) -> io::Result<Self> {
        let reactor = Reactor::new()?;
        let orders = Arc::<Orders>::default();
        let waker = reactor.waker(OWN << GUEST);
        let run = Loop {
            reactor: Arc::clone(&reactor),
            orders: Arc::clone(&orders),
            guests: Vec::new(),
            request: Vec::new(),
        };
        // Ends when it is stopped.
        thread::Builder::new()
            .name(format!("worker {number}"))
            .spawn(move || {
                run.run();
                drop(running);
            })?;
        Ok(Self {
            reactor,
            guests: 0,
            orders,
            waker,
        })
    }
}

/// What a thread has.
struct Loop {
    reactor: Arc<Reactor>,
    orders: Arc<Orders>,
    guests: Vec<Option<Guest>>,
    /// What a driver asks for, in a buffer that stays.
    request: Vec<u8>,
}

impl Loop {
    fn run(mut self) {
        let (mut ready, mut again) = (Vec::new(), Vec::new());
        // Guests whose rings are looked at without a kick.
        let mut polled = Vec::new();
        loop {
            self.poll(&mut polled, &mut again);
            let is_idle = again.is_empty() && polled.is_empty();
            self.reactor.wait(is_idle, &mut ready);
            for guest in mem::take(&mut again) {
                if self.turn(guest, Guest::everything) {
                    again.push(guest);
                }
            }
            for key in ready.drain(..) {
                if key == INTERRUPTED {
                    self.look_for_loss();
                    continue;
                }
                let number = key >> GUEST;
                if number == OWN {
                    if self.obey() {
                        return;
                    }
                    continue;
                }
                let source = Source::of(key);
                let mut polls = false;
                let more = self.turn(number, |guest, request| {
                    let more = guest.happened(source, request);
                    polls = guest.polls();
                    more
                });
                if polls && !polled.contains(&number) {
                    polled.push(number);
                }
                if more && !again.contains(&number) {
                    again.push(number);
                }
            }
            self.request.clear();
            self.request.shrink_to(KEPT);
        }
    }

    /// Looks at the rings of guests that may ask for something without a kick.
    fn poll(&mut self, polled: &mut Vec<Key>, again: &mut Vec<Key>) {
        if polled.is_empty() {
            return;
        }
        for _ in 0..POLLS {
            polled.retain(|&number| {
                let mut polls = false;
                let more = self.turn(number, |guest, request| {
                    let found = guest.poll(request);
                    polls = guest.polls();
                    found == Some(true)
                });
                if more && !again.contains(&number) {
                    again.push(number);
                }
                polls
            });
        }
    }

    /// Has a guest do something. `true` if there is more, for which it was not its turn any more. One
    /// that panics is served no more; the others are.
    fn turn(&mut self, number: Key, act: impl FnOnce(&mut Guest, &mut Vec<u8>) -> bool) -> bool {
        let index = usize::try_from(number).unwrap_or(usize::MAX);
        let Some(place) = self.guests.get_mut(index) else {
            return false;
        };
        let Some(guest) = place else {
            return false;
        };
        match caught(|| act(guest, &mut self.request)) {
            Ok(more) => more,
            Err(panic) => {
                if let Some(guest) = place.take() {
                    guest.give_up(&panic);
                }
                false
            }
        }
    }

    /// Has each guest do something.
    fn turns(&mut self, act: fn(&mut Guest)) {
        for (number, _) in (0..).zip(0..self.guests.len()) {
            self.turn(number, |guest, _| {
                act(guest);
                false
            });
        }
    }

    /// Takes the guests that are there to be served. `true` if the thread is to end.
    fn obey(&mut self) -> bool {
        if *lock(&self.orders.stop) {
            self.turns(Guest::stop);
            // Waits for hardware, after all devices have heard that they are at their end.
            for guest in self.guests.drain(..) {
                drop(caught(|| drop(guest)));
            }
            return true;
        }
        for (number, settings) in mem::take(&mut *lock(&self.orders.guests)) {
            let name = settings.name.clone();
            match Guest::new(settings, &self.reactor, number << GUEST) {
                Ok(guest) => {
                    let index = usize::try_from(number).unwrap_or(0);
                    if self.guests.len() <= index {
                        self.guests.resize_with(index + 1, || None);
                    }
                    if let Some(place) = self.guests.get_mut(index) {
                        *place = Some(guest);
                    }
                }
                Err(error) => log::error!("{name}: {error}"),
            }
        }
        false
    }

    fn look_for_loss(&mut self) {
        if lost::any() {
            self.turns(Guest::look_for_loss);
        }
    }
}
