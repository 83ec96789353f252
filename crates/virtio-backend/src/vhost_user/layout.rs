// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! What a front end says of its queues: how large they are, where, from which index on, and when they
//! start and stop.

use std::os::fd::OwnedFd;

use vhost::vhost_user::VhostUserProtocolFeatures as Protocol;
use vhost::vhost_user::message::{FrontendReq, VhostUserVringAddr, VhostUserVringState};

use super::MAX_QUEUE_SIZE;
use super::connection::Message;
use super::place::Place;
use super::queues::Host;
use super::session::{Answer, Refusal, SHORT, STOPPED_WITHIN, Session, number};
use super::source::Source;

const SIZE: Refusal = "a ring's size is a power of 2 up to 1024";
const NO_QUEUE: Refusal = "no such queue";

/// Where a queue is, in the front end's words.
#[derive(Clone, Copy, Default)]
pub(super) struct Layout {
    size: u16,
    base: u16,
    /// Descriptors, available ring, used ring: addresses of the front end's.
    addresses: Option<[u64; 3]>,
    /// The front end said the base, and the queue has not started since.
    is_new: bool,
}

impl Session {
    /// Does what a message about a queue asks.
    pub(super) fn answer_about_queue(
        &mut self,
        request: FrontendReq,
        message: &mut Message,
        host: &mut Host<'_>,
    ) -> Result<Answer, Refusal> {
        match request {
            FrontendReq::SET_VRING_NUM => {
                let (queue, size) = self.state(message)?;
                self.queues.set_up(queue);
                // What it was set up as is no more.
                let size = u16::try_from(size).unwrap_or(0);
                self.layout(queue)?.size = size;
                if !size.is_power_of_two() || size > MAX_QUEUE_SIZE {
                    self.queues.refuse(queue, SIZE);
                    return Err(SIZE);
                }
            }
            FrontendReq::SET_VRING_ADDR => self.set_addresses(message)?,
            FrontendReq::SET_VRING_BASE => {
                let (queue, base) = self.state(message)?;
                let base = u16::try_from(base).map_err(|_| "an index too large")?;
                let layout = self.layout(queue)?;
                (layout.base, layout.is_new) = (base, true);
                self.queues.set_base(queue, base, host);
            }
            FrontendReq::GET_VRING_BASE => return self.stop(message, host),
            FrontendReq::SET_VRING_KICK => self.start(message, host)?,
            FrontendReq::SET_VRING_CALL => {
                let (queue, fd) = self.event(message)?;
                self.queues.set_call(queue, fd);
            }
            FrontendReq::SET_VRING_ERR => {
                let (queue, fd) = self.event(message)?;
                self.queues.set_error(queue, fd);
            }
            FrontendReq::SET_VRING_ENABLE => {
                let (queue, enabled) = self.state(message)?;
                let awaits_start = self.layout(queue)?.is_new && self.queues.has_kick(queue);
                let started = match enabled != 0 && awaits_start {
                    true => self.begin(queue, host),
                    false => Ok(()),
                };
                self.queues.set_enabled(queue, enabled != 0, host);
                started?;
            }
            _ => return Err("it was not offered"),
        }
        Ok(Answer::Done)
    }

    fn set_addresses(&mut self, message: &Message) -> Result<(), Refusal> {
        let addresses: VhostUserVringAddr = message.payload().ok_or(SHORT)?;
        let queue = u16::try_from(addresses.index).map_err(|_| NO_QUEUE)?;
        let layout = self.layout(queue)?;
        layout.addresses = Some([addresses.descriptor, addresses.available, addresses.used]);
        self.queues.set_up(queue);
        // What can be known now is said now.
        match self.table.is_empty() {
            true => Ok(()),
            false => self
                .place(queue)
                .map(drop)
                .inspect_err(|fault| self.queues.refuse(queue, fault)),
        }
    }

