// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! Messages on the wire (SPEC.md 3, 4 and 5).

use std::time::Duration;

/// `VIRTIO_WATCHDOG_F_CONTROL`
pub(crate) const F_CONTROL: u64 = 1 << 0;
/// `VIRTIO_WATCHDOG_F_PRETIMEOUT`
pub(crate) const F_PRETIMEOUT: u64 = 1 << 1;
/// `VIRTIO_WATCHDOG_F_RESTART`
pub(crate) const F_RESTART: u64 = 1 << 2;

/// Answers a plain ping.
pub(crate) const PONG: u8 = 1;

/// No time: none is left because nothing runs, or there is no limit.
const NEVER: u32 = u32::MAX;

/// Length of `struct virtio_watchdog_request`.
pub(crate) const REQUEST: usize = 16;

/// `VIRTIO_WATCHDOG_START_LOCK`
const START_LOCK: u32 = 1 << 0;

/// How long a channel runs without a ping, and how long before that it tells: no time if not.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Times {
    pub(crate) timeout: Duration,
    pub(crate) pretimeout: Duration,
}

/// `struct virtio_watchdog_request`.
///
/// | bytes | field |
/// |---|---|
/// | 0..2 | type |
/// | 2..4 | channel |
/// | 4..8 | timeout |
/// | 8..12 | pretimeout |
/// | 12..16 | flags |
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Request {
    Ping(u16),
    /// The times are the default ones if there are none.
    Start {
        channel: u16,
        times: Option<Times>,
        lock: bool,
    },
    Stop(u16),
    SetTimeout(u16, Option<Times>),
    Status(u16),
    Suspend,
    Resume,
    Restart,
    BootDone,
}

/// `VIRTIO_WATCHDOG_S_…`
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub(crate) enum Status {
    Ok = 1,
    Invalid = 2,
    Unsupported = 3,
    Range = 4,
    Locked = 5,
    Expired = 6,
    Busy = 7,
}

/// `VIRTIO_WATCHDOG_STATE_…`
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub(crate) enum State {
    Stopped = 0,
    Running = 1,
    Pretimeout = 2,
    Expired = 3,
}

/// `VIRTIO_WATCHDOG_FLAG_…`
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Flags {
    pub(crate) locked: bool,
    pub(crate) running: bool,
    pub(crate) boot: bool,
    pub(crate) suspended: bool,
    pub(crate) expired: bool,
}

/// `VIRTIO_WATCHDOG_BOOT_STATUS_…`: why the device reset the guest.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u32)]
pub(crate) enum BootStatus {
    Expired = 1 << 0,
    Boot = 1 << 1,
    Restart = 1 << 2,
    Panic = 1 << 3,
}

/// `struct virtio_watchdog_response`.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Response {
    pub(crate) status: Status,
    pub(crate) state: State,
    pub(crate) flags: Flags,
    pub(crate) times: Times,
    pub(crate) time_left: Option<Duration>,
}

/// `struct virtio_watchdog_event`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Event {
    Pretimeout(u16, Duration),
    /// Of a channel, or of the guest as a whole.
    Expired(Option<u16>),
}

/// `struct virtio_watchdog_config`.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Config {
    pub(crate) min_timeout: Duration,
    pub(crate) max_timeout: Duration,
    pub(crate) default: Times,
    pub(crate) max_suspend: Option<Duration>,
    pub(crate) num_channels: u16,
    pub(crate) flags: Flags,
    pub(crate) boot_status: Option<BootStatus>,
    pub(crate) reset_count: u32,
    pub(crate) time_left: Option<Duration>,
}

