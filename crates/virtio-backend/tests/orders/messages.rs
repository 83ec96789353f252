// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! Messages that are odd, wrong or impossible. Only what is no message at all ends a session.

use std::os::fd::AsFd;
use std::sync::mpsc::Receiver;

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::pipe::{PipeFlags, pipe_with};
use virtio_backend::testing::{LIMIT, Server, feature};

use crate::device::{Echo, Seen, echo, resets, serve, was_reset};
use crate::log::{collect, warnings};
use crate::machine::{Machine, single};
use crate::wire::{
    ADD_MEM_REG, GET_CONFIG, GET_FEATURES, NEED_REPLY, REM_MEM_REG, SET_FEATURES, SET_MEM_TABLE,
    SET_OWNER, SET_PROTOCOL_FEATURES, SET_VRING_ADDR, SET_VRING_BASE, SET_VRING_CALL,
    SET_VRING_ENABLE, SET_VRING_ERR, SET_VRING_KICK, SET_VRING_NUM, Wire, longs, message, words,
};

/// REPLY_ACK and CONFIG.
const ACCEPTED: u64 = 1 << 3 | 1 << 9;

/// A guest whose two queues run.
struct Guest {
    server: Server<Echo>,
    seen: Receiver<Seen>,
    wire: Wire,
    machine: Machine,
}

impl Guest {
    /// A guest that the log calls `name`.
    fn start(name: &str) -> Self {
        let (server, seen) = serve(name);
        let machine = Machine::new(&[64, 64]);
        let wire = connect(&server);
        machine.set_mem_table(&wire);
        let guest = Self {
            server,
            seen,
            wire,
            machine,
        };
        guest.set_up(0);
        guest.set_up(1);
        guest
    }

    fn set_up(&self, queue: usize) {
        let (queue, wire) = (&self.machine.queues[queue], &self.wire);
        queue.set_num(wire);
        queue.set_base(wire, 0);
        queue.set_addr(wire);
        queue.set_kick(wire);
        queue.set_call(wire);
        queue.set_err(wire);
        queue.enable(wire, 1);
    }

    fn works(&mut self) -> bool {
        self.machine.works()
    }
}

/// A front end that wants to know of each message whether it was done, before there are queues.
fn connect(server: &Server<Echo>) -> Wire {
    let mut wire = Wire::connect(&server.socket());
    wire.tell(SET_PROTOCOL_FEATURES, &longs(&[ACCEPTED]), &[]);
    wire.asks = true;
    wire.tell(SET_OWNER, &[], &[]);
    wire.tell(SET_FEATURES, &longs(&[feature::ALL]), &[]);
    wire
}

#[test]
fn any_part_of_the_configuration_space_can_be_read() {
    let (server, _) = serve("guest");
    let wire = connect(&server);
    let parts: [([u32; 2], &[u8]); 5] = [
        ([0, 0], b""),
        ([3, 4], b"ytes"),
        ([6, 4], b"s.\0\0"),
        ([0xffff_fffc, 8], &[0; 8]),
        ([u32::MAX, 1], b"\0"),
    ];
    for ([offset, size], expected) in parts {
        let asked = words(&[offset, size, 0]);
        let room = vec![0; size.try_into().unwrap()];
        let answer = wire.ask(GET_CONFIG, &[&asked[..], &room].concat());
        assert_eq!(answer, Some([&asked[..], expected].concat()));
    }
}

#[test]
fn more_of_the_configuration_space_than_fits_into_a_message_is_cut() {
    let (server, _) = serve("guest");
    let wire = connect(&server);

    for size in [4096, u32::MAX] {
        let answer = wire.ask(GET_CONFIG, &words(&[0, size, 0])).unwrap();

        let expected = [&words(&[0, 4084, 0])[..], b"8 bytes."].concat();
        assert_eq!(answer[..20], expected);
        assert_eq!(answer.len(), 4096);
        assert!(answer[20..].iter().all(|&byte| byte == 0));
    }
}

#[test]
fn a_question_about_the_configuration_space_without_a_part_is_answered() {
    let (server, _) = serve("guest");
    let wire = connect(&server);

    assert_eq!(wire.ask(GET_CONFIG, b"?"), Some(vec![0; 12]));
}

