// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! One front end's session: what each of its messages means.
//!
//! A message that cannot be done is refused, with a line in the log, and in the answer if the front
//! end asked for one. The session goes on: front ends do not bear its end. QEMU 10 and 11 abort the VM
//! at the next reboot, cloud-hypervisor over a configuration space that cannot be read.

use std::fmt;
use std::mem;
use std::os::fd::{AsFd, OwnedFd};
use std::sync::Arc;
use std::time::{Duration, Instant};

use vhost::vhost_user::VhostUserProtocolFeatures as Protocol;
use vhost::vhost_user::message::{FrontendReq, VhostUserConfig, VhostUserVringState};
use vm_memory::ByteValued;

use super::connection::{Connection, Message, Received};
use super::feature;
use super::layout::Layout;
use super::lost::REASON;
use super::memory::Table;
use super::queues::{Host, Queues};
use super::source::Source;
use crate::Device;
use crate::reactor::{Key, Reactor, Timer};

/// Messages that a front end may send in its turn.
const TURN: usize = 16;

/// How long a front end may take for the rest of a message, and to read an answer; how long one that
/// has said nothing may keep another one waiting; and how long after a driver began the guest's memory
/// is looked at. A loaded host does not delay a process for so long.
pub(super) const PATIENCE: Duration = Duration::from_secs(5);

/// How long the hardware may take to finish what it works on when a queue stops. The front end, and
/// with it the guest, waits meanwhile. What is answered later is written when the queue goes on.
pub(super) const STOPPED_WITHIN: Duration = Duration::from_secs(10);

/// Longest configuration space that fits into a message, in bytes.
const MAX_CONFIG: u32 = 0x1000 - 12;

/// A session ends: why, if the front end has not just gone.
pub(super) struct End(pub(super) Option<&'static str>);

pub(super) struct Session {
    connection: Connection,
    pub(super) queues: Queues,
    pub(super) table: Table,
    /// ACCESS_PLATFORM is offered.
    access_platform: bool,
    /// What the front end says of each queue.
    pub(super) layouts: Vec<Layout>,
    /// What the front end and we have in common.
    pub(super) protocol: Protocol,
    /// Kept open: User-Mode Linux takes its end for the end of the device.
    channel: Option<OwnedFd>,
    /// The queue whose stop is not answered yet.
    pub(super) stopping: Option<u16>,
    has_owner: bool,
    begun: Instant,
    /// The front end has said something.
    has_spoken: bool,
    /// Another front end waits, and the log says so.
    contended: bool,
    /// What the front end has [`PATIENCE`] for.
    awaited: Option<Awaited>,
    pub(super) overdue: Timer,
    look: Timer,
    /// The guest's memory was looked at, or will be when `look` expires.
    looked: bool,
    pub(super) guest: Key,
}

/// What a front end has begun and is to end.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Awaited {
    Message,
    /// The answers that it has not read yet.
    Answers,
}

/// What a message is answered with.
pub(super) enum Answer {
    /// Nothing, unless the front end wants to know whether it was done.
    Done,
    Number(u64),
    State(VhostUserVringState),
    Bytes(Vec<u8>),
    /// Bytes and a file descriptor.
    File(Vec<u8>, OwnedFd),
    /// When the queue has stopped.
    Later,
}

/// Why a message is refused.
pub(super) type Refusal = &'static str;

impl Session {
    /// A session with who is at the other end of `socket`, which does not block, for a guest whose keys
    /// begin with `guest`. Drivers are offered `access_platform`.
    pub(super) fn new(
        socket: OwnedFd,
        device: &dyn Device,
        access_platform: bool,
        reactor: &Arc<Reactor>,
        guest: Key,
    ) -> Result<Self, Box<dyn std::error::Error>> {
        reactor.add(
            &socket,
            Source::Socket.key(guest),
            crate::reactor::Trigger::EdgeOfBoth,
        )?;
        let idle = reactor.waker(Source::Idle.key(guest));
        let queues = Queues::new(device, idle)?;
        Ok(Self {
            connection: Connection::new(socket),
            layouts: vec![Layout::default(); queues.len()],
            queues,
            table: Table::default(),
            access_platform,
            protocol: Protocol::empty(),
            channel: None,
            stopping: None,
            has_owner: false,
            begun: Instant::now(),
            has_spoken: false,
            contended: false,
            awaited: None,
            overdue: reactor.timer(Source::Overdue.key(guest)),
            look: reactor.timer(Source::Look.key(guest)),
            looked: false,
            guest,
        })
    }

