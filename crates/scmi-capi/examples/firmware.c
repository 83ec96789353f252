/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause */

/*
 * A firmware that serves two processors, each through a mailbox in shared memory (SCMI 3.2, shared memory based
 * transport) for its commands and one for what it is told unasked. One is trusted, and may take the other's clock away.
 *
 * Its system on chip is a PLL with two clocks behind it, a temperature sensor, a reset, a power domain, and a regulator
 * that takes its time. The registers of it are variables here; board.c is what a real board's support would be.
 */

#include "board.h"
#include "scmi_engine.h"

#define COUNT(table) (sizeof(table) / sizeof((table)[0]))

/* Each structure says first how long it is, so that a library that knows more of it can tell. */
#define SIZED(name) .size = sizeof(struct scmi_engine_##name)

/* What there is. */

enum { PLL, UART, SPI };

static const uint64_t pll_rates[] = {100000000, 800000000, 100000000};
static const uint64_t device_rates[] = {1000000, 10000000, 48000000};
static const uint16_t from_pll[] = {PLL};
static const uint16_t behind_pll[] = {UART, SPI};
static const struct scmi_engine_clock clocks[] = {
    {SIZED(clock), .name = "pll", .rates = pll_rates, .rate_count = 3, .rate_range = true,
     .dependents = behind_pll, .dependent_count = COUNT(behind_pll), .enable_latency = 50},
    {SIZED(clock), .name = "uart", .rates = device_rates, .rate_count = COUNT(device_rates),
     .parents = from_pll, .parent_count = COUNT(from_pll), .enable_latency = 1},
    {SIZED(clock), .name = "spi", .rates = device_rates, .rate_count = COUNT(device_rates),
     .parents = from_pll, .parent_count = COUNT(from_pll), .enable_latency = 1},
};

static const uint32_t intervals[] = {1 << 5, 10 << 5};
static const struct scmi_engine_axis die = {
    SIZED(axis), .name = "die", .unit = 2, .exponent = -3, .has_range = true, .resolution = 125,
    .lowest = -40000, .highest = 125000,
};
static const struct scmi_engine_sensor sensors[] = {
    {SIZED(sensor), .scale = &die, .intervals = intervals, .interval_count = COUNT(intervals), .trip_points = 2, .updates = true},
};

static const struct scmi_engine_reset_domain resets[] = {
    {SIZED(reset_domain), .name = "spi", .latency = 10},
};
static const struct scmi_engine_power_domain power[] = {{SIZED(power_domain), .name = "peripherals"}};

static const int32_t core_levels[] = {800000, 1000000, 25000};
static const struct scmi_engine_voltage_domain voltages[] = {
    {SIZED(voltage_domain), .name = "vdd-core", .levels = core_levels, .level_count = 3, .level_range = true},
};

/* Its registers. */

static struct {
    bool power, clock[COUNT(clocks)], sensor, reset, voltage;
    uint64_t rate[COUNT(clocks)];
    int64_t temperature;
    int32_t level;
} registers;

static struct scmi_engine engine = {.size = sizeof(engine)};

/*
 * The ramp of the regulator that goes on, which ends when the board's timer says so. Another one takes its place: the
 * engine tells who waited. Once it is complete, to say so again does nothing.
 */
static uint64_t ramp;

static int32_t switch_power(void *context, uint16_t agent, uint16_t domain, bool on, uint64_t ticket)
{
    (void)agent, (void)ticket;
    (void)context, (void)domain;
    registers.power = on;
    return SCMI_ENGINE_SUCCESS;
}

static int32_t switch_clock(void *context, uint16_t agent, uint16_t clock, bool on, uint64_t ticket)
{
    (void)agent, (void)ticket;
    (void)context;
    registers.clock[clock] = on;
    return SCMI_ENGINE_SUCCESS;
}

static int32_t rate(void *context, uint16_t clock, uint64_t *rate)
{
    (void)context;
    *rate = registers.rate[clock];
    return SCMI_ENGINE_SUCCESS;
}

static int32_t set_rate(void *context, uint16_t agent, uint16_t clock, uint64_t rate, uint64_t ticket)
{
    (void)context, (void)agent, (void)ticket;
    registers.rate[clock] = rate;
    return SCMI_ENGINE_SUCCESS;
}

static int32_t parent(void *context, uint16_t clock, uint16_t *parent)
{
    (void)context;
    *parent = PLL;
    return clock == PLL ? SCMI_ENGINE_NOT_SUPPORTED : SCMI_ENGINE_SUCCESS;
}

static int32_t set_parent(void *context, uint16_t agent, uint16_t clock, uint16_t parent, uint64_t ticket)
{
    (void)context, (void)agent, (void)clock, (void)parent, (void)ticket;
    return SCMI_ENGINE_SUCCESS; /* There is only one. */
}

