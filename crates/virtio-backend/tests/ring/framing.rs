// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! "The framing of messages with descriptors is independent of the contents of the buffers" (virtio
//! 2.7.4).

use std::cell::RefCell;

use proptest::collection::vec;
use proptest::prelude::{Just, Strategy, any, prop_assert_eq};
use proptest::test_runner::{Config, TestRunner};
use virtio_backend::testing::{Vm, feature};

use crate::common::{REQUESTS, echo, serve};

/// Bytes and where to cut them.
fn cut_bytes() -> impl Strategy<Value = (Vec<u8>, Vec<usize>)> {
    vec(any::<u8>(), 0..100).prop_flat_map(|bytes| {
        let cuts = vec(0..=bytes.len(), 0..30).prop_map(|mut cuts| {
            cuts.sort_unstable();
            cuts
        });
        (Just(bytes), cuts)
    })
}

fn pieces<'b>(bytes: &'b [u8], cuts: &[usize]) -> Vec<&'b [u8]> {
    let starts = [0].into_iter().chain(cuts.iter().copied());
    let ends = cuts.iter().copied().chain([bytes.len()]);
    starts
        .zip(ends)
        .map(|(start, end)| &bytes[start..end])
        .collect()
}

#[test]
fn any_split_of_a_request_gets_the_same_answer() {
    let (direct, _) = serve(echo);
    let (indirect, _) = serve(echo);
    let direct = RefCell::new(Vm::boot(&direct.socket(), feature::ALL, &[1024]).unwrap());
    let indirect = RefCell::new(Vm::boot(&indirect.socket(), feature::ALL, &[2]).unwrap());
    let config = Config {
        failure_persistence: None,
        ..Config::default()
    };

    let splits = (cut_bytes(), vec(0..20_usize, 1..30));
    TestRunner::new(config)
        .run(&splits, |((bytes, cuts), room)| {
            let readable = pieces(&bytes, &cuts);
            let mut answer = [b"!", &bytes[..]].concat();
            answer.truncate(room.iter().sum());
            for vm in [&direct, &indirect] {
                let answered = vm.borrow_mut().rings[REQUESTS].ask(&readable, &room);
                prop_assert_eq!(answered.as_ref(), Some(&answer));
            }
            Ok(())
        })
        .unwrap();
}

#[test]
fn two_hundred_segments_are_one_request() {
    let (server, _) = serve(echo);
    let mut vm = Vm::boot(&server.socket(), feature::ALL, &[4]).unwrap();
    let segments = [b"segment!".as_slice(); 200];

    let answer = vm.rings[REQUESTS].ask(&segments, &[4096]);

    assert_eq!(answer, Some([b"!", &segments.concat()[..]].concat()));
}

#[test]
fn three_hundred_writable_buffers_are_one_answer() {
    let (server, _) = serve(|_, reply| {
        let answer: Vec<u8> = (0..=u8::MAX).cycle().take(reply.room()).collect();
        reply.send(&answer);
    });
    for size in [4, 512] {
        let mut vm = Vm::boot(&server.socket(), feature::ALL, &[size]).unwrap();

        let answer = vm.rings[REQUESTS].ask(&[b"fill"], &[3; 300]);

        assert_eq!(answer, Some((0..=u8::MAX).cycle().take(900).collect()));
    }
}

#[test]
fn descriptors_may_come_before_an_indirect_table() {
    let (server, _) = serve(echo);
    let mut vm = Vm::boot(&server.socket(), feature::ALL, &[4]).unwrap();
    let mut chain = vm.memory.chain(&[b"direct ", b""], &[]);
    let table = vm.memory.chain(&[b"and indirect"], &[32]);
    chain[1] = vm.memory.indirect(&table);
    let ring = &mut vm.rings[REQUESTS];

    ring.submit(&chain);

    let used = ring.wait().unwrap();
    assert_eq!(vm.memory.answer(&table, used.len), b"!direct and indirect");
}