    /// For how long there has been a session.
    pub(super) fn age(&self) -> Duration {
        self.begun.elapsed()
    }

    /// Whether the front end has said something.
    pub(super) fn has_spoken(&self) -> bool {
        self.has_spoken
    }

    /// Another front end waits: this one has to have said something within [`PATIENCE`]. The log says
    /// so once.
    pub(super) fn contend(&mut self, host: &Host<'_>) {
        if mem::replace(&mut self.contended, true) {
            return;
        }
        host.warn(format_args!(
            "another front end waits on the socket until the one that has been connected for {} s \
             disconnects",
            self.age().as_secs()
        ));
        if !self.has_spoken {
            self.overdue.arm(PATIENCE);
        }
    }

    pub(super) fn queues(&mut self) -> &mut Queues {
        &mut self.queues
    }

    /// Sees to what the front end says. `true` if it has more to say, for which it was not its turn
    /// any more.
    pub(super) fn converse(&mut self, host: &mut Host<'_>) -> Result<bool, End> {
        for _ in 0..TURN {
            if !self.connection.flush() {
                self.expect(Awaited::Answers);
                return Ok(false);
            }
            if self.awaited == Some(Awaited::Answers) {
                self.awaited = None;
                self.overdue.disarm();
            }
            if self.stopping.is_some() {
                // It waits for us, unless it has gone.
                return match self.connection.has_ended() {
                    true => Err(End(None)),
                    false => Ok(false),
                };
            }
            match self.connection.receive() {
                Received::Message(message) => self.hear(message, host)?,
                Received::Nothing => {
                    if self.connection.is_within_message() {
                        self.has_spoken = true;
                        self.expect(Awaited::Message);
                    }
                    return Ok(false);
                }
                Received::End(reason) => return Err(End(reason)),
            }
        }
        Ok(true)
    }

    /// The front end has [`PATIENCE`] from when this began: a byte now and then does not lengthen it.
    fn expect(&mut self, what: Awaited) {
        if self.awaited != Some(what) {
            self.awaited = Some(what);
            self.overdue.arm(PATIENCE);
        }
    }

    /// A queue that stops may have.
    pub(super) fn idle(&mut self, host: &mut Host<'_>) -> Result<bool, End> {
        match self.stopping {
            Some(queue) if self.queues.has_stopped(queue) => {
                self.stopped(queue);
                self.converse(host)
            }
            _ => Ok(false),
        }
    }

    /// What should have come has not.
    pub(super) fn overdue(&mut self, host: &mut Host<'_>) -> Result<bool, End> {
        if let Some(queue) = self.stopping {
            host.warn(format_args!(
                "queue {queue}: the hardware has not finished within {} s, and the guest goes on \
                 without its answer",
                STOPPED_WITHIN.as_secs()
            ));
            self.stopped(queue);
            return self.converse(host);
        }
        if !self.connection.flush() {
            return Err(End(Some("it does not read its answers")));
        }
        if self.connection.is_within_message() {
            return Err(End(Some("a message that it began did not end")));
        }
        if self.has_spoken {
            return Ok(false);
        }
        host.warn(format_args!(
            "a front end that asked for nothing within {} s is disconnected: another one waits",
            PATIENCE.as_secs()
        ));
        Err(End(None))
    }

    /// The driver kicked a queue, or something else happened to it. `true` if there is more.
    pub(super) fn kicked(&mut self, queue: u16, host: &mut Host<'_>) -> bool {
        if !self.looked {
            self.looked = true;
            self.look.arm(PATIENCE);
        }
        self.queues.serve(queue, host)
    }

