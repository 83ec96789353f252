/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause */

/* What the firmware needs of its board. */

#ifndef BOARD_H
#define BOARD_H

#include <stddef.h>
#include <stdint.h>

/* A mailbox in shared memory (SCMI 3.2, shared memory area layout). */
struct mailbox {
    uint32_t reserved;
    uint32_t status;
    uint32_t reserved2[2];
    uint32_t flags;
    uint32_t length;
    uint8_t message[8 + 124]; /* Header, status and the longest values. */
};

#define MAILBOX_FREE 1

/* For each of two processors one for its commands, and one for what it is told unasked. */
struct shared {
    struct mailbox commands[2];
    struct mailbox events[2];
};

extern volatile struct shared *board_shared;

/* What happens: a doorbell or a reboot of one of the processors, the timer. Anything else is the end. */
enum { DOORBELL = 'a', REBOOTED = 'A', TIMER = 't' };

int board_wait(void);
void board_ring(void);

void board_read(void *to, const volatile void *from, size_t length);
void board_write(volatile void *to, const void *from, size_t length);

/* Gives a mailbox to its processor, with all that was written before, or takes it. */
void board_give(volatile uint32_t *status);
void board_take(volatile uint32_t *status);

#endif
