/**
 * Every wait whose length depends on how quickly a loss must be noticed, derived from the one knob `heartbeatTimeoutMs` (T):
 * the time of silence after which the other end of a connection counts as lost. All values are milliseconds.
 *
 * One T of silence must hold several heartbeats, and looking for silence must take a small part of T: so both are fractions
 * with a floor, below which a busy machine's timers are not punctual. Waits for people and for starting machines are multiples.
 */

/** Heartbeats are sent this many times in one heartbeat timeout, so that a few lost ones do not matter. */
export const HEARTBEATS_PER_TIMEOUT = 5;
/** No timer runs more often than this: shorter ones only measure how busy the machine is. */
export const SHORTEST_TICK_MS = 20;

/** All values in milliseconds. */
export type Timeouts = {
  /** T/5: pause between two heartbeats (control channel) or pings (ring). */
  readonly heartbeatIntervalMs: number;
  /** T: nothing heard on the control channel for so long: the coordinator drops the worker, the worker dials again. */
  readonly controlSilenceMs: number;
  /** T: dialling the coordinator, from the connection's start to the end of its handshake. */
  readonly controlDialMs: number;
  /** T: a connection to the coordinator that has not said hello by then is closed. */
  readonly helloMs: number;
  /** T/50: pause between two ticks of the coordinator, which look for silence and move what waits for time to pass. */
  readonly coordinatorTickMs: number;
  /** T/5: from a ring's first report of failure to the next generation, so that the other members' reports can come in. */
  readonly brokenRingPauseMs: number;
  /** 6T: while gathering, the wait for workers that are connected but not ready: they start an engine and load data. */
  readonly startGraceMs: number;
  /** T: while gathering, the wait for someone who holds the newest state to come back. */
  readonly newestStateGraceMs: number;
  /** T: nothing from the predecessor or the successor for so long: the ring fails and names it. */
  readonly ringSilenceMs: number;
  /** T/20: pause between two looks for silence in the ring. */
  readonly ringTickMs: number;
  /** T: dialling the predecessor, all attempts together; also the longest single handshake. */
  readonly ringDialMs: number;
  /** T: a transfer of a state from which no byte came for so long is given up; the next source is asked. */
  readonly transferStallMs: number;
  /** 12T: a worker that leaves stays so long at most, to hand over the state to a coordinator that takes it. */
  readonly handOverMs: number;
  /** T/10: a worker that leaves waits so long for its goodbye to be answered. */
  readonly leaveMs: number;
  /** 120T: a worker that has had no coordinator for so long ends itself. */
  readonly giveUpMs: number;
};

/** The table for a heartbeat timeout in milliseconds (config: at least 500). */
export function timeoutsFrom(heartbeatTimeoutMs: number): Timeouts {
  const fraction = (parts: number) => Math.max(SHORTEST_TICK_MS, Math.floor(heartbeatTimeoutMs / parts));
  return {
    heartbeatIntervalMs: fraction(HEARTBEATS_PER_TIMEOUT),
    controlSilenceMs: heartbeatTimeoutMs,
    controlDialMs: heartbeatTimeoutMs,
    helloMs: heartbeatTimeoutMs,
    coordinatorTickMs: fraction(50),
    brokenRingPauseMs: fraction(HEARTBEATS_PER_TIMEOUT),
    startGraceMs: 6 * heartbeatTimeoutMs,
    newestStateGraceMs: heartbeatTimeoutMs,
    ringSilenceMs: heartbeatTimeoutMs,
    ringTickMs: fraction(20),
    ringDialMs: heartbeatTimeoutMs,
    transferStallMs: heartbeatTimeoutMs,
    handOverMs: 12 * heartbeatTimeoutMs,
    leaveMs: fraction(10),
    giveUpMs: 120 * heartbeatTimeoutMs,
  };
}

/** Milliseconds between two heartbeats for a heartbeat timeout in milliseconds. */
export function heartbeatInterval(heartbeatTimeoutMs: number): number {
  return timeoutsFrom(heartbeatTimeoutMs).heartbeatIntervalMs;
}