    /// A driver has begun a while ago: is the guest's memory shared?
    pub(super) fn look(&mut self, host: &mut Host<'_>) -> bool {
        match self.queues.is_shared() {
            // No ring runs, or no driver kicked: looked at after the next event of a ring.
            None => self.looked = false,
            Some(true) => {}
            Some(false) => host.warn(format_args!(
                "the driver kicks, but nothing arrives that the guest writes: its memory is not \
                 shared (QEMU: share=on)"
            )),
        }
        // The kicks were read.
        self.queues.serve_all(host)
    }

    fn hear(&mut self, mut message: Message, host: &mut Host<'_>) -> Result<(), End> {
        self.has_spoken = true;
        self.awaited = None;
        self.overdue.disarm();
        let answer = self.answer(&mut message, host);
        // User-Mode Linux asks for an answer in the very message that says it may.
        let accepted = |feature| self.protocol.contains(feature);
        let wants = message.need_reply && accepted(Protocol::REPLY_ACK)
            // Whose front end waits for an answer in any case.
            || message.request() == Some(FrontendReq::SET_LOG_BASE) && accepted(Protocol::LOG_SHMFD);
        if self.queues.is_lost() {
            return Err(End(Some(REASON)));
        }
        match answer {
            Ok(Answer::Done) if wants => self.send(message.request, &0_u64),
            Ok(Answer::Done | Answer::Later) => {}
            Ok(Answer::Number(number)) => self.send(message.request, &number),
            Ok(Answer::State(state)) => self.send(message.request, &state),
            Ok(Answer::File(bytes, file)) => {
                let file = Some(file.as_fd());
                self.connection.answer(message.request, &bytes, file);
            }
            Ok(Answer::Bytes(bytes)) => self.connection.answer(message.request, &bytes, None),
            Err(refusal) => {
                host.warn(format_args!("{} is refused: {refusal}", Name(&message)));
                if wants {
                    self.send(message.request, &1_u64);
                }
            }
        }
        Ok(())
    }

    pub(super) fn send(&mut self, request: u32, payload: &impl ByteValued) {
        self.connection.answer(request, payload.as_slice(), None);
    }

    /// Does what a message asks.
    fn answer(&mut self, message: &mut Message, host: &mut Host<'_>) -> Result<Answer, Refusal> {
        let Some(request) = message.request() else {
            return Err("it is not known");
        };
        match request {
            FrontendReq::GET_FEATURES => return Ok(Answer::Number(self.features(host))),
            FrontendReq::SET_FEATURES => self.set_features(number(message)?, host)?,
            FrontendReq::SET_OWNER => self.set_owner(host),
            // Some front ends say it at their end, others never; it is deprecated, and changes nothing.
            FrontendReq::RESET_OWNER => {}
            FrontendReq::GET_PROTOCOL_FEATURES => {
                return Ok(Answer::Number(offered_protocol(host.device).bits()));
            }
            FrontendReq::SET_PROTOCOL_FEATURES => {
                // Some front ends accept what nobody offered. What is not offered is not done.
                let accepted = Protocol::from_bits_truncate(number(message)?);
                self.protocol = accepted & offered_protocol(host.device);
            }
            FrontendReq::GET_QUEUE_NUM => return Ok(Answer::Number(self.queues.len() as u64)),
            FrontendReq::SET_BACKEND_REQ_FD => self.channel = message.file(),
            FrontendReq::GET_CONFIG => return Ok(Answer::Bytes(config(message, host.device))),
            FrontendReq::RESET_DEVICE => {
                self.queues.clear(host);
                self.layouts.fill(Layout::default());
            }
            FrontendReq::IOTLB_MSG => return Err("guests behind a virtual IOMMU are not served"),
            FrontendReq::SET_MEM_TABLE
            | FrontendReq::GET_MAX_MEM_SLOTS
            | FrontendReq::ADD_MEM_REG
            | FrontendReq::REM_MEM_REG
            | FrontendReq::SET_LOG_BASE
            | FrontendReq::SET_LOG_FD
            | FrontendReq::GET_INFLIGHT_FD
            | FrontendReq::SET_INFLIGHT_FD => {
                return self.answer_about_memory(request, message, host);
            }
            _ => return self.answer_about_queue(request, message, host),
        }
        Ok(Answer::Done)
    }