impl Request {
    /// # Errors
    /// What the driver did wrong, as far as the bytes tell.
    pub(crate) fn parse(bytes: &[u8]) -> Result<Self, Status> {
        let bytes: &[u8; REQUEST] = bytes.try_into().map_err(|_| Status::Invalid)?;
        let &[t0, t1, c0, c1, ref rest @ ..] = bytes;
        let [o0, o1, o2, o3, p0, p1, p2, p3, f0, f1, f2, f3] = *rest;
        let channel = u16::from_le_bytes([c0, c1]);
        let timeout = u32::from_le_bytes([o0, o1, o2, o3]);
        let pretimeout = u32::from_le_bytes([p0, p1, p2, p3]);
        let flags = u32::from_le_bytes([f0, f1, f2, f3]);
        let times = (timeout != 0).then(|| Times {
            timeout: Duration::from_millis(timeout.into()),
            pretimeout: Duration::from_millis(pretimeout.into()),
        });
        let timeless = (timeout, pretimeout) == (0, 0);
        let (request, known) = match u16::from_le_bytes([t0, t1]) {
            1 => (Self::Ping(channel), timeless && flags == 0),
            2 => {
                let lock = flags & START_LOCK != 0;
                let start = Self::Start {
                    channel,
                    times,
                    lock,
                };
                (start, flags & !START_LOCK == 0)
            }
            3 => (Self::Stop(channel), timeless && flags == 0),
            4 => (Self::SetTimeout(channel, times), flags == 0),
            5 => (Self::Status(channel), timeless && flags == 0),
            6 => (Self::Suspend, *bytes == all_zero_but(6)),
            7 => (Self::Resume, *bytes == all_zero_but(7)),
            8 => (Self::Restart, *bytes == all_zero_but(8)),
            9 => (Self::BootDone, *bytes == all_zero_but(9)),
            _ => return Err(Status::Unsupported),
        };
        if known {
            Ok(request)
        } else {
            Err(Status::Invalid)
        }
    }

    /// The channel that it is about: the first, if it has none.
    pub(crate) fn channel(self) -> u16 {
        match self {
            Self::Ping(channel)
            | Self::Start { channel, .. }
            | Self::Stop(channel)
            | Self::SetTimeout(channel, _)
            | Self::Status(channel) => channel,
            Self::Suspend | Self::Resume | Self::Restart | Self::BootDone => 0,
        }
    }

    /// The times that it asks for.
    pub(crate) fn times(self) -> Option<Times> {
        match self {
            Self::Start { times, .. } | Self::SetTimeout(_, times) => times,
            _ => None,
        }
    }
}

/// A request of a type that has neither channel nor times nor flags.
fn all_zero_but(kind: u8) -> [u8; REQUEST] {
    let mut bytes = [0; REQUEST];
    bytes[0] = kind;
    bytes
}

impl Flags {
    fn bits(self) -> u16 {
        [
            self.locked,
            self.running,
            self.boot,
            self.suspended,
            self.expired,
        ]
        .iter()
        .rev()
        .fold(0, |bits, flag| bits << 1 | u16::from(*flag))
    }
}

impl Response {
    pub(crate) fn emit(&self) -> [u8; 16] {
        let [f0, f1] = self.flags.bits().to_le_bytes();
        let [o0, o1, o2, o3] = millis(self.times.timeout).to_le_bytes();
        let [p0, p1, p2, p3] = millis(self.times.pretimeout).to_le_bytes();
        let [l0, l1, l2, l3] = self.time_left.map_or(NEVER, millis).to_le_bytes();
        let (status, state) = (self.status as u8, self.state as u8);
        [
            status, state, f0, f1, o0, o1, o2, o3, p0, p1, p2, p3, l0, l1, l2, l3,
        ]
    }
}

impl Event {
    pub(crate) fn emit(self) -> [u8; 8] {
        let (kind, channel, time_left) = match self {
            Self::Pretimeout(channel, left) => (1, channel, millis(left)),
            Self::Expired(channel) => (2, channel.unwrap_or(u16::MAX), 0),
        };
        let [c0, c1] = channel.to_le_bytes();
        let [l0, l1, l2, l3] = time_left.to_le_bytes();
        [kind, 0, c0, c1, l0, l1, l2, l3]
    }
}

impl Config {
    pub(crate) fn emit(&self) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(36);
        bytes.extend(millis(self.min_timeout).to_le_bytes());
        bytes.extend(millis(self.max_timeout).to_le_bytes());
        bytes.extend(millis(self.default.timeout).to_le_bytes());
        bytes.extend(millis(self.default.pretimeout).to_le_bytes());
        bytes.extend(self.max_suspend.map_or(NEVER, millis).to_le_bytes());
        bytes.extend(self.num_channels.to_le_bytes());
        bytes.extend(self.flags.bits().to_le_bytes());
        let boot_status = self.boot_status.map_or(0, |status| status as u32);
        bytes.extend(boot_status.to_le_bytes());
        bytes.extend(self.reset_count.to_le_bytes());
        bytes.extend(self.time_left.map_or(NEVER, millis).to_le_bytes());
        bytes
    }
}

