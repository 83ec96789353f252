// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! What a front end says of the memory that it shares: the guest's, the log of what is written to that,
//! and the area of requests in flight.

use std::mem;

use vhost::vhost_user::VhostUserProtocolFeatures as Protocol;
use vhost::vhost_user::message::{
    FrontendReq, VhostUserLog, VhostUserMemory, VhostUserMemoryRegion,
};
use vm_memory::ByteValued;

use super::connection::Message;
use super::dirty::Log;
use super::inflight::{Area, Extent};
use super::lost::REASON;
use super::memory::{MAX_REGIONS, Table};
use super::queues::Host;
use super::session::{Answer, Refusal, SHORT, Session};

/// What memory that is not shared looks like from here.
const NOT_SHARED: &str = "the guest's memory is not shared (QEMU: share=on)";

/// Bytes before the region in a message about one.
const PADDING: usize = 8;

impl Session {
    /// Does what a message about memory asks.
    pub(super) fn answer_about_memory(
        &mut self,
        request: FrontendReq,
        message: &mut Message,
        host: &mut Host<'_>,
    ) -> Result<Answer, Refusal> {
        match request {
            FrontendReq::SET_MEM_TABLE => self.set_memory(message, host)?,
            FrontendReq::SET_LOG_BASE => return self.set_log(message, host),
            // To tell of each page that was written: front ends look by themselves.
            FrontendReq::SET_LOG_FD => {}
            FrontendReq::GET_INFLIGHT_FD => {
                // The front end waits for an answer, in which no area has no size.
                let made = extent(message).and_then(Extent::make);
                let made = made.inspect_err(|fault| {
                    host.warn(format_args!("no area for requests in flight: {fault}"));
                });
                return Ok(match made {
                    Ok((extent, file)) => Answer::File(extent.bytes(), file),
                    Err(_) => Answer::Bytes(vec![0; Extent::SIZE]),
                });
            }
            FrontendReq::SET_INFLIGHT_FD => {
                let file = message.file().ok_or("an area without a file")?;
                let area = Area::new(extent(message)?, file, host.reactor)?;
                self.queues.set_inflight(area);
            }
            FrontendReq::GET_MAX_MEM_SLOTS => return Ok(Answer::Number(MAX_REGIONS as u64)),
            FrontendReq::ADD_MEM_REG => {
                let region = self.region(message, PADDING)?;
                let file = message.file().ok_or(NOT_SHARED)?;
                self.replace_memory(self.table.with(&region, file)?, host)?;
            }
            // It may come with a descriptor, which is of no use.
            FrontendReq::REM_MEM_REG => {
                let region = self.region(message, PADDING)?;
                self.replace_memory(self.table.without(&region)?, host)?;
            }
            _ => return Err("it was not offered"),
        }
        Ok(Answer::Done)
    }

    fn set_memory(&mut self, message: &mut Message, host: &mut Host<'_>) -> Result<(), Refusal> {
        let count = message
            .payload::<VhostUserMemory>()
            .ok_or(SHORT)?
            .num_regions as usize;
        if count > MAX_REGIONS {
            return Err("more than 32 regions of memory");
        }
        let mut regions = Vec::new();
        for index in 0..count {
            let at = size_of::<VhostUserMemory>() + index * self.region_size();
            regions.push(self.region(message, at)?);
        }
        if message.files.len() < count {
            return Err(NOT_SHARED);
        }
        let table = Table::new(&regions, mem::take(&mut message.files))?;
        if table.is_empty() {
            host.warn(format_args!(
                "a table of memory without regions: {NOT_SHARED}"
            ));
        }
        self.replace_memory(table, host)
    }

    /// How long a region is in a message, in bytes. With XEN_MMAP it says how Xen shares it.
    fn region_size(&self) -> usize {
        match self.protocol.contains(Protocol::XEN_MMAP) {
            true => 40,
            false => 32,
        }
    }

    /// The region that a message has at `at`. What does not say how Xen shares it is a file's.
    fn region(&self, message: &Message, at: usize) -> Result<VhostUserMemoryRegion, Refusal> {
        let long = |index: usize| message.payload_at::<u64>(at + 8 * index).ok_or(SHORT);
        let [guest_phys_addr, memory_size, user_addr, mmap_offset] =
            [long(0)?, long(1)?, long(2)?, long(3)?];
        #[cfg(feature = "xen")]
        let [xen_mmap_flags, xen_mmap_data] = match self.region_size() {
            40 => [32, 36].map(|word| message.payload_at(at + word).ok_or(SHORT)),
            _ => [Ok(0), Ok(0)],
        };
        Ok(VhostUserMemoryRegion {
            guest_phys_addr,
            memory_size,
            user_addr,
            mmap_offset,
            #[cfg(feature = "xen")]
            xen_mmap_flags: xen_mmap_flags?,
            #[cfg(feature = "xen")]
            xen_mmap_data: xen_mmap_data?,
        })
    }

    fn replace_memory(&mut self, table: Table, host: &mut Host<'_>) -> Result<(), Refusal> {
        // What was lost may be in the new one as well, where it looks as if it were there: the session
        // ends.
        let was_there = self.queues.set_memory(table.map().clone(), host.reactor);
        self.table = table;
        was_there.then_some(()).ok_or(REASON)
    }

    /// Answered with what it says, as crate vhost's front end wants it; QEMU looks at no payload.
    fn set_log(&mut self, message: &mut Message, host: &Host<'_>) -> Result<Answer, Refusal> {
        let log: VhostUserLog = message.payload().ok_or(SHORT)?;
        let file = message.file().ok_or("a log without a file")?;
        self.queues.set_log(Log::new(&log, file, host.reactor)?);
        Ok(Answer::Bytes(log.as_slice().to_vec()))
    }
}

/// What a message about the area of requests in flight says, with or without padding at its end.
fn extent(message: &Message) -> Result<Extent, Refusal> {
    Ok(Extent {
        size: message.payload_at(0).ok_or(SHORT)?,
        offset: message.payload_at(8).ok_or(SHORT)?,
        queues: message.payload_at(16).ok_or(SHORT)?,
        entries: message.payload_at(18).ok_or(SHORT)?,
    })
}