    /// The features that a driver may accept.
    fn features(&self, host: &Host<'_>) -> u64 {
        host.device.features()
            | feature::VERSION_1
            | feature::INDIRECT_DESC
            | feature::EVENT_IDX
            | feature::LOG_ALL
            | feature::PROTOCOL_FEATURES
            | if self.access_platform {
                feature::ACCESS_PLATFORM
            } else {
                0
            }
    }

    fn set_features(&mut self, features: u64, host: &mut Host<'_>) -> Result<(), Refusal> {
        // Front ends of Xen have their drivers accept it by themselves. The addresses are the guest's
        // in any case.
        let acceptable = self.features(host) | feature::ACCESS_PLATFORM;
        if features & !acceptable != 0 {
            return Err("features that were not offered");
        }
        if features & feature::VERSION_1 == 0 {
            host.warn(format_args!(
                "the driver did not accept VIRTIO_F_VERSION_1: it is one for legacy devices (QEMU: \
                 disable-legacy=on)"
            ));
        }
        self.queues.set_features(features);
        // Without them the front end cannot say that a ring is enabled.
        if features & feature::PROTOCOL_FEATURES == 0 {
            for (queue, _) in (0..).zip(&self.layouts) {
                self.queues.set_enabled(queue, true, host);
            }
        }
        Ok(())
    }

    /// Said at the beginning, and by libkrun each time that a driver takes the device: that is a
    /// beginning, too. The memory stays, which libkrun says once.
    fn set_owner(&mut self, host: &mut Host<'_>) {
        if self.has_owner && self.queues.is_used() {
            self.queues.clear(host);
            self.layouts.fill(Layout::default());
        }
        self.has_owner = true;
    }
}

pub(super) const SHORT: Refusal = "it is too short";

/// Not CONFIGURE_MEM_SLOTS. To a back end that has it, QEMU hands no memory that it cannot share,
/// and says so to neither side. Without it QEMU tells its user what to do, and runs the guest
/// without the device. QEMU's guests have at most eight regions of memory then. Other front
/// ends need SET_MEM_TABLE alone: cloud-hypervisor, crosvm, User-Mode Linux.
fn offered_protocol(device: &dyn Device) -> Protocol {
    let mut offered = Protocol::MQ
        | Protocol::LOG_SHMFD
        | Protocol::REPLY_ACK
        | Protocol::BACKEND_REQ
        | Protocol::INFLIGHT_SHMFD
        | Protocol::GET_VRING_BASE_INFLIGHT
        | Protocol::RESET_DEVICE;
    offered.set(Protocol::CONFIG, !device.config().is_empty());
    offered.set(Protocol::XEN_MMAP, cfg!(feature = "xen"));
    offered
}

/// Any part of the configuration space.
fn config(message: &Message, device: &dyn Device) -> Vec<u8> {
    let mut asked: VhostUserConfig = message.payload().unwrap_or_default();
    asked.size = asked.size.min(MAX_CONFIG);
    let config = device.config();
    let mut answer = asked.as_slice().to_vec();
    let length = answer.len() + asked.size as usize;
    answer.extend(
        config
            .iter()
            .skip(asked.offset as usize)
            .take(asked.size as usize),
    );
    answer.resize(length, 0);
    answer
}

pub(super) fn number(message: &Message) -> Result<u64, Refusal> {
    message.payload().ok_or(SHORT)
}

/// A message's name for the log.
struct Name<'a>(&'a Message);

impl fmt::Display for Name<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0.request() {
            Some(request) => write!(f, "{request:?}"),
            None => write!(f, "message {}", self.0.request),
        }
    }
}