#[test]
fn what_is_not_known_or_not_offered_is_refused_and_the_session_goes_on() {
    let mut guest = Guest::start("guest");
    let numbers = (0..=50).chain([0x1000, u32::MAX]);
    // RESET_OWNER is known, and of no effect; GET_PROTOCOL_FEATURES and so on are offered.
    let offered = [1..=5, 7..=18, 21..=21, 24..=24, 31..=31, 34..=34, 36..=38];
    for number in numbers.filter(|number| !offered.iter().any(|range| range.contains(number))) {
        assert!(!guest.wire.is_done(number, &[0; 64], &[]), "{number}");
        guest.wire.send(&message(number, 0, &[0; 64]), &[]);
    }
    assert!(guest.works());
    assert_eq!(resets(&guest.seen), 0);
}

#[test]
fn a_driver_may_accept_access_platform_also_where_it_is_not_offered() {
    const ACCESS_PLATFORM: u64 = 1 << 33;
    let (server, _) = serve("guest");
    let wire = connect(&server);
    let offered = wire.number(GET_FEATURES);
    assert_eq!(offered & ACCESS_PLATFORM, 0);
    let accepted = longs(&[feature::ALL | ACCESS_PLATFORM]);
    assert!(wire.is_done(SET_FEATURES, &accepted, &[]));
    let accepted = longs(&[feature::ALL | ACCESS_PLATFORM << 1]);
    assert!(!wire.is_done(SET_FEATURES, &accepted, &[]));

    let server = Server::on_a_platform(|_watch| echo().0);
    let wire = connect(&server);
    assert_eq!(wire.number(GET_FEATURES), offered | ACCESS_PLATFORM);
}

#[test]
fn an_owner_may_say_so_twice() {
    let (server, seen) = serve("guest");
    let wire = connect(&server);

    assert!(wire.is_done(SET_OWNER, &[], &[]));

    assert_ne!(wire.number(GET_FEATURES), 0);
    assert_eq!(resets(&seen), 0);
}

#[test]
fn a_message_that_is_too_short_is_refused() {
    let mut guest = Guest::start("guest");
    let requests = [
        (SET_FEATURES, 7),
        (SET_MEM_TABLE, 7),
        (SET_MEM_TABLE, 0),
        (SET_VRING_NUM, 7),
        (SET_VRING_ADDR, 39),
        (SET_VRING_BASE, 7),
        (SET_VRING_KICK, 7),
        (SET_VRING_CALL, 7),
        (SET_VRING_ERR, 0),
        (SET_VRING_ENABLE, 4),
        (ADD_MEM_REG, 39),
        (REM_MEM_REG, 8),
    ];
    for (request, length) in requests {
        let payload = vec![0; length];
        assert!(!guest.wire.is_done(request, &payload, &[]), "{request}");
    }
    assert!(guest.works());
}

#[test]
fn a_table_that_promises_more_regions_than_it_has_is_refused() {
    let mut guest = Guest::start("guest");
    let mut table = guest.machine.table();
    for count in [3_u32, 33, u32::MAX] {
        table[..4].copy_from_slice(&count.to_ne_bytes());
        let files: Vec<_> = guest.machine.memory.files().iter().map(|r| r.2).collect();
        assert!(!guest.wire.is_done(SET_MEM_TABLE, &table, &files));
    }
    assert!(guest.works());
}

#[test]
fn a_queue_that_the_device_does_not_have_is_refused() {
    let mut guest = Guest::start("guest");
    let file = guest.machine.memory.files()[0]
        .2
        .try_clone_to_owned()
        .unwrap();
    for queue in [2, 255, 65_536, u32::MAX] {
        let state = words(&[queue, 1]);
        for request in [SET_VRING_NUM, SET_VRING_BASE, SET_VRING_ENABLE] {
            assert!(!guest.wire.is_done(request, &state, &[]));
        }
        let addresses = [state, vec![0; 32]].concat();
        assert!(!guest.wire.is_done(SET_VRING_ADDR, &addresses, &[]));
    }
    for request in [SET_VRING_KICK, SET_VRING_CALL, SET_VRING_ERR] {
        let index = longs(&[2]);
        assert!(!guest.wire.is_done(request, &index, &[file.as_fd()]));
    }
    assert!(guest.works());
}

