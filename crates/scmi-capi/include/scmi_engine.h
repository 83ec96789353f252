/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause */

#ifndef SCMI_ENGINE_H
#define SCMI_ENGINE_H

/* Generated from scmi-capi by its test, which checks it. */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/**
 * What a function with a ticket returns if it is not done yet.
 */
#define SCMI_ENGINE_LATER (1)

/**
 * No agent.
 */
#define SCMI_ENGINE_NO_AGENT (65535)

/**
 * No ticket.
 */
#define SCMI_ENGINE_NO_TICKET (0)

/**
 * An agent speaks SCMI 2.0.
 */
#define SCMI_ENGINE_2_0 (0)

/**
 * An agent speaks SCMI 3.0.
 */
#define SCMI_ENGINE_3_0 (1)

/**
 * An agent speaks SCMI 3.1.
 */
#define SCMI_ENGINE_3_1 (2)

/**
 * An agent speaks SCMI 3.2.
 */
#define SCMI_ENGINE_3_2 (3)

/**
 * The right to switch a resource on and off, by a vote.
 */
#define SCMI_ENGINE_SWITCH (1)

/**
 * The right to change a rate or a level, to reset a domain, or to set a sensor's interval.
 */
#define SCMI_ENGINE_CHANGE (2)

/**
 * The right to change a clock's parent.
 */
#define SCMI_ENGINE_REPARENT (4)

/**
 * Status: it is done.
 */
#define SCMI_ENGINE_SUCCESS (0)

/**
 * Status: the protocol, the message, or what it asks for, is not supported.
 */
#define SCMI_ENGINE_NOT_SUPPORTED (-1)

/**
 * Status: a parameter is out of its definition, or a reserved bit is set.
 */
#define SCMI_ENGINE_INVALID_PARAMETERS (-2)

/**
 * Status: the agent may not do that, or another agent would notice.
 */
#define SCMI_ENGINE_DENIED (-3)

/**
 * Status: there is no such resource.
 */
#define SCMI_ENGINE_NOT_FOUND (-4)

/**
 * Status: an index is beyond the end.
 */
#define SCMI_ENGINE_OUT_OF_RANGE (-5)

/**
 * Status: as much as possible is going on already.
 */
#define SCMI_ENGINE_BUSY (-6)

/**
 * Status: the hardware cannot be reached.
 */
#define SCMI_ENGINE_COMMS_ERROR (-7)

/**
 * Status: for what has no status of its own.
 */
#define SCMI_ENGINE_GENERIC_ERROR (-8)

/**
 * Status: the hardware failed.
 */
#define SCMI_ENGINE_HARDWARE_ERROR (-9)

/**
 * Status: the message is too short, or leaves too little room for its response.
 */
#define SCMI_ENGINE_PROTOCOL_ERROR (-10)

/**
 * An agent is reset that is not there any longer, or begins anew: it crashed, or was rebooted. It waits for nothing that
 * it asked for, which is forgotten.
 */
#define SCMI_ENGINE_DISCONNECTED (0)

/**
 * An agent is reset that may still be there. `scmi_engine_answer` has an error for what it waits for.
 */
#define SCMI_ENGINE_REQUESTED (1)

/**
 * What the engine knows.
 */
struct scmi_engine_state {
  uint64_t bytes[19];
};

/**
 * An SCMI platform that serves agents. Only one function works on it at a time; they are called from wherever.
 */
struct scmi_engine {
  /**
   * `sizeof` of this structure.
   */
  size_t size;
  struct scmi_engine_state state;
};

/**
 * A power domain.
 */
struct scmi_engine_power_domain {
  /**
   * `sizeof` of this structure.
   */
  size_t size;
  /**
   * At most 63 characters of ASCII.
   */
  const char *name;
};

/**
 * A clock.
 */