    /// Where the queue is, in the guest's addresses.
    fn place(&self, queue: u16) -> Result<(Place, u16), Refusal> {
        let layout = self.layouts.get(usize::from(queue)).ok_or(NO_QUEUE)?;
        let addresses = layout.addresses.ok_or("a ring without an address")?;
        let [descriptors, available, used] =
            addresses.map(|address| self.table.guest_address(address));
        let (Some(descriptors), Some(available), Some(used)) = (descriptors, available, used)
        else {
            return Err("a ring outside memory");
        };
        // Virtio 1.4, section 2.7: the alignment of each part.
        if descriptors % 16 != 0 || available % 2 != 0 || used % 4 != 0 {
            return Err("misaligned ring");
        }
        let place = Place {
            size: layout.size,
            descriptors,
            available,
            used,
        };
        Ok((place, layout.base))
    }

    /// A ring starts with this message, be there a kick or not. alioth says it first, and only then
    /// where the ring is: that one starts when it is enabled.
    fn start(&mut self, message: &mut Message, host: &mut Host<'_>) -> Result<(), Refusal> {
        let (queue, fd) = self.event(message)?;
        self.queues
            .set_kick(queue, fd, Source::Kick(queue).key(self.guest), host);
        match self.layout(queue)?.addresses {
            Some(_) => self.begin(queue, host),
            None => Ok(()),
        }
    }

    /// Starts a ring where the front end has it.
    fn begin(&mut self, queue: u16, host: &mut Host<'_>) -> Result<(), Refusal> {
        self.layout(queue)?.is_new = false;
        let start = self
            .place(queue)
            .and_then(|(place, base)| self.queues.start(queue, place, base, host));
        start.inspect_err(|fault| self.queues.refuse(queue, fault))
    }

    fn stop(&mut self, message: &Message, host: &mut Host<'_>) -> Result<Answer, Refusal> {
        let Ok((queue, _)) = self.state(message) else {
            let state: VhostUserVringState = message.payload().unwrap_or_default();
            return Ok(Answer::State(VhostUserVringState { num: 0, ..state }));
        };
        self.queues.stop(queue, host);
        self.stopping = Some(queue);
        // What is in work is not waited for if it is noted: whoever goes on does it again.
        let noted = Protocol::INFLIGHT_SHMFD | Protocol::GET_VRING_BASE_INFLIGHT;
        let is_noted = self.protocol.contains(noted) && self.queues.has_area();
        if is_noted || self.queues.has_stopped(queue) {
            self.stopped(queue);
        } else {
            self.overdue.arm(STOPPED_WITHIN);
        }
        Ok(Answer::Later)
    }

    pub(super) fn stopped(&mut self, queue: u16) {
        self.stopping = None;
        self.overdue.disarm();
        let base = self.queues.end(queue);
        if let Ok(layout) = self.layout(queue) {
            // The base is what follows; a front end that does not say it goes on here.
            *layout = Layout { base, ..*layout };
        }
        let state = VhostUserVringState::new(queue.into(), base.into());
        self.send(FrontendReq::GET_VRING_BASE.into(), &state);
    }

    /// A queue of ours, and a number about it.
    fn state(&self, message: &Message) -> Result<(u16, u32), Refusal> {
        let state: VhostUserVringState = message.payload().ok_or(SHORT)?;
        Ok((self.queue(state.index)?, state.num))
    }

    /// A queue of ours, and an event's file descriptor if there is one.
    fn event(&self, message: &mut Message) -> Result<(u16, Option<OwnedFd>), Refusal> {
        let number = number(message)?;
        let queue = self.queue((number & 0xff) as u32)?;
        let has_file = number & (1 << 8) == 0;
        match message.file() {
            None if has_file => Err("an event without a file descriptor"),
            file => Ok((queue, file)),
        }
    }

    fn queue(&self, index: u32) -> Result<u16, Refusal> {
        u16::try_from(index)
            .ok()
            .filter(|&queue| usize::from(queue) < self.queues.len())
            .ok_or(NO_QUEUE)
    }

    fn layout(&mut self, queue: u16) -> Result<&mut Layout, Refusal> {
        self.layouts.get_mut(usize::from(queue)).ok_or(NO_QUEUE)
    }
}
