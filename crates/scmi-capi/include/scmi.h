/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause */

#ifndef SCMI_H
#define SCMI_H

/* Generated from scmi-capi by its test, which checks it. */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/**
 * What a function with a ticket returns if it is not done yet.
 */
#define SCMI_LATER 1

/**
 * An agent speaks SCMI 2.0.
 */
#define SCMI_2_0 0

/**
 * An agent speaks SCMI 3.0.
 */
#define SCMI_3_0 1

/**
 * An agent speaks SCMI 3.1.
 */
#define SCMI_3_1 2

/**
 * An agent speaks SCMI 3.2.
 */
#define SCMI_3_2 3

/**
 * The right to switch a resource on and off, by a vote.
 */
#define SCMI_SWITCH 1

/**
 * The right to change a rate or a level, to reset a domain, or to set a sensor's interval.
 */
#define SCMI_CHANGE 2

/**
 * The right to change a clock's parent.
 */
#define SCMI_REPARENT 4

/**
 * Status: it is done.
 */
#define SCMI_SUCCESS 0

/**
 * Status: the protocol, the message, or what it asks for, is not supported.
 */
#define SCMI_NOT_SUPPORTED -1

/**
 * Status: a parameter is out of its definition, or a reserved bit is set.
 */
#define SCMI_INVALID_PARAMETERS -2

/**
 * Status: the agent may not do that, or another agent would notice.
 */
#define SCMI_DENIED -3

/**
 * Status: there is no such resource.
 */
#define SCMI_NOT_FOUND -4

/**
 * Status: an index is beyond the end.
 */
#define SCMI_OUT_OF_RANGE -5

/**
 * Status: as much as possible is going on already.
 */
#define SCMI_BUSY -6

/**
 * Status: the hardware cannot be reached.
 */
#define SCMI_COMMS_ERROR -7

/**
 * Status: for what has no status of its own.
 */
#define SCMI_GENERIC_ERROR -8

/**
 * Status: the hardware failed.
 */
#define SCMI_HARDWARE_ERROR -9

/**
 * Status: the message is too short, or leaves too little room for its response.
 */
#define SCMI_PROTOCOL_ERROR -10

/**
 * An agent is reset that is not there any longer, or begins anew: it crashed, it was rebooted. Nobody waits for what it
 * asked, which is forgotten.
 */
#define SCMI_GONE 0

/**
 * An agent is reset that may still be there. `scmi_answer` has an error for what it waits for.
 */
#define SCMI_ASKED 1

/**
 * An SCMI platform that serves agents. Only one function works on it at a time; they are called from wherever.
 */
struct scmi_engine {
  uint64_t bytes[19];
};

/**
 * A power domain.
 */
struct scmi_power_domain {
  /**
   * At most 63 characters of ASCII.
   */
  const char *name;
};

/**
 * A clock.
 */
struct scmi_clock {
  /**
   * At most 63 characters of ASCII.
   */
  const char *name;
  /**
   * In hertz and in ascending order; if `rate_range`, the lowest, the highest and the step between two.
   */
  const uint64_t *rates;
  /**
   * The clocks that it can come from.
   */
  const uint16_t *parents;
  /**
   * The other clocks whose rates follow a change of this one's rate or parent. They, and how many there are, may
   * change when a clock gets another parent or its own back: in `set_rate`, `set_parent` and `restore_clock`.
   */
  const uint16_t *dependents;
  /**
   * How many there are.
   */
  uint16_t rate_count;
  /**
   * How many there are.
   */
  uint16_t parent_count;
  /**
   * How many there are.
   */
  uint16_t dependent_count;
  /**
   * Whether `rates` is a range.
   */
  bool rate_range;
  /**
   * How long it may take to switch it on, in microseconds; 0 if that is not known.
   */
  uint32_t enable_latency;
};

/**
 * What a sensor, or one of its axes, measures.
 */
struct scmi_axis {
  /**
   * At most 63 characters of ASCII.
   */
  const char *name;
  /**
   * SCMI's number of the unit: 2 is degrees Celsius, 5 volts, 6 amperes, 7 watts, 8 joules.
   */
  uint8_t unit;
  /**
   * The unit's power of ten, -16 to 15.
   */
  int8_t exponent;
  /**
   * Whether what follows is known.
   */
  bool has_range;
  /**
   * The resolution's power of ten, -16 to 15.
   */
  int8_t resolution_exponent;
  /**
   * The smallest difference that it tells, in the unit, at most 2^27 - 1.
   */
  uint32_t resolution;
  /**
   * The lowest reading.
   */
  int64_t lowest;
  /**
   * The highest reading.
   */
  int64_t highest;
};