/// Says that the second queue is beside where it is, which has to be refused, and that the first one
/// works; then that the second one is where it is.
#[track_caller]
fn is_refused_alone(beside: [u64; 3]) {
    let mut guest = Guest::start("guest");
    let second = &guest.machine.queues[1];

    assert!(
        !guest
            .wire
            .is_done(SET_VRING_ADDR, &second.addresses(beside), &[])
    );
    assert!(second.is_broken());
    assert!(guest.works());

    guest.set_up(1);
    guest.machine.queues.swap(0, 1);
    assert!(guest.works());
    assert!(was_reset(&guest.seen));
}

#[test]
fn descriptors_outside_memory_are_refused_with_their_message() {
    is_refused_alone([1 << 40, 0, 0]);
}

#[test]
fn an_available_ring_outside_memory_is_refused_with_its_message() {
    is_refused_alone([0, 1 << 40, 0]);
}

#[test]
fn a_used_ring_outside_memory_is_refused_with_its_message() {
    is_refused_alone([0, 0, 1 << 40]);
}

#[test]
fn descriptors_at_an_odd_address_are_refused_with_their_message() {
    is_refused_alone([8, 0, 0]);
}

#[test]
fn an_available_ring_at_an_odd_address_is_refused_with_its_message() {
    is_refused_alone([0, 1, 0]);
}

#[test]
fn a_used_ring_at_an_odd_address_is_refused_with_its_message() {
    is_refused_alone([0, 0, 2]);
}

#[test]
fn a_ring_outside_memory_breaks_alone_when_no_answer_is_wanted() {
    collect();
    let mut guest = Guest::start("outside");
    let second = &guest.machine.queues[1];
    let addresses = second.addresses([1 << 40; 3]);

    guest
        .wire
        .send(&message(SET_VRING_ADDR, 0, &addresses), &[]);

    assert!(second.is_broken());
    assert!(guest.works());
    assert_eq!(warnings("outside").len(), 1);
}

#[test]
fn a_size_that_no_ring_has_is_refused() {
    let mut guest = Guest::start("guest");
    let second = &guest.machine.queues[1];

    for size in [0, 3, 2048, 65_536, u32::MAX] {
        assert!(!guest.wire.is_done(SET_VRING_NUM, &second.state(size), &[]));
    }

    assert!(second.is_broken());
    assert!(guest.works());
}

#[test]
fn a_table_without_regions_is_said_to_be_memory_that_is_not_shared() {
    collect();
    let mut guest = Guest::start("tableless");

    assert!(guest.wire.is_done(SET_MEM_TABLE, &words(&[0, 0]), &[]));

    let lines = warnings("tableless");
    assert_eq!(lines.len(), 1, "{lines:?}");
    assert!(lines[0].contains("share=on"), "{lines:?}");
    // With memory, and rings that are set up again, it goes on.
    guest.machine.set_mem_table(&guest.wire);
    guest.machine.reset();
    guest.set_up(0);
    assert!(guest.works());
}

#[test]
fn a_region_without_a_file_is_said_to_be_memory_that_is_not_shared() {
    collect();
    let mut guest = Guest::start("fileless");
    let (start, size, file) = guest.machine.memory.files()[0];
    let table = guest.machine.table();

    assert!(!guest.wire.is_done(SET_MEM_TABLE, &table, &[file]));
    let lines = warnings("fileless");
    assert_eq!(lines.len(), 1, "{lines:?}");
    assert!(lines[0].contains("share=on"), "{lines:?}");

    assert!(!guest.wire.is_done(ADD_MEM_REG, &single(start, size), &[]));
    assert!(warnings("fileless")[1].contains("share=on"));
    assert!(guest.works());
}

#[test]
fn a_region_may_be_removed_with_a_descriptor_and_only_once() {
    let mut guest = Guest::start("guest");
    let (start, size, file) = guest.machine.memory.files()[1];
    let region = single(start, size);

    assert!(guest.wire.is_done(REM_MEM_REG, &region, &[file]));
    assert!(!guest.wire.is_done(REM_MEM_REG, &region, &[file]));

    assert!(guest.wire.is_done(ADD_MEM_REG, &region, &[file]));
    assert!(!guest.wire.is_done(ADD_MEM_REG, &region, &[file]));
    assert!(guest.works());
}

