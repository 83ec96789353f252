/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause */

/*
 * A board for the firmware: a Linux process without a C library, whose doorbells are bytes from its standard input and
 * to its standard output, and whose shared memory is the file that it has as standard error.
 */

#include "board.h"

int main(void);

volatile struct shared *board_shared;

static long call(long number, long a, long b, long c, long d, long e, long f)
{
#if defined(__x86_64__)
    register long r10 __asm__("r10") = d, r8 __asm__("r8") = e, r9 __asm__("r9") = f;
    long result;
    __asm__ volatile("syscall" : "=a"(result)
                     : "a"(number), "D"(a), "S"(b), "d"(c), "r"(r10), "r"(r8), "r"(r9)
                     : "rcx", "r11", "memory");
    return result;
#elif defined(__aarch64__)
    register long x8 __asm__("x8") = number, x0 __asm__("x0") = a, x1 __asm__("x1") = b;
    register long x2 __asm__("x2") = c, x3 __asm__("x3") = d, x4 __asm__("x4") = e, x5 __asm__("x5") = f;
    __asm__ volatile("svc 0" : "+r"(x0) : "r"(x8), "r"(x1), "r"(x2), "r"(x3), "r"(x4), "r"(x5) : "memory");
    return x0;
#endif
}

#if defined(__x86_64__)
enum { READ = 0, WRITE = 1, MMAP = 9, EXIT = 60 };
__asm__(".globl _start\n_start: xor %ebp, %ebp\nand $-16, %rsp\ncall start\n");
#elif defined(__aarch64__)
enum { READ = 63, WRITE = 64, MMAP = 222, EXIT = 93 };
__asm__(".globl _start\n_start: bl start\n");
#endif

__attribute__((used, noreturn)) void start(void)
{
    enum { READABLE = 1, WRITABLE = 2, SHARED = 1 };
    long memory = call(MMAP, 0, sizeof(struct shared), READABLE | WRITABLE, SHARED, 2, 0);
    board_shared = (volatile struct shared *)memory;
    int code = memory < 0 ? 2 : main();
    for (;;)
        call(EXIT, code, 0, 0, 0, 0, 0);
}

int board_wait(void)
{
    uint8_t byte;
    return call(READ, 0, (long)&byte, 1, 0, 0, 0) == 1 ? byte : 0;
}

void board_ring(void)
{
    uint8_t byte = 0;
    call(WRITE, 1, (long)&byte, 1, 0, 0, 0);
}

void board_read(void *to, const volatile void *from, size_t length)
{
    for (size_t at = 0; at < length; at++)
        ((uint8_t *)to)[at] = ((const volatile uint8_t *)from)[at];
}

void board_write(volatile void *to, const void *from, size_t length)
{
    for (size_t at = 0; at < length; at++)
        ((volatile uint8_t *)to)[at] = ((const uint8_t *)from)[at];
}

void board_give(volatile uint32_t *status)
{
    __atomic_fetch_or(status, MAILBOX_FREE, __ATOMIC_RELEASE);
}

void board_take(volatile uint32_t *status)
{
    __atomic_fetch_and(status, ~(uint32_t)MAILBOX_FREE, __ATOMIC_RELEASE);
}

/* What compilers take for granted. */

void *memset(void *to, int byte, size_t length)
{
    for (volatile uint8_t *at = to; length > 0; length--)
        *at++ = byte;
    return to;
}

void *memcpy(void *restrict to, const void *restrict from, size_t length)
{
    board_write(to, from, length);
    return to;
}

void *memmove(void *to, const void *from, size_t length)
{
    if ((uintptr_t)to <= (uintptr_t)from)
        return memcpy(to, from, length);
    while (length-- > 0)
        ((volatile uint8_t *)to)[length] = ((const uint8_t *)from)[length];
    return to;
}