/**
 * A sensor.
 */
struct scmi_sensor {
  /**
   * What is measured, if it has no axes; else its name.
   */
  struct scmi_axis scale;
  /**
   * At most 7.
   */
  const struct scmi_axis *axes;
  /**
   * How often it may measure, as SCMI has it: seconds in bits 20:5, times ten to the power of the signed bits 4:0. In
   * ascending order; if `interval_range`, the shortest, the longest and the step between two.
   */
  const uint32_t *intervals;
  /**
   * How many there are.
   */
  uint16_t interval_count;
  /**
   * Whether `intervals` is a range.
   */
  bool interval_range;
  /**
   * How many there are.
   */
  uint8_t axis_count;
  /**
   * How many trip points each agent may set.
   */
  uint8_t trip_points;
  /**
   * Whether it measures by itself, and `scmi_sensor_updated` is told.
   */
  bool updates;
  /**
   * Whether it takes its time to measure, so that agents had better not wait for it.
   */
  bool slow;
  /**
   * Whether it knows when it measures.
   */
  bool has_timestamp;
  /**
   * The unit of timestamps as a power of ten of a second, -16 to 15.
   */
  int8_t timestamp_exponent;
};

/**
 * A reset domain.
 */
struct scmi_reset_domain {
  /**
   * At most 63 characters of ASCII.
   */
  const char *name;
  /**
   * How long a reset takes, in microseconds; 0 if that is not known.
   */
  uint32_t latency;
};

/**
 * A voltage domain.
 */
struct scmi_voltage_domain {
  /**
   * At most 63 characters of ASCII.
   */
  const char *name;
  /**
   * In microvolts and in ascending order; if `level_range`, the lowest, the highest and the step between two.
   */
  const int32_t *levels;
  /**
   * How many there are.
   */
  uint16_t level_count;
  /**
   * Whether `levels` is a range.
   */
  bool level_range;
};

/**
 * Switches a resource, with the context.
 */
typedef int32_t (*Switching)(void*, uint16_t, bool);

/**
 * The hardware: what there is, and functions that do what is asked of it. They get the context, and return
 * `SCMI_SUCCESS` or another status. Those that get a ticket may return `SCMI_LATER`, for `scmi_complete` to be called
 * with the ticket when they are done, also if another operation on the same resource took its place before. All others
 * are done when they return, and hold up all agents until then. A function that is null is not supported.
 */
struct scmi_platform {
  /**
   * At most 15 characters.
   */
  const char *vendor;
  /**
   * At most 15 characters.
   */
  const char *sub_vendor;
  /**
   * The vendor's number.
   */
  uint32_t version;
  /**
   * How many there are.
   */
  uint16_t power_domain_count;
  /**
   * How many there are.
   */
  uint16_t clock_count;
  /**
   * How many there are.
   */
  uint16_t sensor_count;
  /**
   * How many there are.
   */
  uint16_t reset_domain_count;
  /**
   * How many there are.
   */
  uint16_t voltage_domain_count;
  /**
   * Which are numbered from 0, as all that follow.
   */
  const struct scmi_power_domain *power_domains;
  /**
   * Off at first.
   */
  const struct scmi_clock *clocks;
  /**
   * Off at first.
   */
  const struct scmi_sensor *sensors;
  /**
   * Held in reset at first.
   */
  const struct scmi_reset_domain *reset_domains;
  /**
   * Off at first.
   */
  const struct scmi_voltage_domain *voltage_domains;
  /**
   * What all functions get.
   */
  void *context;
  /**
   * There is something for the agent to fetch, with `scmi_next_event` or `scmi_answer`. Must not call either.
   */
  void (*wake)(void *context, uint16_t agent);
  /**
   * Something failed that has to be done: `scmi_try_again` is to be called after a while, and again until that does
   * not fail. Must not call it.
   */
  void (*unfinished)(void *context);
  /**
   * Powers a domain up or down.
   */
  Switching switch_power;
  /**
   * Opens or shuts a clock's gate.
   */
  Switching switch_clock;
  /**
   * Tells at how many hertz a clock runs, or will when it is on.
   */
  int32_t (*rate)(void *context, uint16_t clock, uint64_t *rate);
  /**
   * Makes a clock run at one of its rates.
   */
  int32_t (*set_rate)(void *context, uint16_t clock, uint64_t rate, uint32_t ticket);
  /**
   * Tells which clock a clock comes from.
   */
  int32_t (*parent)(void *context, uint16_t clock, uint16_t *parent);
  /**
   * Makes a clock come from one of its parents.
   */
  int32_t (*set_parent)(void *context, uint16_t clock, uint16_t parent);
  /**
   * Gives a clock the rate and the parent that it booted with.
   */
  int32_t (*restore_clock)(void *context, uint16_t clock);
  /**
   * Lets a sensor measure, or rest.
   */
  Switching switch_sensor;
  /**
   * Has a sensor measure every so many nanoseconds; 0 if nobody has asked for that, and the first of
   * its intervals is to be taken.
   */
  int32_t (*set_interval)(void *context, uint16_t sensor, uint64_t nanoseconds);
  /**
   * Measures.
   */
  int32_t (*measure)(void *context, uint16_t sensor, uint32_t ticket);
  /**
   * Tells what was measured last on an axis, which is 0 if there are none.
   */
  int32_t (*reading)(void *context,
                     uint16_t sensor,
                     uint8_t axis,
                     int64_t *value,
                     uint64_t *timestamp);
  /**
   * Releases a domain from reset, or holds it there.
   */
  Switching switch_reset;
  /**
   * Resets a domain and lets it run.
   */
  int32_t (*reset)(void *context, uint16_t domain, uint32_t ticket);
  /**
   * Switches a domain on or off.
   */
  Switching switch_voltage;
  /**
   * Tells the microvolts of a domain, now or when it is on.
   */
  int32_t (*level)(void *context, uint16_t domain, int32_t *level);
  /**
   * Gives a domain one of its levels.
   */
  int32_t (*set_level)(void *context, uint16_t domain, int32_t level, uint32_t ticket);
  /**
   * Gives a domain the level that it booted with.
   */
  int32_t (*restore_voltage)(void *context, uint16_t domain);
};