#[test]
fn descriptors_that_no_message_needs_are_closed() {
    let mut guest = Guest::start("guest");
    let (watched, given) = pipe_with(PipeFlags::CLOEXEC).unwrap();
    let many = vec![given.as_fd(); 60];

    // With one message, and piece by piece.
    assert!(guest.wire.is_done(AGAIN, &longs(&[feature::ALL]), &many));
    for piece in message(GET_FEATURES, 0, &[]).chunks(1) {
        guest.wire.send(piece, &many[..20]);
    }
    assert!(guest.wire.answer(GET_FEATURES).is_some());
    drop(given);

    let within = Timespec::try_from(LIMIT).unwrap();
    let mut polled = [PollFd::new(&watched, PollFlags::empty())];
    assert_eq!(poll(&mut polled, Some(&within)), Ok(1));
    assert!(guest.works());
}

/// What a front end may say again at any time, with the same features.
const AGAIN: u32 = SET_FEATURES;

/// What is no message ends the session, and the next front end is served.
#[track_caller]
fn ends_the_session(bytes: &[u8]) {
    let mut guest = Guest::start("guest");
    assert!(guest.works());

    guest.wire.send(bytes, &[]);

    assert!(guest.wire.is_hung_up(LIMIT));
    assert!(was_reset(&guest.seen));
    assert_eq!(
        connect(&guest.server)
            .ask(GET_FEATURES, &[])
            .map(|f| f.len()),
        Some(8)
    );
}

#[test]
fn another_version_ends_the_session() {
    ends_the_session(&words(&[GET_FEATURES, 2, 0]));
    ends_the_session(&words(&[GET_FEATURES, 0, 0]));
}

#[test]
fn a_size_that_no_message_has_ends_the_session() {
    ends_the_session(&words(&[GET_FEATURES, 1, 4097]));
    ends_the_session(&words(&[SET_FEATURES, 1, u32::MAX]));
}

#[test]
fn something_else_than_vhost_user_ends_the_session() {
    ends_the_session(b"GET / HTTP/1.1\r\n\r\n");
}

#[test]
fn the_longest_message_there_is_does_not_end_the_session() {
    let mut guest = Guest::start("guest");

    assert!(guest.wire.is_done(
        AGAIN,
        &[longs(&[feature::ALL]), vec![0; 4088]].concat(),
        &[]
    ));

    assert!(guest.works());
}

#[test]
fn a_message_may_come_byte_by_byte() {
    let mut guest = Guest::start("guest");
    let table = message(SET_MEM_TABLE, NEED_REPLY, &guest.machine.table());
    let files = guest.machine.memory.files();
    let files: Vec<_> = files.iter().map(|region| region.2).collect();

    for (index, byte) in table.chunks(1).enumerate() {
        guest.wire.send(byte, if index == 0 { &files } else { &[] });
    }

    assert_eq!(guest.wire.answer(SET_MEM_TABLE), Some(vec![0; 8]));
    assert!(guest.works());
}

#[test]
fn files_may_come_with_the_last_byte_of_a_message() {
    let mut guest = Guest::start("guest");
    let table = message(SET_MEM_TABLE, NEED_REPLY, &guest.machine.table());
    let files = guest.machine.memory.files();
    let files: Vec<_> = files.iter().map(|region| region.2).collect();
    let (last, rest) = table.split_last().unwrap();

    guest.wire.send(rest, &files[..1]);
    guest.wire.send(&[*last], &files[1..]);

    assert_eq!(guest.wire.answer(SET_MEM_TABLE), Some(vec![0; 8]));
    assert!(guest.works());
}

#[test]
fn many_messages_may_come_at_once() {
    let guest = Guest::start("guest");
    let question = message(GET_FEATURES, 0, &[]);

    guest.wire.send(&question.repeat(100), &[]);

    let first = guest.wire.answer(GET_FEATURES);
    assert!(first.is_some());
    for _ in 1..100 {
        assert_eq!(guest.wire.answer(GET_FEATURES), first);
    }
}
