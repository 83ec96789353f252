// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! The virtio SCMI device (virtio 1.4, "SCMI Device"): guests use the clocks, sensors, reset lines, power domains and
//! regulators of one platform, each those that it was given.
//!
//! A [`Board`] is the platform, made up as a [`Description`] says, with [`scmi`]'s engine in front. [`Scmi`] is the
//! device of one guest. The example `scmi_in_process` uses one without a socket or a thread.
#![forbid(unsafe_code)]

mod board;
mod description;
mod device;
mod soc;

pub use board::{Access, Agent, Board, Grant};
pub use description::{
    Clock, ClockType, Description, Mistake, PowerDomain, RateRange, Regulator, Reset, Sensor,
    SensorType, Value, VoltageRange,
};
pub use device::Scmi;