/**
 * A resource that an agent was given.
 */
struct scmi_grant {
  /**
   * The platform's number.
   */
  uint16_t resource;
  /**
   * What the agent may do beyond looking at it.
   */
  uint8_t rights;
  /**
   * Whether the agent wants it on before it says anything.
   */
  bool starts_on;
  /**
   * The device that it belongs to, by which a trusted agent takes it away; 0 if it belongs to none.
   */
  uint16_t device;
};

/**
 * An agent, and what it was given, which it numbers from 0.
 */
struct scmi_agent {
  /**
   * At most 15 characters.
   */
  const char *name;
  /**
   * The version that it speaks.
   */
  uint8_t profile;
  /**
   * Whether it knows of the others, may take devices from them, and reset them.
   */
  bool trusted;
  /**
   * How many.
   */
  uint16_t power_domain_count;
  /**
   * How many.
   */
  uint16_t clock_count;
  /**
   * How many.
   */
  uint16_t sensor_count;
  /**
   * How many.
   */
  uint16_t reset_domain_count;
  /**
   * How many.
   */
  uint16_t voltage_domain_count;
  /**
   * Its power domains.
   */
  const struct scmi_grant *power_domains;
  /**
   * Its clocks.
   */
  const struct scmi_grant *clocks;
  /**
   * Its sensors.
   */
  const struct scmi_grant *sensors;
  /**
   * Its reset domains.
   */
  const struct scmi_grant *reset_domains;
  /**
   * Its voltage domains.
   */
  const struct scmi_grant *voltage_domains;
};

/**
 * What the engine knows of an agent.
 */
struct scmi_agent_state {
  uint32_t bytes[13];
};

/**
 * What an agent made of a resource.
 */
struct scmi_grant_state {
  uint32_t bytes[7];
};

/**
 * What agents have to agree on.
 */
struct scmi_resource_state {
  uint16_t bytes[9];
};

/**
 * An agent's trip point.
 */
struct scmi_trip_state {
  uint64_t bytes[2];
};

/**
 * An operation that goes on.
 */
struct scmi_pending_state {
  uint32_t bytes[3];
};

/**
 * Memory for the engine, which `scmi_init` fills.
 */
struct scmi_memory {
  /**
   * One for each agent.
   */
  struct scmi_agent_state *agents;
  /**
   * One for each resource that each agent was given.
   */
  struct scmi_grant_state *grants;
  /**
   * One for each resource of the platform.
   */
  struct scmi_resource_state *resources;
  /**
   * As many as a sensor has trip points for each agent that was given that.
   */
  struct scmi_trip_state *trips;
  /**
   * The same number for each agent: how many of its operations may go on at a time. At least 1.
   */
  struct scmi_pending_state *pending;
  /**
   * How many there are.
   */
  uint16_t grant_count;
  /**
   * How many there are.
   */
  uint16_t resource_count;
  /**
   * How many there are.
   */
  uint16_t trip_count;
  /**
   * How many there are.
   */
  uint16_t pending_count;
};

