// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! A guest's device on a bus that remembers what was transferred.

use std::collections::BTreeSet;
use std::io;
use std::mem;
use std::sync::{Arc, Mutex};

use virtio_backend::testing::{Answer, reply};
use virtio_backend::{Device, Token, Watch};
use virtio_i2c::{Adapter, Address, Bus, Data, I2c, Message};

/// `VIRTIO_I2C_F_ZERO_LENGTH_REQUEST`.
pub(crate) const ZERO_LENGTH_REQUEST: u64 = 1;

/// Flags of a request.
pub(crate) const FAIL_NEXT: u8 = 1;
pub(crate) const M_RD: u8 = 2;

/// Granted, and nobody acknowledges there.
pub(crate) const SILENT: Address = Address::Seven(0x51);

/// `struct virtio_i2c_out_hdr` with the low bytes of `addr` and `flags`.
pub(crate) fn header(addr: u8, flags: u8) -> [u8; 8] {
    [addr, 0, 0, 0, flags, 0, 0, 0]
}

/// The chips that a guest is granted: 0x48 to 0x51, and one with a ten-bit address.
pub(crate) fn granted() -> BTreeSet<Address> {
    (0x48..=0x51)
        .map(Address::Seven)
        .chain([Address::Ten(0x123)])
        .collect()
}

/// What is read from a [`Recorder`].
pub(crate) fn numbers() -> impl Iterator<Item = u8> {
    (1..=u8::MAX).cycle()
}

/// A bus that remembers.
#[derive(Clone, Default)]
pub(crate) struct Recorder(Arc<Mutex<Vec<Vec<String>>>>);

impl Recorder {
    /// What was transferred since this was last asked: transactions of messages, each `w[bytes]` or
    /// `r` and a length, behind its address. The last of a transaction that failed was not
    /// acknowledged.
    pub(crate) fn transactions(&self) -> Vec<Vec<String>> {
        mem::take(&mut self.0.lock().unwrap())
    }
}

impl Bus for Recorder {
    fn transfer(&mut self, messages: &mut [Message<'_>]) -> io::Result<()> {
        let mut transactions = self.0.lock().unwrap();
        transactions.push(Vec::new());
        for message in messages {
            let address = message.address;
            let said = match &mut message.data {
                Data::Write(bytes) => format!("{address} w{bytes:02x?}"),
                Data::Read(bytes) => {
                    numbers().zip(&mut **bytes).for_each(|(n, byte)| *byte = n);
                    format!("{address} r{}", bytes.len())
                }
            };
            transactions.last_mut().unwrap().push(said);
            if address == SILENT {
                return Err(io::Error::other("no such device or address"));
            }
        }
        Ok(())
    }
}

/// A guest whose driver accepted all features.
pub(crate) struct Guest {
    pub(crate) i2c: I2c,
    pub(crate) bus: Recorder,
}

/// A device whose timer nobody waits for.
pub(crate) fn device(adapter: &Arc<Adapter>) -> I2c {
    let watch = Watch::new().unwrap();
    let mut i2c = I2c::new("guest", Arc::clone(adapter), granted(), &watch).unwrap();
    i2c.negotiated(ZERO_LENGTH_REQUEST);
    i2c
}

impl Guest {
    pub(crate) fn new() -> Self {
        let bus = Recorder::default();
        let adapter = Arc::new(Adapter::new(bus.clone()));
        let i2c = device(&adapter);
        Self { i2c, bus }
    }

    /// Makes a request with `room` for the answer.
    pub(crate) fn ask(&mut self, request: &[u8], room: usize) -> Answer {
        let (reply, answer) = reply(room);
        self.i2c.handle(0, request, reply);
        answer
    }

    /// The driver has made its requests, and the time for more has passed.
    pub(crate) fn drained(&mut self) {
        self.i2c.drained(0);
        self.i2c.ready(Token(0));
    }
}
