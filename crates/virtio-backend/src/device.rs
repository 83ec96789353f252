// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! What a device is to the core: bytes in, bytes out, perhaps later.

use crate::{Events, Reply, Stopped, Token};

/// What the driver does with a queue.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Queue {
    /// The driver asks: each chain is a request, and goes to [`Device::handle`].
    Requests,
    /// The driver lends empty buffers, which stay in the ring until the device has something to say
    /// with [`Events`].
    Events,
}

/// A virtio device of one guest.
///
/// What can happen to a device arrives one at a time. No method waits: neither for hardware, nor for
/// another guest, nor for the driver. The thread that calls has other guests to see to. What takes
/// time is done on a thread of the hardware's, which answers with the [`Reply`].
///
/// A guest's fault is answered, not raised: [`handle`](Self::handle) returns nothing.
pub trait Device: Send + 'static {
    /// The number of the device's type (virtio 1.4, section 5).
    fn device_type(&self) -> u32;

    /// The device's queues, in the order of the specification.
    fn queues(&self) -> &'static [Queue];

    /// How many entries a VMM gives each of the queues, a power of 2. A driver behind vhost-user has
    /// up to 1,024, as its front end says.
    fn queue_size(&self) -> u16 {
        64
    }

    /// Longest request that the device accepts, in bytes. Does not change.
    fn max_request(&self) -> usize;

    /// Feature bits of the device type (0 to 23, 50 to 63). The transport adds its own.
    fn features(&self) -> u64 {
        0
    }

    /// A front end connected. Comes before anything else that happens in its session.
    fn connected(&mut self) {}

    /// The driver accepted `features` (the device's and the transport's). Comes before each start
    /// of the queues, also when a stopped guest goes on with the same features.
    fn negotiated(&mut self, _features: u64) {}

    /// The configuration space, as long as it is: asked for each time that the driver reads some of
    /// it, which the core cuts and pads. One that is empty when a front end connects is none.
    fn config(&self) -> Vec<u8> {
        Vec::new()
    }

    /// The driver made `request` on `queue`, to be answered with `reply`, now or later.
    ///
    /// `request` is all that the driver sent, however it was split. A longer request than
    /// [`max_request`](Self::max_request) arrives cut after one byte more than that. Bytes that
    /// cannot be read, or that follow a writable buffer, make the request empty. A broken chain is
    /// an empty request without room for an answer.
    fn handle(&mut self, queue: u16, request: &[u8], reply: Reply);

    /// The driver has made no further request on `queue` for now. Requests that belong together may
    /// arrive apart, and some never: what is there has to be worked on in the end, as the driver
    /// may wait for it.
    fn drained(&mut self, _queue: u16) {}

    /// The driver made an [event queue](Queue::Events) ready. `events` serves until the next
    /// [`reset`](Self::reset).
    fn events(&mut self, _queue: u16, _events: Events) {}

    /// The driver lent buffers on an [event queue](Queue::Events), where an
    /// [offer](Events::offer) may have found none.
    fn lent(&mut self, _queue: u16) {}

    /// A file descriptor or a timer is ready that the device asked [`Watch`](crate::Watch) to look
    /// after. What the driver asked for before comes before.
    fn ready(&mut self, _token: Token) {}

    /// `queue` stops. `stopped` is dropped, now or later, when what is being worked on is finished: the
    /// front end, and with it the guest, waits for that, for up to 10 s. What waits for the world stays.
    ///
    /// The queue may go on where it was (a VM that was paused), or start anew after
    /// [`reset`](Self::reset).
    fn stop(&mut self, _queue: u16, _stopped: Stopped) {}

    /// The guest was reset, or went away: forget all that it set up, release what it held, in the
    /// order that is safe for the hardware. Replies that are still held do nothing from now on.
    fn reset(&mut self);

    /// The front end went away, which for most devices is a [`reset`](Self::reset). Also comes when
    /// the daemon ends. A device that leaves its hardware in another state than after a reset says
    /// so here.
    fn disconnected(&mut self) {
        self.reset();
    }
}