#ifdef __cplusplus
extern "C" {
#endif // __cplusplus

/**
 * Makes an engine for a platform and its agents, who are numbered from 0. What agents want on from the beginning is
 * switched on.
 *
 * Returns `SCMI_SUCCESS`, `SCMI_NOT_FOUND` if something was given that there is not, `SCMI_INVALID_PARAMETERS` if it was
 * given to an agent twice or memory is missing, or `SCMI_OUT_OF_RANGE` if agents are given too much.
 *
 * # Safety
 * Nothing is null but what counts 0, strings end with a NUL, and tables have what they count. All of it stays as it
 * is, but for the dependents of clocks, and the engine's memory the engine's alone, as long as that is in use.
 */
int32_t scmi_init(struct scmi_engine *engine,
                  const struct scmi_platform *platform,
                  const struct scmi_agent *agents,
                  uint16_t agent_count,
                  const struct scmi_memory *memory);

/**
 * Lets notifications and delayed responses reach an agent, or not, as at first: without, they do not exist for it.
 *
 * # Safety
 * As `scmi_init` says.
 */
void scmi_set_events(struct scmi_engine *engine,
                     uint16_t agent,
                     bool reach);

/**
 * Does what an agent asks in a request, and puts the response into the room for it. Returns its length, 0 if there is
 * nothing to answer, or -1 if the response comes later: `ticket` is then what `scmi_answer` wants for it.
 *
 * The request must not change meanwhile: shared memory is copied first.
 *
 * # Safety
 * As `scmi_init` says, for the request, the response and the ticket too, and they do not overlap.
 */
int32_t scmi_handle(struct scmi_engine *engine,
                    uint16_t agent,
                    const uint8_t *request,
                    size_t request_length,
                    uint8_t *response,
                    size_t room,
                    uint32_t *ticket);

/**
 * Puts the response to a command that was to be answered later into the room for it. Returns its length, or 0 as long
 * as the operation is not complete, and if its agent is gone since.
 *
 * # Safety
 * As `scmi_init` says, for the response too.
 */
size_t scmi_answer(struct scmi_engine *engine,
                   uint32_t ticket,
                   uint8_t *response,
                   size_t room);

/**
 * Puts the next delayed response or notification for an agent into the room for it. Returns its length, or 0 if there
 * is none.
 *
 * # Safety
 * As `scmi_init` says, for the message too.
 */
size_t scmi_next_event(struct scmi_engine *engine,
                       uint16_t agent,
                       uint8_t *message,
                       size_t room);

/**
 * The operation is complete that was begun with a ticket, with this status.
 *
 * # Safety
 * As `scmi_init` says.
 */
void scmi_complete(struct scmi_engine *engine, uint32_t ticket, int32_t status);

/**
 * A sensor has measured, unasked.
 *
 * # Safety
 * As `scmi_init` says.
 */
void scmi_sensor_updated(struct scmi_engine *engine, uint16_t sensor);

/**
 * Undoes all that an agent set up, because it is gone or because somebody asked for that. Returns the first thing that
 * failed, of which the platform is told as `unfinished`; the rest is done. Permissions stay.
 *
 * # Safety
 * As `scmi_init` says.
 */
int32_t scmi_reset_agent(struct scmi_engine *engine,
                         uint16_t agent,
                         int32_t reason);

/**
 * Allows or denies an agent what it was given of a device, or of that only what is of a protocol, if that is not 0. It
 * has what is denied in neither way. Returns `SCMI_NOT_FOUND` if it was given nothing of that.
 *
 * # Safety
 * As `scmi_init` says.
 */
int32_t scmi_permit(struct scmi_engine *engine,
                    uint16_t agent,
                    uint16_t device,
                    uint8_t protocol,
                    bool allow);

/**
 * Tries again what is unfinished: hardware that nobody wants on and that did not go off, a rate or a level that could
 * not be given back. Returns the first thing that still fails.
 *
 * # Safety
 * As `scmi_init` says.
 */
int32_t scmi_try_again(struct scmi_engine *engine);

#ifdef __cplusplus
}  // extern "C"
#endif  // __cplusplus

#endif  /* SCMI_H */
