// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! The virtio I²C adapter (virtio 1.4, "I2C Adapter Device"): a guest talks to chips on a bus of
//! the host, or on one that is [simulated](SimulatedBus).
//!
//! [`I2c`] is the device of one guest. It reaches the bus, a [`Bus`], through an [`Adapter`], which
//! guests share. A simulated bus is reached on the thread that has the request. A bus of the host takes
//! its time, as long as it likes: the devices on it run on a thread of their own, a
//! [`Hardware`](virtio_backend::Hardware). A VMM drives them as virtio-rng's example `rng_in_process` drives its device.

mod bus;
mod device;
mod linux;
mod simulated;
mod wire;

pub use bus::{Adapter, Address, Bus, Data, MAX_LENGTH, MAX_MESSAGES, Message};
pub use device::I2c;
pub use linux::{LinuxBus, Settings};
pub use simulated::{Chip, Eeprom, Lm75, Nack, SimulatedBus};
