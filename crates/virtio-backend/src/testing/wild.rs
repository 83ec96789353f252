// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! A guest that does at any moment what no guest should.

use std::io::{self, Write};
use std::os::unix::net::UnixStream;
use std::path::PathBuf;

use super::vm::random;
use super::{Vm, feature};

/// A guest that comes, breaks its ring, reboots, and dies in the middle of something, in an order
/// that looks random and is the same each time.
pub struct Wild {
    socket: PathBuf,
    seed: u64,
    vm: Option<Vm>,
}

impl Wild {
    /// A guest that will connect at `socket`. Those with different seeds, none of which is 0, do
    /// different things.
    pub fn new(socket: PathBuf, seed: u64) -> Self {
        let vm = None;
        Self { socket, seed, vm }
    }

    /// Some number.
    pub fn random(&mut self) -> u64 {
        random(&mut self.seed)
    }

    /// Does the next thing. That the back end may refuse, or may not have noticed yet that the guest's
    /// last front end is gone.
    pub fn act(&mut self) {
        let act = self.random() % 5;
        // An error is the back end's answer to what it was told.
        drop(self.try_act(act));
    }

    fn try_act(&mut self, act: u64) -> io::Result<()> {
        let Some(mut vm) = self.vm.take() else {
            if act == 0 {
                // Dies in the header of a message.
                return UnixStream::connect(&self.socket)?.write_all(&[1, 0, 0, 0, 1]);
            }
            self.vm = Some(Vm::boot(&self.socket, feature::ALL, &[64])?);
            return Ok(());
        };
        match act {
            // Dies with a request that may be in work.
            0 => {
                let chain = vm.memory.chain(&[], &[64]);
                vm.rings[0].submit(&chain);
                return Ok(());
            }
            // Dies with a ring that is broken.
            1 => {
                vm.misbehave(&mut self.seed);
                return Ok(());
            }
            2 => vm.reboot()?,
            _ => {
                vm.misbehave(&mut self.seed);
                vm.reboot()?;
            }
        }
        self.vm = Some(vm);
        Ok(())
    }
}