/// A time on the wire. What is too long for it is as long as can be said.
fn millis(time: Duration) -> u32 {
    u32::try_from(time.as_millis())
        .unwrap_or(NEVER)
        .min(NEVER - 1)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const MS: Duration = Duration::from_millis(1);

    /// A request in the specification's words: type, channel, timeout, pretimeout, flags.
    fn request(kind: u16, channel: u16, timeout: u32, pretimeout: u32, flags: u32) -> Vec<u8> {
        [
            &kind.to_le_bytes()[..],
            &channel.to_le_bytes(),
            &timeout.to_le_bytes(),
            &pretimeout.to_le_bytes(),
            &flags.to_le_bytes(),
        ]
        .concat()
    }

    #[test]
    fn every_request_of_the_specification_is_understood() {
        let start = [2, 0, 2, 1, 0x10, 0x27, 0, 0, 0xe8, 3, 0, 0, 1, 0, 0, 0];
        let times = Some(Times {
            timeout: 10_000 * MS,
            pretimeout: 1_000 * MS,
        });
        let understood = Request::Start {
            channel: 0x0102,
            times,
            lock: true,
        };
        assert_eq!(Request::parse(&start), Ok(understood));
        let start = Request::Start {
            channel: 0,
            times: None,
            lock: false,
        };
        for (bytes, understood) in [
            (request(1, 7, 0, 0, 0), Request::Ping(7)),
            (request(2, 0, 0, 0, 0), start),
            // The pretimeout of the default timeout is the default one.
            (request(2, 0, 0, 5, 0), start),
            (request(3, 7, 0, 0, 0), Request::Stop(7)),
            (
                request(4, 7, 10_000, 1_000, 0),
                Request::SetTimeout(7, times),
            ),
            (request(5, 7, 0, 0, 0), Request::Status(7)),
            (request(6, 0, 0, 0, 0), Request::Suspend),
            (request(7, 0, 0, 0, 0), Request::Resume),
            (request(8, 0, 0, 0, 0), Request::Restart),
            (request(9, 0, 0, 0, 0), Request::BootDone),
        ] {
            assert_eq!(Request::parse(&bytes), Ok(understood), "{bytes:?}");
        }
    }

    #[test]
    fn what_has_to_be_0_and_is_not_is_invalid() {
        for kind in [1, 3, 5, 6, 7, 8, 9] {
            for bytes in [
                request(kind, 0, 1, 0, 0),
                request(kind, 0, 0, 1, 0),
                request(kind, 0, 0, 0, 1),
                request(kind, 0, 0, 0, 1 << 31),
            ] {
                assert_eq!(Request::parse(&bytes), Err(Status::Invalid), "{bytes:?}");
            }
        }
        for kind in [6, 7, 8, 9] {
            let bytes = request(kind, 1, 0, 0, 0);
            assert_eq!(Request::parse(&bytes), Err(Status::Invalid), "{bytes:?}");
        }
        for flag in 1..32 {
            let bytes = request(2, 0, 0, 0, 1 << flag);
            assert_eq!(Request::parse(&bytes), Err(Status::Invalid), "{bytes:?}");
        }
        let bytes = request(4, 0, 10, 0, 1);
        assert_eq!(Request::parse(&bytes), Err(Status::Invalid));
    }

    #[test]
    fn a_type_that_is_not_in_the_table_is_unsupported_whatever_else_it_says() {
        for kind in (10..=u16::MAX).chain([0]) {
            for bytes in [
                request(kind, 0, 0, 0, 0),
                request(kind, 9, u32::MAX, u32::MAX, u32::MAX),
            ] {
                assert_eq!(Request::parse(&bytes), Err(Status::Unsupported));
            }
        }
    }

    #[test]
    fn any_other_length_than_16_is_invalid() {
        let bytes = [request(5, 0, 0, 0, 0), vec![0; 9]].concat();
        for length in (0..16).chain(17..=25) {
            assert_eq!(Request::parse(&bytes[..length]), Err(Status::Invalid));
        }
    }

    #[test]
    fn a_response_has_16_bytes() {
        let response = Response {
            status: Status::Locked,
            state: State::Pretimeout,
            flags: Flags {
                locked: true,
                running: true,
                ..Flags::default()
            },
            times: Times {
                timeout: 0x0102_0304 * MS,
                pretimeout: 0x0506 * MS,
            },
            time_left: Some(0x0708 * MS),
        };
        let bytes = [5, 2, 3, 0, 4, 3, 2, 1, 6, 5, 0, 0, 8, 7, 0, 0];
        assert_eq!(response.emit(), bytes);
        let response = Response {
            status: Status::Ok,
            state: State::Stopped,
            flags: Flags {
                boot: true,
                suspended: true,
                expired: true,
                ..Flags::default()
            },
            time_left: None,
            ..response
        };
        let bytes = [
            1, 0, 0x1c, 0, 4, 3, 2, 1, 6, 5, 0, 0, 0xff, 0xff, 0xff, 0xff,
        ];
        assert_eq!(response.emit(), bytes);
    }

    #[test]
    fn statuses_and_states_are_numbered() {
        use Status::{Busy, Expired, Invalid, Locked, Ok, Range, Unsupported};
        let statuses = [Ok, Invalid, Unsupported, Range, Locked, Expired, Busy];
        assert_eq!(statuses.map(|status| status as u8), [1, 2, 3, 4, 5, 6, 7]);
        let states = [
            State::Stopped,
            State::Running,
            State::Pretimeout,
            State::Expired,
        ];
        assert_eq!(states.map(|state| state as u8), [0, 1, 2, 3]);
    }

    #[test]
    fn an_event_has_8_bytes() {
        let pretimeout = Event::Pretimeout(0x0102, 0x0304 * MS);
        assert_eq!(pretimeout.emit(), [1, 0, 2, 1, 4, 3, 0, 0]);
        let expired = Event::Expired(Some(0x0102));
        assert_eq!(expired.emit(), [2, 0, 2, 1, 0, 0, 0, 0]);
        let boot = Event::Expired(None);
        assert_eq!(boot.emit(), [2, 0, 0xff, 0xff, 0, 0, 0, 0]);
    }

    #[test]
    fn the_configuration_space_has_36_bytes() {
        let config = Config {
            min_timeout: MS,
            max_timeout: 0x0203 * MS,
            default: Times {
                timeout: 0x0405 * MS,
                pretimeout: 0x0607 * MS,
            },
            max_suspend: Some(0x0809 * MS),
            num_channels: 0x0a0b,
            flags: Flags {
                running: true,
                ..Flags::default()
            },
            boot_status: Some(BootStatus::Boot),
            reset_count: 0x0c0d_0e0f,
            time_left: Some(0x1011 * MS),
        };
        let bytes = [
            1, 0, 0, 0, 3, 2, 0, 0, 5, 4, 0, 0, 7, 6, 0, 0, 9, 8, 0, 0, 0xb, 0xa, 2, 0, 2, 0, 0, 0,
            0xf, 0xe, 0xd, 0xc, 0x11, 0x10, 0, 0,
        ];
        assert_eq!(config.emit(), bytes);
        let config = Config {
            max_suspend: None,
            boot_status: None,
            time_left: None,
            ..config
        };
        let bytes = config.emit();
        assert_eq!(bytes[0x10..0x14], [0xff; 4]);
        assert_eq!(bytes[0x18..0x1c], [0; 4]);
        assert_eq!(bytes[0x20..], [0xff; 4]);
    }

    #[test]
    fn a_time_that_is_too_long_is_not_taken_for_none() {
        assert_eq!(millis(Duration::MAX), u32::MAX - 1);
        assert_eq!(millis(MS / 2), 0);
    }

    proptest! {
        #[test]
        fn no_bytes_panic(bytes in proptest::collection::vec(any::<u8>(), 0..40)) {
            if let Ok(request) = Request::parse(&bytes) {
                prop_assert_eq!(bytes.len(), 16);
                prop_assert!(request.times().is_none_or(|times| !times.timeout.is_zero()));
            }
        }
    }
}
