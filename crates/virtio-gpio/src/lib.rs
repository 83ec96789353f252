// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! The virtio GPIO device (virtio 1.4, "GPIO Device"): a guest uses lines of the host, or ones that
//! are [simulated](SimulatedChip).
//!
//! [`Gpio`] is the device of one guest. Its lines belong to a [`Chip`], which guests share.
#![forbid(unsafe_code)]

mod chip;
mod device;
mod line;
mod linux;
mod simulated;
mod wire;

pub use chip::{Bias, Chip, Drive, Edges, Pin, Settings, Usage};
pub use device::{Access, Gpio, Grant, Rest};
pub use linux::{Abi, LinuxChip};
pub use simulated::SimulatedChip;