struct scmi_engine_clock {
  /**
   * `sizeof` of this structure.
   */
  size_t size;
  /**
   * At most 63 characters of ASCII.
   */
  const char *name;
  /**
   * In hertz and in ascending order, at least one; if `rate_range`, the lowest, the highest and the step between two.
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
struct scmi_engine_axis {
  /**
   * `sizeof` of this structure.
   */
  size_t size;
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
struct scmi_engine_sensor {
  /**
   * `sizeof` of this structure.
   */
  size_t size;
  /**
   * What is measured, if it has no axes; else its name.
   */
  const struct scmi_engine_axis *scale;
  /**
   * At most 7.
   */
  const struct scmi_engine_axis *axes;
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
   * Whether it measures by itself, and `scmi_engine_sensor_updated` is told.
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
struct scmi_engine_reset_domain {
  /**
   * `sizeof` of this structure.
   */
  size_t size;
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
struct scmi_engine_voltage_domain {
  /**
   * `sizeof` of this structure.
   */
  size_t size;
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
 * Switches a resource on or off, for an agent.
 */
typedef int32_t (*scmi_engine_switching)(void *context,
                                         uint16_t agent,
                                         uint16_t resource,
                                         bool on,
                                         uint64_t ticket);

/**
 * The hardware: what there is, and functions that do what is asked of it.
 *
 * They get the context, and those that act the agent for which they do: `SCMI_ENGINE_NO_AGENT` if for none. They return
 * `SCMI_ENGINE_SUCCESS` or another status. Those that get a ticket may return `SCMI_ENGINE_LATER`, for
 * `scmi_engine_complete` to be called with the ticket when they are done, and do not hold up other agents until then.
 * A ticket of `SCMI_ENGINE_NO_TICKET` is none: what cannot be done at once is not done, and `SCMI_ENGINE_BUSY`.
 * `set_rate`, `set_parent`, `set_level`, and those that restore, take the place of such an operation on the same
 * resource that is not done. A function that is null is not supported.
 */
struct scmi_engine_platform {
  /**
   * `sizeof` of this structure.
   */
  size_t size;
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
  const struct scmi_engine_power_domain *power_domains;
  /**
   * Off at first.
   */
  const struct scmi_engine_clock *clocks;
  /**
   * Off at first.
   */
  const struct scmi_engine_sensor *sensors;
  /**
   * Held in reset at first.
   */
  const struct scmi_engine_reset_domain *reset_domains;
  /**
   * Off at first.
   */
  const struct scmi_engine_voltage_domain *voltage_domains;
  /**
   * What all functions get.
   */
  void *context;
  /**
   * There is something for the agent to fetch, with `scmi_engine_next_event` or `scmi_engine_answer`. Must not call either.
   */
  void (*wake)(void *context, uint16_t agent);
  /**
   * Something failed that has to be done: `scmi_engine_retry` is to be called after a while, and again until that does
   * not fail. Must not call it.
   */
  void (*retry_later)(void *context);
  /**
   * Powers a domain up or down.
   */
  scmi_engine_switching switch_power;
  /**
   * Opens or shuts a clock's gate.
   */
  scmi_engine_switching switch_clock;
  /**
   * Tells at how many hertz a clock runs, or will when it is on.
   */
  int32_t (*rate)(void *context, uint16_t clock, uint64_t *rate);
  /**
   * Makes a clock run at one of its rates.
   */
  int32_t (*set_rate)(void *context, uint16_t agent, uint16_t clock, uint64_t rate, uint64_t ticket);
  /**
   * Tells which clock a clock comes from.
   */
  int32_t (*parent)(void *context, uint16_t clock, uint16_t *parent);
  /**
   * Makes a clock come from one of its parents.
   */
  int32_t (*set_parent)(void *context,
                        uint16_t agent,
                        uint16_t clock,
                        uint16_t parent,
                        uint64_t ticket);
  /**
   * Gives a clock the rate and the parent that it booted with.
   */
  int32_t (*restore_clock)(void *context, uint16_t agent, uint16_t clock, uint64_t ticket);
  /**
   * Lets a sensor measure, or rest.
   */
  scmi_engine_switching switch_sensor;
  /**
   * Has a sensor measure every so many nanoseconds; 0 if no agent has asked for that, and the first of its intervals
   * is to be taken.
   */
  int32_t (*set_interval)(void *context,
                          uint16_t agent,
                          uint16_t sensor,
                          uint64_t nanoseconds,
                          uint64_t ticket);
  /**
   * Measures.
   */
  int32_t (*measure)(void *context, uint16_t agent, uint16_t sensor, uint64_t ticket);
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
  scmi_engine_switching switch_reset;
  /**
   * Resets a domain and lets it run.
   */
  int32_t (*reset)(void *context, uint16_t agent, uint16_t domain, uint64_t ticket);
  /**
   * Switches a domain on or off.
   */
  scmi_engine_switching switch_voltage;
  /**
   * Tells the microvolts of a domain, now or when it is on.
   */
  int32_t (*level)(void *context, uint16_t domain, int32_t *level);
  /**
   * Gives a domain one of its levels.
   */
  int32_t (*set_level)(void *context,
                       uint16_t agent,
                       uint16_t domain,
                       int32_t level,
                       uint64_t ticket);
  /**
   * Gives a domain the level that it booted with.
   */
  int32_t (*restore_voltage)(void *context, uint16_t agent, uint16_t domain, uint64_t ticket);
};

/**
 * A resource that an agent was given.
 */
struct scmi_engine_grant {
  /**
   * `sizeof` of this structure.
   */
  size_t size;
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
struct scmi_engine_agent {
  /**
   * `sizeof` of this structure.
   */
  size_t size;
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
  const struct scmi_engine_grant *power_domains;
  /**
   * Its clocks.
   */
  const struct scmi_engine_grant *clocks;
  /**
   * Its sensors.
   */
  const struct scmi_engine_grant *sensors;
  /**
   * Its reset domains.
   */
  const struct scmi_engine_grant *reset_domains;
  /**
   * Its voltage domains.
   */
  const struct scmi_engine_grant *voltage_domains;
};

/**
 * What the engine knows of an agent.
 */
struct scmi_engine_agent_state {
  uint32_t bytes[20];
};

/**
 * What an agent made of a resource.
 */
struct scmi_engine_grant_state {
  uint32_t bytes[11];
};

/**
 * What agents have to agree on.
 */
struct scmi_engine_resource_state {
  uint32_t bytes[8];
};

/**
 * An agent's trip point.
 */
struct scmi_engine_trip_state {
  uint64_t bytes[2];
};

/**
 * An operation that goes on.
 */
struct scmi_engine_pending_state {
  uint32_t bytes[8];
};

/**
 * Memory for the engine, which `scmi_engine_init` fills.
 */
struct scmi_engine_memory {
  /**
   * `sizeof` of this structure.
   */
  size_t size;
  /**
   * One for each agent.
   */
  struct scmi_engine_agent_state *agents;
  /**
   * One for each resource that each agent was given.
   */
  struct scmi_engine_grant_state *grants;
  /**
   * One for each resource of the platform.
   */
  struct scmi_engine_resource_state *resources;
  /**
   * As many as a sensor has trip points for each agent that was given that.
   */
  struct scmi_engine_trip_state *trips;
  /**
   * The same number for each agent: how many of its operations may go on at a time. At least 1.
   */
  struct scmi_engine_pending_state *pending;
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
 * Returns `SCMI_ENGINE_SUCCESS`, `SCMI_ENGINE_NOT_FOUND` if something was given that there is not, `SCMI_ENGINE_INVALID_PARAMETERS` if it was
 * given to an agent twice, memory is missing, a clock has no rates or a structure is shorter than this library knows it, or `SCMI_ENGINE_OUT_OF_RANGE` if agents are given too much.
 *
 * # Safety
 * Nothing is null but what counts 0, strings end with a NUL, and tables have what they count. All of it stays as it
 * is, but for the dependents of clocks, and the engine's memory the engine's alone, as long as that is in use.
 */
int32_t scmi_engine_init(struct scmi_engine *engine,
                         const struct scmi_engine_platform *platform,
                         const struct scmi_engine_agent *agents,
                         uint16_t agent_count,
                         const struct scmi_engine_memory *memory);

/**
 * Lets notifications and delayed responses reach an agent, or not, as at first: without, they do not exist for it.
 *
 * # Safety
 * As `scmi_engine_init` says.
 */
void scmi_engine_set_events(struct scmi_engine *engine,
                            uint16_t agent,
                            bool reach);

/**
 * Does what an agent asks in a request, and puts the response into the room for it. Returns its length, 0 if there is
 * nothing to answer, or -1 if the response comes later: `place` is then what `scmi_engine_answer` wants for it.
 *
 * The request must not change meanwhile: shared memory is copied first.
 *
 * # Safety
 * As `scmi_engine_init` says, for the request, the response and the place too, and they do not overlap.
 */
int32_t scmi_engine_handle(struct scmi_engine *engine,
                           uint16_t agent,
                           const uint8_t *request,
                           size_t request_length,
                           uint8_t *response,
                           size_t room,
                           uint32_t *place);

/**
 * Puts the response to a command that was to be answered later into the room for it. Returns its length, or 0 as long
 * as the operation is not complete, and if its agent is gone since.
 *
 * # Safety
 * As `scmi_engine_init` says, for the response too.
 */
size_t scmi_engine_answer(struct scmi_engine *engine,
                          uint32_t place,
                          uint8_t *response,
                          size_t room);

/**
 * Puts the next delayed response or notification for an agent into the room for it. Returns its length, or 0 if there
 * is none.
 *
 * # Safety
 * As `scmi_engine_init` says, for the message too.
 */
size_t scmi_engine_next_event(struct scmi_engine *engine,
                              uint16_t agent,
                              uint8_t *message,
                              size_t room);

/**
 * The operation is complete that was begun with a ticket, with this status.
 *
 * # Safety
 * As `scmi_engine_init` says.
 */
void scmi_engine_complete(struct scmi_engine *engine, uint64_t ticket, int32_t status);

/**
 * A sensor has measured, unasked.
 *
 * # Safety
 * As `scmi_engine_init` says.
 */
void scmi_engine_sensor_updated(struct scmi_engine *engine, uint16_t sensor);

/**
 * Undoes all that an agent set up, because it is gone or because somebody asked for that. Returns the first thing that
 * failed, of which the platform is told by `retry_later`; the rest is done. Permissions stay.
 *
 * # Safety
 * As `scmi_engine_init` says.
 */
int32_t scmi_engine_reset_agent(struct scmi_engine *engine,
                                uint16_t agent,
                                int32_t reason);

/**
 * Allows or denies an agent what it was given of a device, or of that only what is of a protocol, if that is not 0. It
 * has what is denied in neither way, and what it wants of the rest counts for nothing until that is allowed. Returns `SCMI_ENGINE_NOT_FOUND` if it was given nothing of that.
 *
 * # Safety
 * As `scmi_engine_init` says.
 */
int32_t scmi_engine_permit(struct scmi_engine *engine,
                           uint16_t agent,
                           uint16_t device,
                           uint8_t protocol,
                           bool allow);

/**
 * Tries again what failed and has to be done: hardware that no agent wants on and that did not go off, a rate or a level that could
 * not be given back. Returns the first thing that still fails.
 *
 * # Safety
 * As `scmi_engine_init` says.
 */
int32_t scmi_engine_retry(struct scmi_engine *engine);

#ifdef __cplusplus
}  // extern "C"
#endif  // __cplusplus

#endif  /* SCMI_ENGINE_H */
