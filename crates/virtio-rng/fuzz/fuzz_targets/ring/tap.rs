// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! A source of entropy that the fuzzer opens and closes.

use std::os::unix::net::UnixStream;
use std::sync::Arc;
use std::sync::atomic::{AtomicU16, Ordering};

use virtio_backend::{Reply, Token, Watch};
use virtio_rng::Source;

const CLOSED: u16 = u16::MAX;

/// What comes out of a [`Source`] that [`Tap::source`] made.
#[derive(Clone)]
pub struct Tap(Arc<AtomicU16>);

impl Tap {
    /// Open, and it gives zeros.
    pub fn new() -> Self {
        Self(Arc::default())
    }

    /// From now on the source has `byte` to give, over and over: what crashed once is to crash again, so nothing here
    /// is random.
    pub fn open(&self, byte: u8) {
        self.0.store(byte.into(), Ordering::Relaxed);
    }

    /// From now on the source has nothing to give, and requests wait.
    pub fn close(&self) {
        self.0.store(CLOSED, Ordering::Relaxed);
    }

    /// The source, which has the device try again at each poll of `watch`, since it may have been opened.
    pub fn source(&self, watch: &Watch) -> Box<dyn Source> {
        let (readable, _hung_up) = UnixStream::pair().unwrap();
        watch.add(&readable, Token(1)).unwrap();
        Box::new(Flow {
            tap: self.clone(),
            _readable: readable,
        })
    }
}

struct Flow {
    tap: Tap,
    /// As long as it is open, which it is for the device's life, the watch reports it.
    _readable: UnixStream,
}

impl Source for Flow {
    fn answer(&mut self, reply: Reply, length: usize) -> Result<(), Reply> {
        let Ok(byte) = u8::try_from(self.tap.0.load(Ordering::Relaxed)) else {
            return Err(reply);
        };
        reply.fill(length, |piece| piece.fill(byte));
        Ok(())
    }
}