#[test]
fn a_request_that_is_too_long_arrives_cut_after_one_byte_too_many() {
    let (server, _) = serve(|request, reply| reply.send(&request.len().to_le_bytes()));
    let mut vm = Vm::boot(&server.socket(), feature::ALL, &[64]).unwrap();
    let ring = &mut vm.rings[REQUESTS];

    assert_eq!(
        ring.ask(&[&[0; 4095]], &[8]),
        Some(4095_usize.to_le_bytes().to_vec())
    );
    assert_eq!(
        ring.ask(&[&[0; 4096]], &[8]),
        Some(4096_usize.to_le_bytes().to_vec())
    );
    assert_eq!(
        ring.ask(&[&[0; 4097]], &[8]),
        Some(4097_usize.to_le_bytes().to_vec())
    );
    assert_eq!(
        ring.ask(&[&[0; 4096], &[0; 4096]], &[8]),
        Some(4097_usize.to_le_bytes().to_vec())
    );
    assert_eq!(
        ring.ask(&[&[0; 300_000]], &[8]),
        Some(4097_usize.to_le_bytes().to_vec())
    );
}

#[test]
fn a_filled_answer_comes_in_order_however_long() {
    let (server, _) = serve(|_, reply| {
        let (room, mut bytes) = (reply.room(), (0..251_u8).cycle());
        reply.fill(room, |piece| piece.fill_with(|| bytes.next().unwrap()));
    });
    let mut vm = Vm::boot(&server.socket(), feature::ALL, &[64]).unwrap();

    let answer = vm.rings[REQUESTS]
        .ask(&[b"fill"], &[1, 70_000, 3, 4096])
        .unwrap();

    assert_eq!(answer.len(), 74_100);
    assert!(answer.iter().copied().eq((0..251).cycle().take(74_100)));
}

#[test]
fn the_last_bytes_of_a_room_are_written_alone_also_behind_a_hole() {
    let (server, _) = serve(|_, reply| reply.send_last(b"end"));
    let mut vm = Vm::boot(&server.socket(), feature::ALL, &[4]).unwrap();
    let mut chain = vm.memory.chain(&[b"ask"], &[8, 2, 2]);
    chain[1].len = 1 << 31; // There is not so much memory at that address.
    let status = vm.memory.chain(&[], &[0])[0].addr;
    for (buffer, start) in chain[2..].iter_mut().zip([0, 2]) {
        buffer.addr = status + start;
    }
    vm.memory.write(status, b"????");
    let ring = &mut vm.rings[REQUESTS];

    ring.submit(&chain);

    assert_eq!(ring.wait().map(|used| used.len), Some(0));
    assert_eq!(vm.memory.answer(&chain[2..], 4), b"?end");
}

#[test]
fn requests_on_a_ring_are_answered_in_order() {
    let (server, _) = serve(echo);
    let mut vm = Vm::boot(&server.socket(), feature::ALL, &[64]).unwrap();
    let chains: Vec<_> = (0..32_u8).map(|n| vm.memory.chain(&[&[n]], &[2])).collect();
    let ring = &mut vm.rings[REQUESTS];
    let heads: Vec<_> = chains.iter().map(|chain| ring.add(chain)).collect();

    heads.iter().for_each(|&head| ring.push(head));
    ring.notify();

    for (n, (chain, &head)) in (0..).zip(chains.iter().zip(&heads)) {
        let used = ring.wait().unwrap();
        assert_eq!(used.id, u32::from(head));
        assert_eq!(vm.memory.answer(chain, used.len), [b'!', n]);
    }
}

#[test]
fn indices_wrap_around_at_65536() {
    let (server, _) = serve(echo);
    for features in [feature::ALL, feature::ALL & !feature::EVENT_IDX] {
        let mut vm = Vm::boot(&server.socket(), features, &[2]).unwrap();
        let ring = &mut vm.rings[REQUESTS];
        let chain = vm.memory.chain(&[b"again"], &[6]);
        let head = ring.add(&chain);

        for _ in 0..66_000 {
            ring.push(head);
            ring.notify();
            assert_eq!(ring.wait().map(|used| used.len), Some(6));
        }
    }
}