static int32_t restore_clock(void *context, uint16_t agent, uint16_t clock, uint64_t ticket)
{
    (void)context, (void)agent, (void)ticket;
    registers.rate[clock] = clock == PLL ? 100000000 : 1000000;
    return SCMI_ENGINE_SUCCESS;
}

static int32_t switch_sensor(void *context, uint16_t agent, uint16_t sensor, bool on, uint64_t ticket)
{
    (void)agent, (void)ticket;
    (void)context, (void)sensor;
    registers.sensor = on;
    return SCMI_ENGINE_SUCCESS;
}

static int32_t reading(void *context, uint16_t sensor, uint8_t axis, int64_t *value, uint64_t *timestamp)
{
    (void)context, (void)sensor, (void)axis, (void)timestamp;
    *value = registers.temperature;
    return SCMI_ENGINE_SUCCESS;
}

static int32_t switch_reset(void *context, uint16_t agent, uint16_t domain, bool on, uint64_t ticket)
{
    (void)agent, (void)ticket;
    (void)context, (void)domain;
    registers.reset = !on;
    return SCMI_ENGINE_SUCCESS;
}

static int32_t reset(void *context, uint16_t agent, uint16_t domain, uint64_t ticket)
{
    switch_reset(context, agent, domain, false, ticket);
    return switch_reset(context, agent, domain, true, ticket);
}

static int32_t switch_voltage(void *context, uint16_t agent, uint16_t domain, bool on, uint64_t ticket)
{
    (void)agent, (void)ticket;
    (void)context, (void)domain;
    registers.voltage = on;
    return SCMI_ENGINE_SUCCESS;
}

static int32_t level(void *context, uint16_t domain, int32_t *level)
{
    (void)context, (void)domain;
    *level = registers.level;
    return SCMI_ENGINE_SUCCESS;
}

static int32_t set_level(void *context, uint16_t agent, uint16_t domain, int32_t level, uint64_t ticket)
{
    (void)context, (void)agent, (void)domain;
    if (ticket == SCMI_ENGINE_NO_TICKET)
        return SCMI_ENGINE_BUSY; /* It takes its time, and nobody could wait for it. */
    registers.level = level;
    ramp = ticket;
    return SCMI_ENGINE_LATER;
}

static int32_t restore_voltage(void *context, uint16_t agent, uint16_t domain, uint64_t ticket)
{
    (void)context, (void)agent, (void)domain, (void)ticket;
    registers.level = 800000;
    return SCMI_ENGINE_SUCCESS;
}

/* Something did not go off, or back, that should: the timer tries again. */
static bool again;

static void retry_later(void *context)
{
    (void)context;
    again = true;
}

static const struct scmi_engine_platform platform = {
    SIZED(platform), .vendor = "example", .sub_vendor = "firmware", .version = 1,
    .power_domains = power, .power_domain_count = COUNT(power),
    .clocks = clocks, .clock_count = COUNT(clocks),
    .sensors = sensors, .sensor_count = COUNT(sensors),
    .reset_domains = resets, .reset_domain_count = COUNT(resets),
    .voltage_domains = voltages, .voltage_domain_count = COUNT(voltages),
    .retry_later = retry_later,
    .switch_power = switch_power,
    .switch_clock = switch_clock, .rate = rate, .set_rate = set_rate, .parent = parent,
    .set_parent = set_parent, .restore_clock = restore_clock,
    .switch_sensor = switch_sensor, .reading = reading,
    .switch_reset = switch_reset, .reset = reset,
    .switch_voltage = switch_voltage, .level = level, .set_level = set_level,
    .restore_voltage = restore_voltage,
};

/* Who gets what of it: all is the application processor's but the UART, which both have. */

#define ALL (SCMI_ENGINE_SWITCH | SCMI_ENGINE_CHANGE | SCMI_ENGINE_REPARENT)

static const struct scmi_engine_grant first[] = {{SIZED(grant), .resource = 0, .rights = ALL}};
static const struct scmi_engine_grant measuring[] = {{SIZED(grant), .resource = 0, .rights = ALL, .starts_on = true}};
static const struct scmi_engine_grant application_clocks[] = {
    {SIZED(grant), .resource = SPI, .rights = ALL}, {SIZED(grant), .resource = UART, .rights = ALL}, {SIZED(grant), .resource = PLL},
};
enum { RADIO_DEVICE = 1 };

static const struct scmi_engine_grant radio_clocks[] = {
    {SIZED(grant), .resource = UART, .rights = SCMI_ENGINE_SWITCH, .device = RADIO_DEVICE},
};

enum { APPLICATION, RADIO, AGENTS };

static const struct scmi_engine_agent agents[AGENTS] = {
    [APPLICATION] = {
        SIZED(agent), .name = "application", .profile = SCMI_ENGINE_3_2, .trusted = true,
        .power_domains = first, .power_domain_count = 1,
        .clocks = application_clocks, .clock_count = COUNT(application_clocks),
        .sensors = measuring, .sensor_count = 1,
        .reset_domains = first, .reset_domain_count = 1,
        .voltage_domains = first, .voltage_domain_count = 1,
    },
    [RADIO] = {
        SIZED(agent), .name = "radio", .profile = SCMI_ENGINE_2_0,
        .clocks = radio_clocks, .clock_count = COUNT(radio_clocks),
    },
};

/* What the engine needs for that: 896 bytes, beside its own 160. */

static struct scmi_engine_agent_state agent_states[AGENTS];
static struct scmi_engine_grant_state grant_states[7 + 1];
static struct scmi_engine_resource_state resource_states[1 + 3 + 1 + 1 + 1];
static struct scmi_engine_trip_state trip_states[2];
static struct scmi_engine_pending_state pending_states[AGENTS * 2];

static const struct scmi_engine_memory memory = {
    SIZED(memory), .agents = agent_states,
    .grants = grant_states, .grant_count = COUNT(grant_states),
    .resources = resource_states, .resource_count = COUNT(resource_states),
    .trips = trip_states, .trip_count = COUNT(trip_states),
    .pending = pending_states, .pending_count = COUNT(pending_states),
};

/* The mailboxes. */

#define LONGEST sizeof(((struct mailbox *)0)->message)

static void answer(uint32_t agent)
{
    volatile struct mailbox *mailbox = &board_shared->commands[agent];
    uint8_t request[LONGEST], response[LONGEST];
    uint32_t length = mailbox->length, place;

    /* What is in shared memory may change at any time: it is looked at once. */
    if (length > sizeof(request))
        length = sizeof(request);
    board_read(request, mailbox->message, length);
    int32_t answered = scmi_engine_handle(&engine, agent, request, length, response, sizeof(response), &place);
    while (answered < 0) {
        /* Somebody waits for the regulator, which takes its time. */
        scmi_engine_complete(&engine, ramp, SCMI_ENGINE_SUCCESS);
        answered = (int32_t)scmi_engine_answer(&engine, place, response, sizeof(response));
    }
    board_write(mailbox->message, response, answered);
    mailbox->length = answered;
    board_give(&mailbox->status);
}

static void tell(uint32_t agent)
{
    volatile struct mailbox *mailbox = &board_shared->events[agent];
    uint8_t event[LONGEST];

    if (!(mailbox->status & MAILBOX_FREE))
        return; /* What is in there is not read yet. */
    size_t length = scmi_engine_next_event(&engine, agent, event, sizeof(event));
    if (length == 0)
        return;
    board_write(mailbox->message, event, length);
    mailbox->length = length;
    board_take(&mailbox->status);
}

int main(void)
{
    registers.temperature = 25000;
    registers.level = 800000;
    for (uint16_t clock = 0; clock < COUNT(clocks); clock++)
        restore_clock(NULL, SCMI_ENGINE_NO_AGENT, clock, SCMI_ENGINE_NO_TICKET);
    if (scmi_engine_init(&engine, &platform, agents, AGENTS, &memory) != SCMI_ENGINE_SUCCESS)
        return 1;
    for (uint16_t agent = 0; agent < AGENTS; agent++)
        scmi_engine_set_events(&engine, agent, true);

    for (;;) {
        switch (board_wait()) {
        case DOORBELL + APPLICATION:
            answer(APPLICATION);
            break;
        case DOORBELL + RADIO:
            answer(RADIO);
            break;
        case REBOOTED + APPLICATION:
            scmi_engine_reset_agent(&engine, APPLICATION, SCMI_ENGINE_DISCONNECTED);
            /* What it took from the other is not its own, and stays away unless the firmware gives it back. */
            scmi_engine_permit(&engine, RADIO, RADIO_DEVICE, 0, true);
            break;
        case REBOOTED + RADIO:
            scmi_engine_reset_agent(&engine, RADIO, SCMI_ENGINE_DISCONNECTED);
            break;
        case TIMER:
            scmi_engine_complete(&engine, ramp, SCMI_ENGINE_SUCCESS);
            registers.temperature += 1000;
            scmi_engine_sensor_updated(&engine, 0);
            if (again)
                again = scmi_engine_retry(&engine) != SCMI_ENGINE_SUCCESS;
            break;
        default:
            return 0;
        }
        for (uint32_t agent = 0; agent < AGENTS; agent++)
            tell(agent);
        board_ring();
    }
}
